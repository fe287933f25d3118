"""From a queue into a service: batches in one transaction, each message alone when the batch fails, retries, dead letters."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError

from libs.common import clock
from libs.common.db import Database
from libs.common.events import metrics
from libs.common.events.backoff import Backoff
from libs.common.events.broker import BrokerUnavailable, Received, Session, open_session
from libs.common.events.envelope import Envelope, MalformedEvent
from libs.common.events.failures import DatabaseGone, Failure, classify, is_database_gone
from libs.common.events.inbox import Outcome, Resources, apply, gate_of
from libs.common.events.origin import authenticated
from libs.common.events.retirement import Retirement
from libs.common.events.subscriptions import Subscription
from libs.common.events.topology import RETRY_DELAYS_MS, service_exchange, subscription_topology
from libs.common.telemetry import logger

PREFETCH: Final = 200
PREFETCH_ALONE: Final = 1
SUSPECT_DELIVERIES: Final = 3
"""A message that was given back so often may be what ends its consumers. It is taken alone then: the broker counts a lost
connection against everything that was prefetched, and at DELIVERY_LIMIT the innocent would be dead letters with the guilty."""
HOLD_SECONDS: Final = 30.0
"""How long a batch is kept while the database does not take it, before others may try: giving back counts as a delivery."""
BATCH_EVENTS: Final = 100
BATCH_IDLE_SECONDS: Final = 0.001
WAIT_SECONDS: Final = 0.5
DUE_SCAN_SECONDS: Final = 5.0
"""How often parked events are looked at whose turn came without a message: after a crash, or an operator's drop."""
SUCCESSORS_AT_ONCE: Final = 1_000
"""Parked events applied in a row before the broker hears from us again: a baseline may make a hundred thousand due at once."""

DELIVERIES: Final = "x-delivery-count"
"""What a quorum queue says of a message that was given back."""
ATTEMPTS: Final = "x-attempts"
REASON: Final = "x-reason"
ERROR: Final = "x-error"
FAILED_AT: Final = "x-failed-at"
EVENT_TYPE: Final = "x-event-type"
EVENT_ID: Final = "x-event-id"
TRACEPARENT: Final = "traceparent"

log = logger(__name__)


class Consumer:
    """Works off one subscription's queue; any number of them may run side by side."""

    def __init__(self, database: Database, amqp_url: str, subscription: Subscription, resources: Resources) -> None:
        self._database = database
        self._amqp_url = amqp_url
        self._subscription = subscription
        self._resources = resources
        self._exchange = service_exchange(subscription.consumer)
        self._gate = gate_of(database.metadata)
        self._backoff = Backoff()
        self._scanned_at = 0.0
        self._retirement = Retirement(subscription)
        self.consuming = threading.Event()
        """Set while deliveries are being received."""

    def run(self, stopping: threading.Event) -> None:
        """Consume until stopping; the batch in hand is finished, what was only prefetched goes back to the queue."""
        while not stopping.is_set():
            try:
                # Every lost connection counts as a delivery of what was prefetched: none is opened while the database is away.
                self._due()
                with open_session(self._amqp_url) as session:
                    self._consume(session, stopping)
            except (BrokerUnavailable, DatabaseGone) as error:
                log.warning("consumer.interrupted", subscription=self._subscription.name, reason=str(error))
                self._backoff.wait(stopping)
            finally:
                self.consuming.clear()

    def _consume(self, session: Session, stopping: threading.Event) -> None:
        session.declare(subscription_topology(self._subscription))
        # The first alone: had it ended other consumers, this would be one more.
        alone = True
        session.consume(self._subscription.queue, prefetch=PREFETCH_ALONE)
        self.consuming.set()
        while not stopping.is_set():
            if self._retirement.due:
                self._retirement.look(session)
            batch = session.receive(BATCH_EVENTS, wait_seconds=WAIT_SECONDS, idle_seconds=BATCH_IDLE_SECONDS)
            if batch:
                self._settle_patiently(session, batch, stopping)
                self._backoff.reset()
                if alone != _any_suspect(batch):
                    alone = not alone
                    session.consume(self._subscription.queue, prefetch=PREFETCH_ALONE if alone else PREFETCH)
            self._scan(session)

    def _settle_patiently(self, session: Session, batch: Sequence[Received], stopping: threading.Event) -> None:
        """Settle, again and again while the database is away. Raises DatabaseGone when that lasts, or when stopping."""
        until = clock.monotonic() + HOLD_SECONDS
        while True:
            try:
                self._settle(session, batch)
            except DatabaseGone as error:
                if stopping.is_set() or clock.monotonic() > until:
                    raise
                log.warning("consumer.held", subscription=self._subscription.name, reason=str(error), events=len(batch))
                session.hold(self._backoff.next_seconds())
            else:
                return

    def _settle(self, session: Session, batch: Sequence[Received]) -> None:
        """Apply the batch, or else each message by itself; then everything in it is acknowledged at once."""
        if not self._applied_together(session, batch):
            for received in batch:
                self._settle_alone(session, received)
        session.settle_until(batch[-1].tag)

    def _applied_together(self, session: Session, batch: Sequence[Received]) -> bool:
        try:
            self._apply([authenticated(received, session.user) for received in batch], successors=True)
        except Exception as error:  # noqa: BLE001 - any handler may raise anything; each message is then tried alone
            _raise_when_database_gone(error)
            return False
        return True

    def _settle_alone(self, session: Session, received: Received) -> None:
        envelope: Envelope | None = None
        try:
            envelope = authenticated(received, session.user)
            self._apply([envelope], successors=False)
        except Exception as error:  # noqa: BLE001 - see above
            _raise_when_database_gone(error)
            self._put_aside(session, received.body, received.headers, error, vouched=envelope is not None)
        if envelope is not None and self._subscription.ordered:
            self._apply_successors(session, envelope.subject)

    def _apply(self, envelopes: Sequence[Envelope], *, successors: bool) -> None:
        outcomes = apply(self._database, self._subscription, envelopes, self._resources, successors=successors)
        for outcome in Outcome:
            count = outcomes.count(outcome)
            if count:
                metrics.CONSUMED.labels(self._subscription.name, outcome.value).inc(count)
        for envelope, outcome in zip(envelopes, outcomes, strict=True):
            if outcome is Outcome.PASSED:
                place = {"event_type": envelope.type, "subject": envelope.subject, "sequence": envelope.sequence}
                log.warning("event.passed", subscription=self._subscription.name, event_id=str(envelope.id), **place)

    def _apply_successors(self, session: Session, aggregate: str | None) -> None:
        """Apply parked events whose turn has come, one at a time, so that a bad one is to blame alone."""
        for _ in range(SUCCESSORS_AT_ONCE):
            due = self._due(aggregate)
            if not due:
                return
            try:
                self._apply(due, successors=False)
            except Exception as error:  # noqa: BLE001 - see above
                _raise_when_database_gone(error)
                self._put_aside(session, due[0].encode(), {}, error)
                self._take(due[0])
        # There may be more: the next scan goes on at once.
        self._scanned_at = 0.0

    def _due(self, aggregate: str | None = None) -> list[Envelope]:
        with _database_gone(), self._database.reader() as reader:
            return self._gate.due(reader, self._subscription.name, aggregate)

    def _take(self, envelope: Envelope) -> None:
        with _database_gone(), self._database.transaction() as tx:
            self._gate.take(tx, self._subscription.name, envelope)

    def _scan(self, session: Session) -> None:
        if self._subscription.ordered and clock.monotonic() - self._scanned_at > DUE_SCAN_SECONDS:
            self._scanned_at = clock.monotonic()
            self._apply_successors(session, None)

    def _put_aside(
        self, session: Session, body: bytes, headers: Mapping[str, Any], error: Exception, *, vouched: bool = True
    ) -> None:
        """Send a failed message to the retry ladder or to the dead-letter queue; confirmed before it is acknowledged here.

        What nobody vouched for leaves without our name, so that putting it back never makes it ours.
        """
        failure = classify(error)
        attempts = header_count(headers, ATTEMPTS) + 1
        name = self._subscription.name
        described = _describe(body, failure, attempts)
        if failure.permanent or attempts > len(RETRY_DELAYS_MS):
            session.publish(self._exchange, self._subscription.dead_letter_queue, body, described, vouched=vouched)
            metrics.DEAD_LETTERED.labels(name, failure.error).inc()
            log.error("event.dead_lettered", subscription=name, exc_info=error, **_for_log(described))
        else:
            session.publish(self._exchange, self._subscription.retry_queue(attempts - 1), body, described, vouched=vouched)
            metrics.RETRIED.labels(name).inc()
            log.warning("event.retried", subscription=name, **_for_log(described))


@contextmanager
def _database_gone() -> Iterator[None]:
    """The consumer's own statements blame no message: any error of theirs is the database's."""
    try:
        yield
    except SQLAlchemyError as error:
        raise DatabaseGone(type(error).__name__) from error


def _raise_when_database_gone(error: Exception) -> None:
    if isinstance(error, DatabaseGone):
        raise error
    if is_database_gone(error):
        raise DatabaseGone(type(error).__name__) from error


def _any_suspect(batch: Sequence[Received]) -> bool:
    return any(header_count(received.headers, DELIVERIES) >= SUSPECT_DELIVERIES for received in batch)


def header_count(headers: Mapping[str, Any], name: str) -> int:
    """A header that counts something; 0 when it is absent or no count."""
    count = headers.get(name, 0)
    return count if isinstance(count, int) and count > 0 else 0


def _describe(body: bytes, failure: Failure, attempts: int) -> dict[str, Any]:
    headers: dict[str, Any] = {
        ATTEMPTS: attempts,
        REASON: failure.reason,
        ERROR: failure.error,
        FAILED_AT: clock.now().isoformat(),
    }
    try:
        envelope = Envelope.decode(body)
    except MalformedEvent:
        return headers
    headers |= {EVENT_TYPE: envelope.type, EVENT_ID: str(envelope.id)}
    return headers | ({TRACEPARENT: envelope.traceparent} if envelope.traceparent else {})


def _for_log(headers: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix("x-").replace("-", "_"): value for name, value in headers.items()}
