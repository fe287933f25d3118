"""From the outbox to the broker. One relay of a service is active at a time; the others stand by."""

import threading
from typing import Any, Final

from sqlalchemy import MetaData, Select, bindparam, delete, insert, select
from sqlalchemy.exc import SQLAlchemyError

from libs.common.db import Database, kernel_tables
from libs.common.db.locks import AdvisoryLocks
from libs.common.events import metrics
from libs.common.events.backoff import Backoff
from libs.common.events.broker import BrokerUnavailable, Outgoing, PipelinedPublisher, declare
from libs.common.events.topology import Topology
from libs.common.telemetry import logger

LOCK: Final = "relay"
BATCH_EVENTS: Final = 500
CONFIRM_SECONDS: Final = 5.0
"""How long a batch stays open for its confirms: longer would hold rows and a connection while the broker is blocked."""
POLL_SECONDS: Final = 1.0
STANDBY_SECONDS: Final = 1.0

log = logger(__name__)


class Relay:
    """Publishes what transactions left in the outbox, in the order of each aggregate, at least once."""

    def __init__(self, database: Database, amqp_url: str, locks: AdvisoryLocks) -> None:
        self._database = database
        self._amqp_url = amqp_url
        self._locks = locks
        self._publisher = PipelinedPublisher(amqp_url, database.schema)
        self._claim = _claim(database.metadata)
        self._backoff = Backoff()
        self.active = threading.Event()
        """Set while this relay holds the lock and a connection."""
        self.cut_off = threading.Event()
        """Set from a failure of the broker until it is reached again."""

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
                published = self.publish_batch()
                self._backoff.reset()
                if stopping.is_set():
                    return
                if published < BATCH_EVENTS:
                    self._publisher.wait(POLL_SECONDS)
        finally:
            self.active.clear()

    def publish_batch(self) -> int:
        """Take the oldest events, publish them, and commit their removal only after every confirm.

        Dying in between publishes them again: the inbox of each subscriber absorbs it.
        """
        with self._database.transaction() as tx:
            rows = tx.all(self._claim, {"batch": BATCH_EVENTS})
            if rows:
                rows.sort(key=lambda row: row.id)
                batch = [Outgoing(str(row.event_id), row.type, bytes(row.body)) for row in rows]
                self._publisher.publish(batch, timeout_seconds=CONFIRM_SECONDS)
        metrics.PUBLISHED.labels(self._database.schema).inc(len(rows))
        return len(rows)

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
    oldest = select(outbox.c.id).order_by(outbox.c.id).limit(bindparam("batch")).scalar_subquery()
    taken = delete(outbox).where(outbox.c.id.in_(oldest)).returning(*outbox.c).cte("taken")
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
    return select(taken.c.id, taken.c.event_id, taken.c.type, taken.c.body).add_cte(archived)
