"""What goes in and out of a route: strict inputs, frozen views, and the few kinds of answer."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from libs.common.errors import PreconditionFailed
from libs.common.http.cookies import Cookie
from libs.common.http.cursor import decode_cursor, encode_cursor
from libs.common.pages import FORM_POLICY

PAGE_LIMIT_DEFAULT = 20
PAGE_LIMIT_MAX = 100
CURSOR_EXAMPLE = "WyIyMDI2LTAzLTAyVDA5OjMwOjAwWiJd"


class Input(BaseModel):
    """Base of request bodies and queries: no coercion, no unknown members."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)

    @field_validator("*")
    @classmethod
    def _can_be_stored(cls, value: Any) -> Any:
        """Text columns of Postgres take every character but U+0000."""
        if any("\0" in text for text in (value if isinstance(value, tuple | list) else (value,)) if isinstance(text, str)):
            raise ValueError("must not contain the character U+0000")
        return value


class View(BaseModel):
    """Base of answers."""

    model_config = ConfigDict(extra="forbid", frozen=True, from_attributes=True)


ViewType = TypeVar("ViewType", bound=BaseModel)
RowType = TypeVar("RowType")


class PageQuery(Input):
    """Query of a list. Subclass it to add filters."""

    limit: int = Field(default=PAGE_LIMIT_DEFAULT, ge=1, le=PAGE_LIMIT_MAX, description="How many items at most")
    cursor: str | None = Field(
        default=None, max_length=512, description="`next_cursor` of the page before", examples=[CURSOR_EXAMPLE]
    )

    def after(self, *types: type) -> tuple[Any, ...] | None:
        """The position after which this page begins, or None for the first. Raises Invalid for a cursor that is not ours."""
        return decode_cursor(self.cursor, types) if self.cursor else None


class Page(View, Generic[ViewType]):
    """One page of a list."""

    items: tuple[ViewType, ...]
    next_cursor: str | None = Field(description="Where the next page begins; null on the last", examples=[CURSOR_EXAMPLE])


def page_of(
    rows: Sequence[RowType],
    limit: int,
    render: Callable[[RowType], ViewType],
    key: Callable[[RowType], tuple[Any, ...]],
) -> Page[ViewType]:
    """A page from `limit + 1` rows; `key` gives the position of a row in the list's order."""
    shown = rows[:limit]
    cursor = encode_cursor(key(shown[-1])) if len(rows) > limit else None
    return Page(items=tuple(render(row) for row in shown), next_cursor=cursor)


@dataclass(frozen=True, slots=True)
class NoContent:
    """204."""


@dataclass(frozen=True, slots=True)
class Created(Generic[ViewType]):
    """201 with the address of what was made."""

    view: ViewType
    location: str


@dataclass(frozen=True, slots=True)
class Accepted(Generic[ViewType]):
    """202: taken, not done yet."""

    view: ViewType


@dataclass(frozen=True, slots=True)
class Tagged(Generic[ViewType]):
    """An answer with an entity tag made of its version (RFC 9110 section 8.8.3)."""

    view: ViewType
    version: int


@dataclass(frozen=True, slots=True)
class Redirect:
    """A redirection, and the cookies that the browser keeps from it. After a form it is 303 (RFC 9110 section 15.4.4)."""

    location: str
    status: int = 302
    cookies: tuple[Cookie, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Html:
    """A page for a person, in one language; `policy` is its Content-Security-Policy."""

    text: str
    language: str
    status: int = 200
    policy: str = FORM_POLICY
    cookies: tuple[Cookie, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Document:
    """Bytes of some media type."""

    data: bytes
    media_type: str
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True, slots=True)
class Streaming:
    """A body that is produced as it goes."""

    chunks: Iterable[bytes]
    media_type: str
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True, slots=True)
class RawBody:
    """A request body that is not JSON: whole in `data`, or unread in `stream` where the route streams."""

    media_type: str
    data: bytes
    stream: IO[bytes]
    length: int | None


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """What a handler may know of the request beyond its inputs. Never an address."""

    headers: Mapping[str, str]
    user_agent: str
    origin: str
    request_id: str


@dataclass(frozen=True, slots=True)
class IfMatch:
    """The If-Match header: the version that the caller believes to be current."""

    version: int | None

    def check(self, current: int) -> None:
        """Raise PreconditionFailed when a version was given and is not the current one."""
        if self.version is not None and self.version != current:
            raise PreconditionFailed("The resource has changed since you read it; read it again and repeat your change.")


_TAG = re.compile(r'"(\d{1,18})"')


def parse_if_match(header: str | None) -> IfMatch:
    """If-Match with one strong tag of ours; anything else cannot match."""
    if header is None or header.strip() == "*":
        return IfMatch(None)
    match = _TAG.fullmatch(header.strip())
    return IfMatch(int(match[1]) if match else -1)
