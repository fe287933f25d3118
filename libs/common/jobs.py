"""Due work: functions that run at an interval, one runner at a time across all replicas."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import ModuleType
from typing import Any, Final, TypeVar

from libs.common.events.subscriptions import parameters_of

F = TypeVar("F", bound=Callable[..., int])

INTERVAL_MIN: Final = timedelta(milliseconds=100)
INTERVAL_MAX: Final = timedelta(days=7)
_MARK: Final = "__job_schedule__"


@dataclass(frozen=True)
class Schedule:
    interval: timedelta
    wake: str | None


def every(*, hours: float = 0, minutes: float = 0, seconds: float = 0, wake: str | None = None) -> Callable[[F], F]:
    """Run the function at this interval; a Postgres notification on channel `wake` runs it at once.

    The function returns how many rows it dealt with. Raises ValueError for an interval under 100 ms or over a week.
    """
    interval = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if not INTERVAL_MIN <= interval <= INTERVAL_MAX:
        raise ValueError(f"a job runs between every {INTERVAL_MIN} and every {INTERVAL_MAX}")

    def decorate(function: F) -> F:
        setattr(function, _MARK, Schedule(interval, wake))
        return function

    return decorate


@dataclass(frozen=True)
class Job:
    """A marked function and when it runs."""

    name: str
    function: Callable[..., int]
    schedule: Schedule
    parameters: Mapping[str, Any]


def collect_jobs(modules: Iterable[ModuleType]) -> tuple[Job, ...]:
    """The jobs marked in the modules, by name. Raises ValueError when two share a name."""
    jobs: dict[str, Job] = {}
    for module in modules:
        for name, value in vars(module).items():
            schedule = getattr(value, _MARK, None)
            if schedule is None or value.__module__ != module.__name__:
                continue
            if name in jobs:
                raise ValueError(f"two jobs are called {name}")
            jobs[name] = Job(name, value, schedule, parameters_of(value))
    return tuple(jobs[name] for name in sorted(jobs))
