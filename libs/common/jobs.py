"""Due work: functions that run at an interval, one runner at a time across all replicas."""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import ModuleType
from typing import Any, Final, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from libs.common import clock, ids
from libs.common.db import Database, Transaction
from libs.common.db.locks import AdvisoryLocks
from libs.common.events import metrics
from libs.common.events.backoff import Backoff
from libs.common.events.subscriptions import SubscriptionError, parameters_of
from libs.common.telemetry import context, logger

F = TypeVar("F", bound=Callable[..., int])
Resources = Mapping[type, object]

INTERVAL_MIN: Final = timedelta(milliseconds=100)
INTERVAL_MAX: Final = timedelta(days=7)
STANDBY_SECONDS: Final = 5.0
"""How often a replica that stands by looks whether the runner is gone."""
TRIGGERS: Final = "jobs"
"""NOTIFY channel of a service on which a job's name runs that job at once."""
_MARK: Final = "__job_schedule__"

log = logger(__name__)


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

    def require(self, resources: Resources) -> None:
        """Raises SubscriptionError that names every parameter no resource provides."""
        known = {Transaction, Database, *resources}
        missing = [name for name, annotation in self.parameters.items() if annotation not in known]
        if missing:
            raise SubscriptionError(f"no resource provides {', '.join(missing)} of job {self.name}")


def run_once(database: Database, job: Job, resources: Resources) -> int:
    """Run a job now; with a `tx: Transaction` parameter in one transaction. Returns the rows dealt with."""
    with context.bound(correlation_id=str(ids.new_id()), causation_id=None, actor=f"service:{database.schema}"):
        if Transaction not in job.parameters.values():
            return _call(job, {Database: database, **resources})
        with database.transaction() as tx:
            return _call(job, {Database: database, Transaction: tx, **resources})


def _call(job: Job, given: Resources) -> int:
    return job.function(**{name: given[annotation] for name, annotation in job.parameters.items()})


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


class JobRunner:
    """Runs one job while this process holds its lock."""

    def __init__(self, job: Job, database: Database, locks: AdvisoryLocks, resources: Resources) -> None:
        self._job = job
        self._database = database
        self._locks = locks
        self._resources = resources
        self._interval_seconds = job.schedule.interval.total_seconds()
        self._backoff = Backoff(cap_seconds=max(5.0, min(60.0, self._interval_seconds)))
        self._due = threading.Event()
        labels = (database.schema, job.name)
        metrics.JOB_INTERVAL.labels(*labels).set(self._interval_seconds)
        self._succeeded_at = metrics.JOB_SUCCESS.labels(*labels)
        self._succeeded_at.set(clock.epoch())
        self._seconds = metrics.JOB_SECONDS.labels(*labels)

    def wake(self) -> None:
        """Run now; safe from any thread."""
        self._due.set()

    def run(self, stopping: threading.Event) -> None:
        """Run at the interval until stopping; the run in hand is finished."""
        lock = f"job:{self._job.name}"
        while not stopping.is_set():
            self._due.clear()
            started_at = clock.monotonic()
            self._sleep(stopping, self._turn(lock), started_at)
        self._locks.release(lock)

    def _turn(self, lock: str) -> float:
        """One attempt; the seconds from its start to the next."""
        try:
            if not self._locks.try_acquire(lock):
                return min(self._interval_seconds, STANDBY_SECONDS)
            with self._seconds.time():
                rows = run_once(self._database, self._job, self._resources)
        except Exception as error:  # noqa: BLE001 - a job may raise anything; it is logged and tried again
            return self._failed(error)
        self._backoff.reset()
        self._succeeded_at.set(clock.epoch())
        metrics.JOB_RUNS.labels(self._database.schema, self._job.name, "done").inc()
        metrics.JOB_ROWS.labels(self._database.schema, self._job.name).inc(rows)
        return self._interval_seconds

    def _failed(self, error: Exception) -> float:
        metrics.JOB_RUNS.labels(self._database.schema, self._job.name, "failed").inc()
        level = log.warning if isinstance(error, SQLAlchemyError) else log.error
        level("job.failed", job=self._job.name, exc_info=error)
        return self._backoff.next_seconds()

    def _sleep(self, stopping: threading.Event, seconds: float, started_at: float) -> None:
        deadline = started_at + seconds
        while not stopping.is_set() and not self._due.is_set():
            remaining = deadline - clock.monotonic()
            if remaining <= 0:
                return
            # Short enough that stopping is noticed within a drain.
            self._due.wait(min(remaining, 0.5))
