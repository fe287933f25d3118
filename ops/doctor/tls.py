"""What answers a TLS handshake: which protocol, whose certificate, until when, and whether it is believed."""

import socket
import ssl
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509

HANDSHAKE_SECONDS: Final = 3.0
HTTPS_PORT: Final = 443


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a handshake."""

    protocol: str
    ends: datetime
    """When its certificate ceases to hold."""
    disbelief: str | None
    """Why the certificate is not believed for this name; None when it is."""


def handshake(host: str, port: int, name: str) -> Peer | None:
    """Shake hands with what listens there, for this name; None when it speaks no TLS. Raises OSError when nothing answers.

    Believed is what the system believes; SSL_CERT_FILE names other authorities.
    """
    try:
        return _shaken(host, port, name, ssl.create_default_context(), None)
    except ssl.SSLCertVerificationError as error:
        unbelieving = ssl.create_default_context()
        # To see what is shown there and say why it is not believed.
        unbelieving.check_hostname, unbelieving.verify_mode = False, ssl.CERT_NONE  # nosemgrep: verification-switched-off
        return _shaken(host, port, name, unbelieving, error.verify_message)
    except (ssl.SSLError, ConnectionResetError):
        return None


def _shaken(host: str, port: int, name: str, context: ssl.SSLContext, disbelief: str | None) -> Peer:
    with socket.create_connection((host, port), timeout=HANDSHAKE_SECONDS) as plain:
        with context.wrap_socket(plain, server_hostname=name) as secured:
            certificate = x509.load_der_x509_certificate(secured.getpeercert(binary_form=True) or b"")
            return Peer(secured.version() or "", certificate.not_valid_after_utc, disbelief)


def place(address: str) -> tuple[str, int]:
    """Host and port of a base address."""
    parts = urlsplit(address)
    return parts.hostname or "", parts.port or (HTTPS_PORT if parts.scheme == "https" else 80)
