"""What one part of the audit came to. What could not be asked is never taken for well."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a part of the audit ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True)
class Outcome:
    """One part: how it ended, the evidence in a sentence, and a line for everything found or not looked at."""

    name: str
    state: State
    evidence: str
    lines: Sequence[str] = ()


def passed(name: str, evidence: str) -> Outcome:
    """All was asked, and nothing found."""
    return Outcome(name, State.PASSED, evidence)


def failed(name: str, lines: Sequence[str]) -> Outcome:
    """Something was found."""
    return Outcome(name, State.FAILED, f"{len(lines)} found", tuple(lines))


def not_checked(name: str, why: str, lines: Sequence[str] = ()) -> Outcome:
    """Not everything could be asked; `why` names the reason."""
    return Outcome(name, State.NOT_CHECKED, why, tuple(lines))


EXIT_CODES = {State.PASSED: 0, State.FAILED: 1, State.NOT_CHECKED: 3}
"""A finding outweighs what was not checked: 1 before 3. 2 is left to commands that were not understood."""


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """0 when every part passed, 1 when one failed, else 3: something was not checked."""
    codes = {EXIT_CODES[each.state] for each in outcomes}
    return 1 if 1 in codes else max(codes, default=0)
