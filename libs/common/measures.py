"""What a service measures of its own tables, again and again, for those who watch.

A measure is a function `(db: Reader) -> None` that sets gauges. Each worker runs it, so replicas tell the same: take the
maximum. Labels are bounded sets; an identity of a person, film or task is never one.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Final, TypeVar

from prometheus_client import Gauge
from sqlalchemy.exc import SQLAlchemyError

from libs.common import clock
from libs.common.db import Database, Reader
from libs.common.telemetry import logger

F = TypeVar("F", bound=Callable[[Reader], None])

SECONDS_MIN: Final = 5.0
SECONDS_DEFAULT: Final = 15.0
_MARK: Final = "__measure_seconds__"
MEASURED_AT: Final = Gauge(
    "lumiere_measured_timestamp_seconds",
    "When all measures of a service last succeeded here, or its process started",
    ["service"],
)

log = logger(__name__)


def measure(*, seconds: float = SECONDS_DEFAULT) -> Callable[[F], F]:
    """Run the function at this interval. Raises ValueError for less than 5 s: a measure reads a whole table."""
    if seconds < SECONDS_MIN:
        raise ValueError(f"a measure is taken every {SECONDS_MIN:g} s at most")

    def decorate(function: F) -> F:
        setattr(function, _MARK, seconds)
        return function

    return decorate


@dataclass(frozen=True)
class Measure:
    """A marked function and how often it runs."""

    name: str
    function: Callable[[Reader], None]
    seconds: float


def collect_measures(modules: Iterable[ModuleType]) -> tuple[Measure, ...]:
    """The measures marked in the modules, by name."""
    found = {
        name: Measure(name, value, getattr(value, _MARK))
        for module in modules
        for name, value in vars(module).items()
        if hasattr(value, _MARK) and value.__module__ == module.__name__
    }
    return tuple(found[name] for name in sorted(found))


class Measuring:
    """Takes measures when they are due; each one in statements that stand alone."""

    def __init__(self, database: Database, measures: Iterable[Measure]) -> None:
        self._database = database
        self._due = dict.fromkeys(measures, 0.0)
        self._failed: set[str] = set()
        self._measured_at = MEASURED_AT.labels(database.schema)
        self._measured_at.set(clock.epoch())

    def take_due(self) -> None:
        """Take those whose time has come. One that fails is logged, and tried again when it is due."""
        for each, due in self._due.items():
            if clock.monotonic() >= due:
                self._take(each)
                self._due[each] = clock.monotonic() + each.seconds
        if not self._failed:
            self._measured_at.set(clock.epoch())

    def _take(self, each: Measure) -> None:
        try:
            with self._database.reader() as reader:
                each.function(reader)
        except SQLAlchemyError as error:
            self._failed.add(each.name)
            log.warning("measure.failed", measure=each.name, reason=type(error).__name__)
        else:
            self._failed.discard(each.name)
