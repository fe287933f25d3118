"""How a fault is planted in a stage, and taken away again."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from ops.doctor.box import Target
from ops.tests.doctor.stage import Stage

Plant = Callable[[Stage], AbstractContextManager[None]]


@dataclass(frozen=True)
class Fault:
    """One thing that is not as it should be."""

    box: str
    target: Target
    plant: Plant
    words: str
    """What the evidence says of it, among other things."""
    around: Plant
    """What else has to stand before the box can be ticked."""


PLANTED: dict[str, Fault] = {}


def nothing(_stage: Stage) -> AbstractContextManager[None]:
    """The stage as it is."""
    return nullcontext()


def fault(
    box: str, words: str, target: Target = Target.LOCAL, around: Plant = nothing
) -> Callable[[Callable[[Stage], Iterator[None]]], Plant]:
    """Register the function below as the fault that unticks this box: it changes the stage, yields, and undoes it."""

    def registered(function: Callable[[Stage], Iterator[None]]) -> Plant:
        plant = contextmanager(function)
        assert box not in PLANTED, box
        PLANTED[box] = Fault(box, target, plant, words, around)
        return plant

    return registered


@contextmanager
def changed(holder: Any, name: str, value: Any) -> Iterator[None]:
    """An attribute, or an entry of a dictionary, with another value for a while."""
    if isinstance(holder, dict):
        before, missing = holder.get(name), name not in holder
        holder[name] = value
        try:
            yield
        finally:
            if missing:
                del holder[name]
            else:
                holder[name] = before
        return
    before = getattr(holder, name)
    setattr(holder, name, value)
    try:
        yield
    finally:
        setattr(holder, name, before)
