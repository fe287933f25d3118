"""A worker process: relay, subscriptions, broadcasts, jobs and the listener, each in a thread of its own."""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from libs.common import clock
from libs.common.db import Database, Reader, kernel_tables
from libs.common.db.locks import AdvisoryLocks
from libs.common.events import metrics
from libs.common.events.broadcast import Broadcast
from libs.common.events.broker import BrokerUnavailable, Session, open_session
from libs.common.events.consumer import Consumer
from libs.common.events.listener import Listener
from libs.common.events.outbox import CHANNEL
from libs.common.events.relay import Relay
from libs.common.events.subscriptions import Subscription, Subscriptions
from libs.common.events.topology import RETRY_DELAYS_MS, UNROUTABLE_QUEUE
from libs.common.jobs import TRIGGERS, Job, JobRunner
from libs.common.measures import Measure, Measuring
from libs.common.telemetry import logger

STOP_SECONDS: Final = 20.0
MEASURE_SECONDS: Final = 5.0
QUEUES_SECONDS: Final = 15.0
"""How often the broker is asked how deep the queues are."""
DEGRADED_OUTBOX_SECONDS: Final = 10.0
"""An event that waits longer than this to be published makes the service degraded."""

log = logger(__name__)

Run = Callable[[threading.Event], None]


class Worker:
    """Everything a service does without being asked over HTTP. Safe to run any number of times side by side."""

    def __init__(
        self,
        database: Database,
        amqp_url: str,
        *,
        subscriptions: Subscriptions,
        jobs: Sequence[Job] = (),
        measures: Sequence[Measure] = (),
        resources: Mapping[type, object] | None = None,
    ) -> None:
        given: dict[type, object] = {Database: database, **(resources or {})}
        subscriptions.require(given)
        for job in jobs:
            job.require(given)
        self._database = database
        self._amqp_url = amqp_url
        self._subscriptions = subscriptions.queues
        self._measuring = Measuring(database, measures)
        self._locks = AdvisoryLocks(database)
        self._listener = Listener(database)
        self.relay = Relay(database, amqp_url, self._locks)
        self._listener.subscribe(CHANNEL, lambda _: self.relay.wake())
        self._consumers = {each.name: Consumer(database, amqp_url, each, given) for each in subscriptions.queues}
        self._broadcast: Broadcast | None = None
        if subscriptions.broadcasts:
            self._broadcast = Broadcast(amqp_url, subscriptions.consumer, subscriptions.broadcasts, given)
        self._runners = {job.name: JobRunner(job, database, self._locks, given) for job in jobs}
        for job in jobs:
            if job.schedule.wake:
                self._listener.subscribe(job.schedule.wake, _waker(self._runners[job.name]))
        if jobs:
            self._listener.subscribe(TRIGGERS, self._trigger)
        self._stopping = threading.Event()
        self._relay_stopping = threading.Event()
        self._threads: dict[str, threading.Thread] = {}
        self.failed = threading.Event()
        """Set when a thread died: leave with an error, so that the supervisor starts the process again."""

    def start(self) -> None:
        """Start every thread; nothing here waits for the broker or for Postgres."""
        self._begin("listener", self._listener.run, self._relay_stopping)
        self._begin("relay", self.relay.run, self._relay_stopping)
        self._begin("measurements", self._measure, self._relay_stopping)
        for name, consumer in self._consumers.items():
            self._begin(f"consumer {name}", consumer.run, self._stopping)
        if self._broadcast is not None:
            self._begin("broadcast", self._broadcast.run, self._stopping)
        for name, runner in self._runners.items():
            self._begin(f"job {name}", runner.run, self._stopping)

    def stop(self, timeout_seconds: float = STOP_SECONDS) -> bool:
        """Finish what is in hand and stop; the relay last, since the others' last facts leave with it.

        Returns whether everything ended in time.
        """
        deadline = clock.monotonic() + timeout_seconds
        self._stopping.set()
        self._join(deadline, [name for name in self._threads if name not in _LAST])
        self._relay_stopping.set()
        self.relay.wake()
        self._join(deadline, [name for name in _LAST if name in self._threads])
        self._locks.close()
        alive = [name for name, thread in self._threads.items() if thread.is_alive()]
        if alive:
            log.error("worker.stopped_late", threads=alive)
        return not alive

    def consuming(self) -> bool:
        """Whether every subscription and the broadcast receive deliveries now."""
        ears = [each.consuming for each in self._consumers.values()]
        ears += [self._broadcast.receiving] if self._broadcast is not None else []
        return all(ear.is_set() for ear in ears)

    def health(self) -> dict[str, Any]:
        """What readiness is told: `status` is `ready`, `degraded` (works, but behind or without the broker) or `failed`."""
        measured = self._measured()
        threads = {name: thread.is_alive() for name, thread in self._threads.items()}
        broker = self.consuming() and not self.relay.cut_off.is_set()
        late = measured is None or measured["outbox_oldest_seconds"] > DEGRADED_OUTBOX_SECONDS
        status = "failed" if self.failed.is_set() else "degraded" if late or not broker else "ready"
        return {
            "status": status,
            "database": measured is not None,
            "broker": broker,
            "relay_active": self.relay.active.is_set(),
            "threads": threads,
            **(measured or {}),
        }

    def _trigger(self, name: str) -> None:
        """Run one job now. Without a name all of them: a trigger may have been lost while nobody listened."""
        for each in self._runners if not name else self._runners.keys() & {name}:
            self._runners[each].wake()

    def _begin(self, name: str, run: Run, stopping: threading.Event) -> None:
        thread = threading.Thread(target=self._guard, args=(name, run, stopping), name=name, daemon=True)
        self._threads[name] = thread
        thread.start()

    def _guard(self, name: str, run: Run, stopping: threading.Event) -> None:
        try:
            run(stopping)
        except BaseException:
            log.exception("worker.thread_died", thread=name)
            self.failed.set()
            raise

    def _join(self, deadline: float, names: Sequence[str]) -> None:
        for name in names:
            self._threads[name].join(max(0.0, deadline - clock.monotonic()))

    def _measure(self, stopping: threading.Event) -> None:
        asked_at = 0.0
        while not stopping.wait(MEASURE_SECONDS):
            self._measured()
            self._measuring.take_due()
            if clock.monotonic() - asked_at > QUEUES_SECONDS:
                asked_at = clock.monotonic()
                self._look_at_queues()

    def _look_at_queues(self) -> None:
        """Asked of the broker, which alone knows what waits, and what no queue wanted: the relay hears only that it arrived."""
        with suppress(BrokerUnavailable), open_session(self._amqp_url) as session:
            for each in self._subscriptions:
                _look(session, each)
            if self.relay.active.is_set():
                metrics.UNROUTABLE.labels(self._database.schema).set(_depth(session, UNROUTABLE_QUEUE))

    def _measured(self) -> dict[str, Any] | None:
        try:
            with self._database.reader() as reader:
                return measure(self._database, reader)
        except SQLAlchemyError:
            return None


def _look(session: Session, subscription: Subscription) -> None:
    found, name = session.look(subscription.queue), subscription.name
    metrics.QUEUE_DEPTH.labels(name).set(found.messages if found else 0)
    metrics.QUEUE_CONSUMERS.labels(name).set(found.consumers if found else 0)
    retrying = sum(_depth(session, subscription.retry_queue(level)) for level in range(len(RETRY_DELAYS_MS)))
    metrics.RETRYING.labels(name).set(retrying)
    metrics.DEAD.labels(name).set(_depth(session, subscription.dead_letter_queue))


def _depth(session: Session, queue: str) -> int:
    found = session.look(queue)
    return found.messages if found else 0


_LAST: Final = ("relay", "listener", "measurements")


def _waker(runner: JobRunner) -> Callable[[str], None]:
    return lambda _payload: runner.wake()


def measure(database: Database, reader: Reader) -> dict[str, Any]:
    """Backlog and order of this service, also set as metrics."""
    tables = kernel_tables(database.metadata)
    outbox, parked = tables.outbox, tables.parked_events
    now = clock.now()
    row = reader.one(select(func.count().label("depth"), func.min(outbox.c.created_at).label("oldest")))
    age = (now - row.oldest).total_seconds() if row.oldest else 0.0
    metrics.OUTBOX_DEPTH.labels(database.schema).set(row.depth)
    metrics.OUTBOX_AGE.labels(database.schema).set(age)
    per_subscription = (
        select(parked.c.subscription, func.count().label("depth"), func.min(parked.c.parked_at).label("oldest"))
        .group_by(parked.c.subscription)
        .order_by(parked.c.subscription)
    )
    waiting = {}
    metrics.PARKED.clear()
    metrics.PARKED_AGE.clear()
    for each in reader.all(per_subscription):
        waiting[each.subscription] = each.depth
        metrics.PARKED.labels(database.schema, each.subscription).set(each.depth)
        metrics.PARKED_AGE.labels(database.schema, each.subscription).set((now - each.oldest).total_seconds())
    return {"outbox_depth": row.depth, "outbox_oldest_seconds": age, "parked_events": waiting}
