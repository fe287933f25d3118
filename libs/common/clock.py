"""The only reader of time."""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


def epoch() -> float:
    """The present moment in seconds since 1970 (wall clock)."""
    return time.time()


def monotonic() -> float:
    """Seconds on a clock that never goes back; only differences mean anything."""
    return time.monotonic()
