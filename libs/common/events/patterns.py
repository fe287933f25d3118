"""Patterns of event types as topic exchanges read them: `*` is one word, `#` any number of words."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

PATTERN_LENGTH_MAX: Final = 255
"""A routing key's limit in AMQP."""
_SHAPE: Final = re.compile(r"(?:[a-z][a-z0-9_]*|\*|#)(?:\.(?:[a-z][a-z0-9_]*|\*|#))*")


class PatternError(ValueError):
    """What was given is no pattern of event types."""


def check_pattern(pattern: str) -> str:
    """The pattern itself. Raises PatternError with an example."""
    if len(pattern) > PATTERN_LENGTH_MAX or not _SHAPE.fullmatch(pattern):
        raise PatternError(f"{pattern[:80]!r} is no event type: write for example tasks.task.validated, tasks.task.* or auth.#")
    return pattern


def matches(pattern: str, event_type: str) -> bool:
    """Whether a binding with this pattern gets events of this type."""
    return bool(_compiled(pattern).fullmatch("." + event_type))


def matching(patterns: Iterable[str], event_types: Iterable[str]) -> list[str]:
    """The event types that any of the patterns gets, sorted."""
    wanted = list(patterns)
    return sorted(each for each in set(event_types) if any(matches(pattern, each) for pattern in wanted))


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = {"*": r"\.[^.]+", "#": r"(?:\.[^.]+)*"}
    return re.compile("".join(parts.get(word, re.escape(f".{word}")) for word in pattern.split(".")))
