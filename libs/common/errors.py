"""The error tree. Every failure is named for the fact, says what to do, and leaves as one problem document (RFC 9457).

Problem
├── BadRequest 400 · Unauthenticated 401 · Forbidden 403 · NotFound 404 · MethodNotAllowed 405 · NotAcceptable 406
├── Conflict 409 · Gone 410 · PreconditionFailed 412 · ContentTooLarge 413 · UnsupportedMediaType 415
├── Invalid 422 (all faults at once) · TooManyRequests 429 · InternalError 500 · Unavailable 503
Permanent            a message that no retry can mend
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

PROBLEM_MEDIA_TYPE = "application/problem+json"
TYPE_BASE = "https://lumiere.film/problems/"
DPOP_ALGORITHM = "ES256"
CHALLENGES = {"Bearer": 'Bearer realm="lumiere"', "DPoP": f'DPoP algs="{DPOP_ALGORITHM}"'}
"""By scheme, what a request for credentials looks like (RFC 6750 section 3, RFC 9449 section 7.1)."""
NOTHING_HERE = "There is nothing at this address."
"""What an absent address is told, by gateway and services: a door that is shut cannot be told from none."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with an input: a JSON Pointer (RFC 6901) to it, and a sentence that says what is expected."""

    pointer: str
    detail: str


class Problem(Exception):
    """A failure with an HTTP meaning. Subclass the nearest status below and name the business fact."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal Server Error"

    def __init__(self, detail: str = "", **extensions: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extensions = extensions

    @classmethod
    def type_uri(cls) -> str:
        """The stable problem type: the class name in kebab case under one base address."""
        return TYPE_BASE + re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower()

    def headers(self) -> dict[str, str]:
        """Response headers that belong to this problem."""
        return {}

    def document(self, instance: str, request_id: str) -> dict[str, Any]:
        """The problem+json members (RFC 9457 section 3)."""
        return {
            "type": self.type_uri(),
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            "request_id": request_id,
            **self.extensions,
        }


class BadRequest(Problem):
    """The request cannot be understood as sent."""

    status, title = 400, "Bad Request"


class Unauthenticated(Problem):
    """No token, or one that does not hold (RFC 6750 section 3)."""

    status, title = 401, "Unauthorized"

    def __init__(
        self, detail: str = "", *, code: str | None = "invalid_token", scheme: str = "Bearer", **extensions: Any
    ) -> None:
        super().__init__(detail, **extensions)
        self.code = code
        self.scheme = scheme

    def headers(self) -> dict[str, str]:
        """A challenge in the scheme that was used; without any token both schemes, and no error code (RFC 6750 section 3.1)."""
        return {"WWW-Authenticate": self.challenge() if self.code else ", ".join(CHALLENGES.values())}

    def challenge(self) -> str:
        """The value of WWW-Authenticate for credentials that were refused."""
        return f'{CHALLENGES[self.scheme]}, error="{self.code}"'


class Forbidden(Problem):
    """The token holds but does not permit this."""

    status, title = 403, "Forbidden"


class NotFound(Problem):
    """It is not there, or its existence is not for this caller to know."""

    status, title = 404, "Not Found"


class MethodNotAllowed(Problem):
    """The resource exists but not for this method."""

    status, title = 405, "Method Not Allowed"


class NotAcceptable(Problem):
    """No representation matches the Accept header."""

    status, title = 406, "Not Acceptable"


class Conflict(Problem):
    """The request is well formed but the state of the world refuses it."""

    status, title = 409, "Conflict"


class Gone(Problem):
    """It was there once and never comes back."""

    status, title = 410, "Gone"


class PreconditionFailed(Problem):
    """The entity tag given in If-Match is not the current one (RFC 9110 section 13.1.1)."""

    status, title = 412, "Precondition Failed"


class ContentTooLarge(Problem):
    """The body is over the limit of the route."""

    status, title = 413, "Content Too Large"


class LengthRequired(Problem):
    """A body without a length is taken only where a stream is meant."""

    status, title = 411, "Length Required"


class UnsupportedMediaType(Problem):
    """The body is of a type that the route does not take."""

    status, title = 415, "Unsupported Media Type"


class RangeNotSatisfiable(Problem):
    """The range asked for lies outside the content (RFC 9110 section 15.5.17)."""

    status, title = 416, "Range Not Satisfiable"


class Invalid(Problem):
    """The shape of the input is wrong. Carries every fault at once; never the values."""

    status, title = 422, "Unprocessable Content"

    def __init__(self, faults: Sequence[Fault], detail: str = "Correct the listed members and send the request again.") -> None:
        super().__init__(detail, errors=[{"pointer": fault.pointer, "detail": fault.detail} for fault in faults])
        self.faults = tuple(faults)


class TooManyRequests(Problem):
    """A limit is reached; `retry_after` says in how many seconds it opens again."""

    status, title = 429, "Too Many Requests"

    def __init__(self, detail: str = "", *, retry_after: int = 1, **extensions: Any) -> None:
        super().__init__(detail, **extensions)
        self.retry_after = retry_after

    def headers(self) -> dict[str, str]:
        """Retry-After in seconds."""
        return {"Retry-After": str(self.retry_after)}


class InternalError(Problem):
    """Something unforeseen. The request id leads to the log line."""


class Unavailable(Problem):
    """Not now: something this needs is busy or away; `retry_after` in seconds."""

    status, title = 503, "Service Unavailable"

    def __init__(self, detail: str = "", *, retry_after: int = 2, **extensions: Any) -> None:
        super().__init__(detail, **extensions)
        self.retry_after = retry_after

    def headers(self) -> dict[str, str]:
        """Retry-After in seconds."""
        return {"Retry-After": str(self.retry_after)}


class Permanent(Exception):
    """A message that no retry can mend: it goes straight to the dead-letter queue with this reason."""
