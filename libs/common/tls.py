"""TLS contexts for what the platform's own processes say to each other. TLS 1.2 at least, both names and chains verified."""

import ssl
from pathlib import Path

File = Path | str


def calling(
    authority: Path | str | None, certificate: Path | str | None = None, key: Path | str | None = None
) -> ssl.SSLContext:
    """For a client: believes this authority alone (None: the system's), and shows the certificate when asked for one.

    `certificate` may hold the key too. Raises OSError when a file cannot be read or is none of that kind.
    """
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=authority and str(authority))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


def serving(certificate: File, authority: File) -> ssl.SSLContext:
    """For a server that answers only whoever shows a certificate of this authority. Raises OSError."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificate)
    return context
