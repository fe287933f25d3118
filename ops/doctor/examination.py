"""Asks all boxes side by side, each with a deadline of its own. Whatever goes wrong in a box is its finding."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from ops.doctor.box import Box, Finding, NotApplicable, NotExamined, State, Weight
from ops.errors import OperationError

if TYPE_CHECKING:
    from ops.doctor.examined import Examined

Told = Callable[["Answer"], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """A box and what it found."""

    box: Box
    finding: Finding

    @property
    def evidence(self) -> str:
        """What was seen; where the box was not asked or could not be, that stands first."""
        state, evidence = self.finding.state, self.finding.evidence
        return evidence if state in (State.OK, State.FAILED) else f"{state.value}: {evidence}"

    @property
    def fix(self) -> str:
        """What to do; empty where there is nothing to do."""
        return "" if self.finding.ok else self.finding.fix or self.box.fix

    @property
    def stops(self) -> bool:
        """Whether the platform must not serve people before this is mended."""
        return not self.finding.ok and self.box.weight is Weight.REQUIRED

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        return {"name": self.box.name, "ok": self.finding.ok, "evidence": self.evidence, "fix": self.fix}


class _Asking(threading.Thread):
    """One box being asked. A daemon: a question that hangs does not keep the command from ending."""

    def __init__(self, box: Box, examined: "Examined") -> None:
        super().__init__(name=box.name, daemon=True)
        self.box = box
        self.finding: Finding | None = None
        self._examined = examined

    def run(self) -> None:
        """Ask."""
        self.finding = ask(self.box, self._examined)


def ask(box: Box, examined: "Examined") -> Finding:
    """What a box finds. Never raises: what could not be examined says so."""
    if examined.target not in box.targets:
        places = " or ".join(sorted(each.value for each in box.targets))
        return Finding(State.NOT_APPLICABLE, f"asked of {places}, and this is {examined.target.value}")
    if box.production and not examined.production:
        return Finding(State.NOT_APPLICABLE, "asked of production; --production asks it of this platform too")
    try:
        return box.question(examined)
    except NotApplicable as reason:
        return Finding(State.NOT_APPLICABLE, str(reason))
    except (NotExamined, OperationError) as reason:
        return Finding(State.NOT_EXAMINED, str(reason))
    except Exception as error:  # noqa: BLE001 — a box that fails in any way is no ticked box
        # The message of a foreign error may hold an address with a password in it.
        return Finding(State.NOT_EXAMINED, type(error).__name__)


def examine(boxes: Iterable[Box], examined: "Examined", told: Told = lambda _: None) -> list[Answer]:
    """Ask every box at once, and tell each answer as it comes; returns them in the boxes' order."""
    begun = monotonic()
    asking = [_Asking(box, examined) for box in boxes]
    for each in asking:
        each.start()
    answers = {}
    for each in sorted(asking, key=lambda one: one.box.seconds):
        each.join(max(0.0, each.box.seconds - (monotonic() - begun)))
        late = Finding(State.NOT_EXAMINED, f"no answer within {each.box.seconds:g} s")
        answers[each.box.name] = Answer(each.box, each.finding or late)
        told(answers[each.box.name])
    return [answers[each.box.name] for each in asking]
