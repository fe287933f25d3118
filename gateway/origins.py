"""Other origins whose pages may read the platform's answers (CORS, Fetch standard section 3.2); none unless named.

Cookies never cross origins: `Access-Control-Allow-Credentials` is never sent, and a page elsewhere brings a token of its own.
"""

import re
from typing import Final

HOST = r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*|\[[0-9a-f:]+\])"
ORIGIN = re.compile(rf"^(?P<scheme>https?)://(?P<host>{HOST})(?::(?P<port>[1-9][0-9]{{0,4}}))?$")
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
DEFAULT_PORTS = {"http": "80", "https": "443"}

REQUEST_HEADERS: Final = (
    "Authorization",
    "Content-Type",
    "DPoP",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
    "Range",
    "X-Request-Id",
    "traceparent",
    "tracestate",
)
"""What a page elsewhere may send beside what every page may."""
ANSWER_HEADERS: Final = (
    "Accept-Ranges",
    "Allow",
    "Content-Disposition",
    "Content-Range",
    "DPoP-Nonce",
    "ETag",
    "Idempotency-Replayed",
    "Link",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "WWW-Authenticate",
    "X-Request-Id",
)
"""What a page elsewhere may read beside what every page may."""


def exact_origins(text: str) -> tuple[str, ...]:
    """The origins in a list with commas, as browsers write them. Raises ValueError that says what an origin must be."""
    return tuple(sorted({_exact(each.strip()) for each in text.split(",") if each.strip()}))


def _exact(origin: str) -> str:
    found = ORIGIN.match(origin)
    if not found:
        raise ValueError(
            "every origin must be written out as browsers send it: https://host or https://host:port in small letters, "
            "without a path; wildcards and null are never allowed"
        )
    if found["scheme"] == "http" and found["host"] not in LOOPBACK:
        raise ValueError("an origin must begin with https://, unless it is on this machine")
    if found["port"] is not None and (int(found["port"]) > 65_535 or found["port"] == DEFAULT_PORTS[found["scheme"]]):
        raise ValueError("the port of an origin is left out when it is the usual one, and is 65535 at most")
    return origin
