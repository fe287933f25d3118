"""From the outbox to the broker. One relay of a service is active at a time; the others stand by."""

import re
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Any, Final

from opentelemetry.trace import SpanKind
from sqlalchemy import (
    ARRAY,
    BigInteger,
    MetaData,
    Select,
    Text,
    all_,
    any_,
    bindparam,
    cast,
    delete,
    func,
    insert,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from libs.common.db import Database, kernel_tables
from libs.common.db.locks import AdvisoryLocks
from libs.common.events import metrics
from libs.common.events.backoff import Backoff
from libs.common.events.broker import BrokerUnavailable, declare
from libs.common.events.broker.publisher import Outgoing, PipelinedPublisher, Sent
from libs.common.events.topology import Topology
from libs.common.telemetry import Part, logger, recording, spans_beside

LOCK: Final = "relay"
BATCH_EVENTS: Final = 500
BATCHES_IN_FLIGHT: Final = 2
"""While the broker works on one full batch, the next is taken from the outbox; each holds a connection to the database."""
CONFIRM_SECONDS: Final = 5.0
"""How long a batch stays open for its confirms: longer would hold rows and a connection while the broker is blocked."""
POLL_SECONDS: Final = 1.0
STANDBY_SECONDS: Final = 1.0

# Refused at once while somebody waits to have the table alone, as the job does that makes and drops weeks.
_FILE_NOW: Final = text("LOCK TABLE ONLY event_archive IN ROW EXCLUSIVE MODE NOWAIT")
_LOCK_NOT_AVAILABLE: Final = "55P03"
# In structured mode the attribute stands once, unescaped; a quote in a text of the data would be escaped.
_TRACEPARENT: Final = re.compile(rb'"traceparent":"(00-[0-9a-f]{32}-[0-9a-f]{16}-01)"')

log = logger(__name__)


class ArchiveTaken(Exception):
    """Somebody waits for the archive, and so for the batches in flight: they land before another is taken."""


class Flight:
    """One batch between outbox and broker: its transaction is open until every confirm is in."""

    def __init__(self, database: Database) -> None:
        self._open = ExitStack()
        self._tx = self._open.enter_context(database.transaction())
        self.ids: list[int] = []
        self.sent = Sent(set(), 0)

    def take(self, claim: Select[Any], held: Sequence[int]) -> list[Outgoing]:
        """The oldest events, in their order, but for those that other flights of this relay hold. Raises ArchiveTaken."""
        if held:
            self._file_now()
        rows = sorted(self._tx.all(claim, {"batch": BATCH_EVENTS, "held": held}), key=lambda row: row.id)
        self.ids = [row.id for row in rows]
        return [Outgoing(row.event_id, row.type, bytes(row.body)) for row in rows]

    def _file_now(self) -> None:
        try:
            self._tx.execute(_FILE_NOW)
        except DBAPIError as error:
            if getattr(error.orig, "pgcode", None) == _LOCK_NOT_AVAILABLE:
                raise ArchiveTaken from error
            raise

    def traced(self, events: Sequence[Outgoing]) -> None:
        """A span from here to the end of the flight, in the trace of each event that has a sampled one."""
        if not recording():
            return
        found = ((each.type, _TRACEPARENT.search(each.body)) for each in events)
        parts = [Part(f"{name} publish", match[1].decode()) for name, match in found if match]
        self._open.enter_context(spans_beside(parts, SpanKind.PRODUCER))

    def land(self) -> None:
        """Commit the removal."""
        self._open.close()

    def turn_back(self, error: BaseException) -> None:
        """Leave the events in the outbox."""
        # The transaction's block ends as if the error had been raised in it. A lost connection rolls back by itself.
        with suppress(SQLAlchemyError):
            self._open.__exit__(type(error), error, error.__traceback__)


class Relay:
    """Publishes what transactions left in the outbox, in the order of each aggregate, at least once."""

    def __init__(self, database: Database, amqp_url: str, locks: AdvisoryLocks) -> None:
        self._database = database
        self._amqp_url = amqp_url
        self._locks = locks
        self._publisher = PipelinedPublisher(amqp_url, database.schema)
        self._claim = _claim(database.metadata)
        self._flights: deque[Flight] = deque()
        self._backoff = Backoff()
        self.active = threading.Event()
        """Set while this relay holds the lock and a connection."""
        self.cut_off = threading.Event()
        """Set from a failure of the broker until it is reached again."""
        metrics.RELAY_ACTIVE.labels(database.schema).set_function(self.active.is_set)

    def wake(self) -> None:
        """Look into the outbox now; safe from any thread."""
        self._publisher.wake()

    def run(self, stopping: threading.Event) -> None:
        """Publish until stopping; what is in hand is finished first."""
        while not stopping.is_set():
            try:
                if self._locks.try_acquire(LOCK):
                    self._lead(stopping)
                else:
                    stopping.wait(STANDBY_SECONDS)
            except (BrokerUnavailable, SQLAlchemyError) as error:
                self._give_up(error)
                self._backoff.wait(stopping)
        self._publisher.close()
        self._locks.release(LOCK)

    def _lead(self, stopping: threading.Event) -> None:
        declare(self._amqp_url, Topology())
        self._publisher.open()
        self.active.set()
        self.cut_off.clear()
        log.info("relay.active")
        try:
            # A lock lives as long as its session: asked again before each batch, so that two relays never work side by side.
            while self._locks.try_acquire(LOCK):
                more = self.publish_batch() == BATCH_EVENTS
                self._backoff.reset()
                if stopping.is_set():
                    break
                if not more:
                    self._publisher.wait(POLL_SECONDS)
            while self._flights:
                self._land()
            # On standby nobody would answer its heartbeats, and the next lead opens another.
            self._publisher.close()
        except BaseException as error:
            while self._flights:
                self._flights.pop().turn_back(error)
            raise
        finally:
            self.active.clear()

    def publish_batch(self) -> int:
        """Take the oldest events and publish them; their removal is committed only after every confirm. Returns how many.

        A full batch stays in flight while the next is taken, and lands before the next does; any other lands at once, after
        those before it. Dying in between publishes them again: the inbox of each subscriber absorbs it.
        """
        held = [each for flight in self._flights for each in flight.ids]
        flight = Flight(self._database)
        self._flights.append(flight)
        try:
            events = flight.take(self._claim, held)
        except ArchiveTaken as error:
            self._flights.pop().turn_back(error)
            while self._flights:
                self._land()
            return self.publish_batch()
        flight.traced(events)
        flight.sent = self._publisher.send(events)
        flying = BATCHES_IN_FLIGHT - 1 if len(events) == BATCH_EVENTS else 0
        while len(self._flights) > flying:
            self._land()
        return len(events)

    def _land(self) -> None:
        """Commit the removal of the oldest batch in flight once the broker has all of it."""
        flight = self._flights[0]
        self._publisher.confirm(flight.sent, timeout_seconds=CONFIRM_SECONDS)
        flight.land()
        self._flights.popleft()
        metrics.PUBLISHED.labels(self._database.schema).inc(len(flight.ids))

    def _give_up(self, error: Exception) -> None:
        broker_at_fault = isinstance(error, BrokerUnavailable)
        if broker_at_fault:
            self.cut_off.set()
        reason = str(error) if broker_at_fault else type(error).__name__
        log.warning("relay.interrupted", reason=reason, failures=self._backoff.failures)
        metrics.PUBLISH_FAILURES.labels(self._database.schema, "broker" if broker_at_fault else "database").inc()
        self._publisher.sever()
        # Another replica may still reach the broker.
        self._locks.release(LOCK)


def _claim(metadata: MetaData) -> Select[Any]:
    """Delete the oldest rows, file them in the archive without personal values, and return what to publish."""
    tables = kernel_tables(metadata)
    outbox, archive = tables.outbox, tables.event_archive
    # By name, not by SKIP LOCKED: events that a relay without its lock still holds are waited for, never overtaken.
    not_held = outbox.c.id != all_(bindparam("held", type_=ARRAY(BigInteger)))
    oldest = select(outbox.c.id).where(not_held).order_by(outbox.c.id).limit(bindparam("batch")).scalar_subquery()
    # An array, not IN: statistics of an outbox that was just empty make a join compare every row with every other.
    taken = delete(outbox).where(outbox.c.id == any_(func.array(oldest))).returning(*outbox.c).cte("taken")
    columns = ["event_id", "type", "aggregate_type", "aggregate_id", "sequence", "body", "recorded_at"]
    filed = select(
        taken.c.event_id,
        taken.c.type,
        taken.c.aggregate_type,
        taken.c.aggregate_id,
        taken.c.sequence,
        taken.c.archive_body,
        taken.c.created_at,
    )
    archived = insert(archive).from_select(columns, filed).cte("archived")
    return select(taken.c.id, cast(taken.c.event_id, Text), taken.c.type, taken.c.body).add_cte(archived)
