"""The gateway's own answers as problem documents (RFC 9457), in the words of HAProxy's configuration."""

import json

from gateway import limits
from libs.common.errors import (
    PROBLEM_MEDIA_TYPE,
    BadRequest,
    ContentTooLarge,
    Forbidden,
    InternalError,
    LengthRequired,
    MethodNotAllowed,
    NotFound,
    Problem,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)


class RequestTimeout(Problem):
    """The request did not arrive whole in time."""

    status, title = 408, "Request Timeout"


class UriTooLong(Problem):
    """Path and query are longer than the gateway takes (RFC 9110 section 15.5.15)."""

    status, title = 414, "URI Too Long"


class RequestHeaderFieldsTooLarge(Problem):
    """The request head is longer than the gateway takes (RFC 6585 section 5)."""

    status, title = 431, "Request Header Fields Too Large"


class BadGateway(Problem):
    """The service broke off its answer."""

    status, title = 502, "Bad Gateway"


class GatewayTimeout(Problem):
    """The service did not answer within the time of its route."""

    status, title = 504, "Gateway Timeout"


KINDS: dict[int, type[Problem]] = {
    kind.status: kind
    for kind in (
        BadRequest,
        Unauthenticated,
        Forbidden,
        NotFound,
        MethodNotAllowed,
        RequestTimeout,
        LengthRequired,
        ContentTooLarge,
        UriTooLong,
        TooManyRequests,
        RequestHeaderFieldsTooLarge,
        InternalError,
        BadGateway,
        Unavailable,
        GatewayTimeout,
    )
}
ERRORS: dict[int, tuple[str, str]] = {
    403: ("header_names", "The request holds header names that are not allowed."),
    413: ("body_overflow", "The body is over the limit of this route."),
    500: ("gateway_error", "The gateway could not handle the request."),
    502: ("answer_broken", "The service broke off its answer; send the request again if it is safe to repeat."),
    503: ("service_away", "The service is busy or away; try again shortly."),
    504: ("answer_late", "The service did not answer in time."),
}
"""What HAProxy itself may answer after a request was read: its name in the log, and the sentence that goes with it."""

PARSER = {400: "The request is not well-formed HTTP.", 408: "The request did not arrive whole in time."}
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""On every answer, unless a service says its own. Strict transport security comes with TLS."""


def problem(status: int, detail: str, *, members: str = "") -> str:
    """A document as a log-format string: HAProxy fills in path and request id. `members` are further members in that format."""
    kind = KINDS[status]
    document = kind(detail).document("%[var(txn.path)]", "%[var(txn.request_id)]")
    text = json.dumps(document, ensure_ascii=True)
    return text if not members else f"{text[:-1]}, {members}}}"


def error_file(status: int, secure: bool = False) -> bytes:
    """A whole answer to a request of which nothing can be repeated: it broke off, or was no HTTP.

    HAProxy sends it once a request's head was read. To what never became a request it sends a text of its own that cannot
    be replaced, and closes.
    """
    body = json.dumps(
        {"type": KINDS[status].type_uri(), "title": KINDS[status].title, "status": status, "detail": PARSER[status]}
    )
    headers = {
        "Content-Type": PROBLEM_MEDIA_TYPE,
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "Connection": "close",
        **SECURITY_HEADERS,
        **({"Strict-Transport-Security": f"max-age={limits.HSTS_SECONDS}; includeSubDomains"} if secure else {}),
    }
    lines = [
        f"HTTP/1.1 {status} {KINDS[status].title}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()
