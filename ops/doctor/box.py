"""What a box of the checklist is: one question about a running platform, with its evidence and its cure."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from inspect import getdoc
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack

if TYPE_CHECKING:
    from ops.doctor.examined import Examined

SECONDS: Final = 20.0
"""What a box may take, unless it says otherwise: enough for several questions, each of which waits for 5 s at most."""
_NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class Weight(StrEnum):
    """What an unticked box means."""

    REQUIRED = "required"
    """The platform must not serve people like this: exit code 1."""
    ADVISED = "advised"
    """Worse than it could be: shown, and no more."""


class Target(StrEnum):
    """From where the platform is examined."""

    LOCAL = "local"
    """This machine runs the processes."""
    COMPOSE = "compose"
    """A container beside the platform's own (`docker compose run --rm operator doctor`)."""
    ENGINE = "engine"
    """The machine whose container engine runs the platform (`lumiere doctor --compose`): it sees containers and images."""


class State(StrEnum):
    """How a box came out."""

    OK = "ok"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"
    NOT_EXAMINED = "could not be examined"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a box found. Evidence is what was seen, in words and figures: never a secret, never a person's data."""

    state: State
    evidence: str
    fix: str | None = None
    """A cure closer to the finding than the box's own; None: the box's own."""

    @property
    def ok(self) -> bool:
        """Whether the box is ticked. What could not be examined never is."""
        return self.state in (State.OK, State.NOT_APPLICABLE)


def good(evidence: str) -> Finding:
    """All is as it should be; the evidence says what was seen."""
    return Finding(State.OK, evidence)


def bad(evidence: str, fix: str | None = None) -> Finding:
    """Something is not as it should be."""
    return Finding(State.FAILED, evidence, fix)


def judged(faults: list[str], evidence: str, fix: str | None = None) -> Finding:
    """Bad when there is a fault, with all of them; else good."""
    return bad("; ".join(faults), fix) if faults else good(evidence)


class NotApplicable(Exception):
    """The question does not arise here; the message says why."""


class NotExamined(Exception):
    """Nobody can say: the message is what stood in the way. Such a box is not ticked."""


Question = Callable[["Examined"], Finding]


class Options(TypedDict, total=False):
    """What most boxes leave as it is."""

    weight: Weight
    targets: set[Target]
    production: bool
    seconds: float


@dataclass(frozen=True)
class Box:
    """One question of the checklist."""

    name: str
    """Stable: scripts and runbooks name it."""
    title: str
    fix: str
    group: str
    """Its module's name."""
    asks: str
    question: Question
    weight: Weight = Weight.REQUIRED
    targets: frozenset[Target] = frozenset({Target.LOCAL, Target.COMPOSE})
    production: bool = False
    """Asked of production only, or where `--production` asks for its judgement."""
    seconds: float = SECONDS


_REGISTERED: dict[str, Box] = {}


def box(name: str, title: str, *, fix: str, **options: Unpack[Options]) -> Callable[[Question], Question]:
    """Make the function below a box; its docstring says what it asks. Raises ValueError for a name that is taken or odd.

    The function is given what is examined and returns `good(…)`, `bad(…)` or `judged(…)`; it raises NotApplicable or
    NotExamined. Whatever else it raises counts as could not be examined.
    """

    def registered(question: Question) -> Question:
        asks = " ".join((getdoc(question) or "").split())
        if name in _REGISTERED or not _NAME.fullmatch(name) or not asks:
            raise ValueError(f"{name}: a box needs a name of its own in lower case and hyphens, and a docstring")
        group = question.__module__.rpartition(".")[2]
        chosen: dict[str, Any] = {**options, "targets": frozenset(options.get("targets", Box.targets))}
        _REGISTERED[name] = Box(name, title, fix, group, asks, question, **chosen)
        return question

    return registered


def boxes() -> list[Box]:
    """Every box, in the order of the modules' names and of the boxes in them."""
    for module in _modules():
        import_module(module)
    return list(_REGISTERED.values())


def _modules() -> Iterator[str]:
    package = import_module("ops.doctor.boxes")
    yield from sorted(f"{package.__name__}.{each.name}" for each in iter_modules(package.__path__))
