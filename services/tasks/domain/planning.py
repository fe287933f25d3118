"""Plans of work: what a task must be before it is created, and what it may wait for."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from libs.common.errors import Fault
from libs.common.money import Money
from services.tasks.domain.values import Difficulty, Level, Phase, TaskId, TaskType

TASK_TITLE_LENGTH = (2, 200)
DESCRIPTION_LENGTH = (1, 5_000)
REFERENCE_LENGTH = (1, 100)
DEPENDENCIES_MAX = 50
PLAN_SIZE = 1_000
"""Tasks that one plan may hold."""
TASK_PRICE_CENTS = 100_000_000
"""The highest price of one task: a million, in cents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A task to be created. `place` is the JSON Pointer of the part of the input that it was read from."""

    place: str
    reference: str | None
    title: str
    description: str
    type: TaskType
    difficulty: Difficulty
    phase: Phase
    price: Money
    required_level: Level
    depends_on: tuple[str, ...]
    """Each the id of a task of the film, or the reference or title of one in the film or in this plan."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A task that is already in the film."""

    id: TaskId
    reference: str | None
    title: str
    phase: Phase


@dataclass(frozen=True, slots=True)
class Plan:
    """What each draft waits for, in the order of the drafts; empty when there are faults."""

    depends_on: tuple[frozenset[TaskId], ...]
    faults: tuple[Fault, ...]


def resolve(drafts: Sequence[Draft], ids: Sequence[TaskId], existing: Sequence[Planned]) -> Plan:
    """Find what the drafts, which will get these ids, depend on. Every fault is reported, cycles included."""
    planned = [Planned(task_id, each.reference, each.title, each.phase) for task_id, each in zip(ids, drafts, strict=True)]
    names = _names(planned, existing)
    faults = _repeated_references(drafts, existing)
    resolved: list[frozenset[TaskId]] = []
    for draft, task in zip(drafts, planned, strict=True):
        waits_for: set[TaskId] = set()
        for position, name in enumerate(draft.depends_on):
            found = names.get(name, ())
            fault = _fault(name, found, task)
            if fault:
                faults.append(Fault(f"{draft.place}/depends_on/{position}", fault))
            waits_for |= {each.id for each in found}
        resolved.append(frozenset(waits_for))
    if not faults:
        faults = _cycle(drafts, ids, resolved)
    return Plan((), tuple(faults)) if faults else Plan(tuple(resolved), ())


def _names(planned: Sequence[Planned], existing: Sequence[Planned]) -> Mapping[str, Sequence[Planned]]:
    """What each name may mean. A reference wins over a title, so that titles may repeat; an id wins over both."""
    names: dict[str, list[Planned]] = {}
    for task in (*existing, *planned):
        names.setdefault(task.title, []).append(task)
    names |= {task.reference: [task] for task in (*existing, *planned) if task.reference is not None}
    return names | {str(task.id): [task] for task in existing}


def _fault(name: str, found: Sequence[Planned], task: Planned) -> str | None:
    if not found:
        return f"No task of this film or plan has the id, reference or title {name!r}."
    if len(found) > 1:
        return f"{len(found)} tasks are titled {name!r}; give them references and name one."
    if found[0].id == task.id:
        return "A task cannot wait for itself."
    if found[0].phase.position > task.phase.position:
        return f"{name!r} belongs to the later phase {found[0].phase}, which opens only when this one is complete."
    return None


def _repeated_references(drafts: Sequence[Draft], existing: Sequence[Planned]) -> list[Fault]:
    taken = {task.reference for task in existing}
    count = Counter(draft.reference for draft in drafts)
    return [
        Fault(f"{draft.place}/reference", f"The reference {draft.reference!r} is taken; each is used once in a film.")
        for draft in drafts
        if draft.reference is not None and (count[draft.reference] > 1 or draft.reference in taken)
    ]


def _cycle(drafts: Sequence[Draft], ids: Sequence[TaskId], resolved: Sequence[frozenset[TaskId]]) -> list[Fault]:
    """Only new tasks can wait for new tasks, so a cycle lies wholly within the plan."""
    by_id = dict(zip(ids, drafts, strict=True))
    try:
        TopologicalSorter(dict(zip(ids, resolved, strict=True))).prepare()
    except CycleError as error:
        members = list(reversed(error.args[1]))
        chain = " → ".join(by_id[task_id].title for task_id in members)
        return [Fault(f"{by_id[members[0]].place}/depends_on", f"These tasks wait for each other in a circle: {chain}.")]
    return []
