"""What is known of the work in hand: carried by every log line, event and row that it causes."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Context:
    """Identifiers of the request or message in hand."""

    request_id: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    actor: str | None = None  # "user:<uuid>", "service:<name>" or "operator"
    traceparent: str | None = None
    session_id: str | None = None
    roles: str | None = None


_NOTHING = Context()
_current: ContextVar[Context] = ContextVar("lumiere_context", default=_NOTHING)


def current() -> Context:
    """The context of the work in hand."""
    return _current.get()


def set_current(context: Context) -> None:
    """Replace the context for the rest of this thread's work."""
    _current.set(context)


@contextmanager
def bound(**changes: Any) -> Iterator[Context]:
    """The present context with some members changed, for the length of a block."""
    token = _current.set(replace(_current.get(), **changes))
    try:
        yield _current.get()
    finally:
        _current.reset(token)
