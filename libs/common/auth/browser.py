"""What a browser's session travels in, and how an origin is written."""

from typing import Final
from urllib.parse import urlsplit

SESSION_COOKIE: Final = "__Host-lumiere_session"
"""Holds an access token. The prefix keeps other hosts, plain HTTP and narrower paths from setting it
(RFC 6265bis section 4.1.3).

The gateway alone reads it, and turns it into a bearer token; no service ever sees it.
"""
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def origin_of(address: str) -> str:
    """Scheme, host and port as a browser's `Origin` writes them (RFC 6454 section 6.2): lower case, no default port.

    Raises ValueError when the address has no scheme and host, a port that is none, or names a user.
    """
    parts = urlsplit(address)
    scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
    if not scheme or not host or "@" in parts.netloc:
        raise ValueError("an origin is a scheme and a host, and a port where it is not the usual one")
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}" if port in {None, _DEFAULT_PORTS.get(scheme)} else f"{scheme}://{name}:{port}"
