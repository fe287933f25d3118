"""Work that a request leaves to a job keeps its cause."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Row

from libs.common.telemetry import context


def cause() -> dict[str, str | None]:
    """What a row remembers of the request that left it."""
    current = context.current()
    return {"correlation_id": current.correlation_id, "traceparent": current.traceparent}


@contextmanager
def caused_by(row: Row[Any]) -> Iterator[None]:
    """What is published and logged in here follows from the request that left this row, and continues its trace."""
    with context.bound(correlation_id=row.correlation_id, traceparent=row.traceparent):
        yield
