"""What a browser's session travels in, and how an origin is written."""

import re
from typing import Final
from urllib.parse import urlsplit

COOKIE_PREFIX: Final = "__Host-lumiere_"
"""What the platform's own cookies are named: the gateway lets none through to a route that does not ask for cookies."""
SESSION_COOKIE: Final = f"{COOKIE_PREFIX}session"
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


CALLBACK_MAX: Final = 4_000
"""Characters of a path to come back to; an authorization request with all its parameters fits."""
_PLAIN: Final = r"[A-Za-z0-9._~!$&'()*+,=:@-]|%[0-9A-Fa-f]{2}"
_SAFE_PATH: Final = re.compile(rf"/|(?:/(?:{_PLAIN})+)+/?")
_SAFE_QUERY: Final = re.compile(rf"(?:{_PLAIN}|[/?])*")


def safe_path(text: str | None) -> str | None:
    """The path of this origin, with its query, that somebody may be sent to; None when it is no such path.

    What browsers read as another origin (`//host`, `/\\host`, a scheme, control characters that they leave out) has no
    form that is permitted here. Dot segments and escapes change no origin.
    """
    if not text or len(text) > CALLBACK_MAX:
        return None
    path, _, query = text.partition("?")
    return text if _SAFE_PATH.fullmatch(path) and _SAFE_QUERY.fullmatch(query) else None
