"""The effect of an event happens once: its inbox row is written in the transaction of the effect."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from functools import lru_cache
from uuid import UUID

from opentelemetry.trace import SpanKind
from sqlalchemy import MetaData
from sqlalchemy.dialects.postgresql import insert

from libs.common.db import Database, Transaction, kernel_tables
from libs.common.events.envelope import Envelope
from libs.common.events.gate import Gate, decide
from libs.common.events.subscriptions import Subscription
from libs.common.telemetry import context, span


class Outcome(StrEnum):
    """What a delivery came to."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    PARKED = "parked"
    IGNORED = "ignored"
    """No handler for this type: an ordered subscription passes over it."""


class Inbox:
    """The inbox rows of one service."""

    def __init__(self, metadata: MetaData) -> None:
        inbox = kernel_tables(metadata).inbox
        self._claim = insert(inbox).on_conflict_do_nothing().returning(inbox.c.event_id)

    def claim(self, tx: Transaction, subscription: str, event_ids: Iterable[UUID]) -> set[UUID]:
        """Write the rows, in sorted order against deadlocks; the ids that were not there before."""
        rows = [{"subscription": subscription, "event_id": each, "applied_at": tx.now} for each in sorted(set(event_ids))]
        return {row.event_id for row in tx.execute(self._claim, rows)} if rows else set()


@lru_cache(maxsize=32)
def inbox_of(metadata: MetaData) -> Inbox:
    """The inbox of a schema; its statements are built once."""
    return Inbox(metadata)


@lru_cache(maxsize=32)
def gate_of(metadata: MetaData) -> Gate:
    """The gate of a schema; its statements are built once."""
    return Gate(metadata)


Resources = Mapping[type, object]


def apply(
    database: Database,
    subscription: Subscription,
    envelopes: Sequence[Envelope],
    resources: Resources,
    *,
    successors: bool = True,
) -> list[Outcome]:
    """Apply a batch in one transaction: inbox rows, gate and effects together; one outcome a delivery.

    `successors` also applies parked events that become due. Whatever a handler raises rolls everything back and is raised.
    """
    with database.transaction() as tx:
        work = _Batch(tx, database.metadata, subscription, resources)
        return work.in_order(envelopes, successors=successors) if subscription.ordered else work.as_they_come(envelopes)


class _Batch:
    def __init__(self, tx: Transaction, metadata: MetaData, subscription: Subscription, resources: Resources) -> None:
        self._tx = tx
        self._inbox, self._gate = inbox_of(metadata), gate_of(metadata)
        self._subscription = subscription
        self._resources = resources

    def as_they_come(self, envelopes: Sequence[Envelope]) -> list[Outcome]:
        fresh = self._inbox.claim(self._tx, self._subscription.name, (each.id for each in envelopes))
        outcomes = []
        for envelope in envelopes:
            outcomes.append(self._handle(envelope) if envelope.id in fresh else Outcome.DUPLICATE)
            fresh.discard(envelope.id)
        return outcomes

    def in_order(self, envelopes: Sequence[Envelope], *, successors: bool) -> list[Outcome]:
        name, tx = self._subscription.name, self._tx
        arrived: dict[str, dict[int, Envelope]] = {}
        for envelope in envelopes:
            arrived.setdefault(envelope.subject, {})[envelope.sequence] = envelope
        last = self._gate.lock(tx, name, arrived)
        ready = sorted(aggregate for aggregate, mine in arrived.items() if last[aggregate] + 1 in mine)
        parked = self._gate.parked(tx, name, ready) if successors and ready else {}
        due: list[Envelope] = []
        early: list[Envelope] = []
        for aggregate, mine in arrived.items():
            waiting = parked.get(aggregate, {})
            decision = decide(last[aggregate], mine.keys(), waiting.keys())
            at_hand = waiting | mine
            due += [at_hand[sequence] for sequence in decision.apply]
            early += [mine[sequence] for sequence in decision.park]
        outcomes = self._apply_due(due) | {each.id: Outcome.PARKED for each in early}
        self._gate.park(tx, name, early)
        passed = {each.subject: last[each.subject] for each in envelopes if each.sequence <= last[each.subject]}
        self._gate.advance(tx, name, passed | {each.subject: each.sequence for each in due})
        return [outcomes.pop(each.id, Outcome.DUPLICATE) for each in envelopes]

    def _apply_due(self, due: Sequence[Envelope]) -> dict[UUID, Outcome]:
        # The gate alone tells duplicates; the inbox also knows what was applied before the subscription became ordered.
        fresh = self._inbox.claim(self._tx, self._subscription.name, (each.id for each in due))
        return {each.id: self._handle(each) if each.id in fresh else Outcome.DUPLICATE for each in due}

    def _handle(self, envelope: Envelope) -> Outcome:
        handler = self._subscription.handler(envelope.type)
        if handler is None:
            return Outcome.IGNORED
        with handling(envelope, self._subscription.name):
            handler.call(envelope, tx=self._tx, resources=self._resources)
        return Outcome.APPLIED


@contextmanager
def handling(envelope: Envelope, subscription: str) -> Iterator[None]:
    """What is logged, published and traced in here is caused by this event."""
    with (
        context.bound(correlation_id=envelope.correlation_id, causation_id=str(envelope.id), actor=envelope.actor),
        span(f"{envelope.type} process", envelope.traceparent, SpanKind.CONSUMER, subscription=subscription),
    ):
        yield
