"""The effect of an event happens once: its inbox row is written in the transaction of the effect."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache, partial
from uuid import UUID

from sqlalchemy import BindParameter, MetaData, bindparam, select
from sqlalchemy.dialects.postgresql import insert

from libs.common import clock
from libs.common.db import Database, Reader, Transaction, kernel_tables
from libs.common.events import metrics
from libs.common.events.envelope import Envelope
from libs.common.events.gate import Gate, decide
from libs.common.events.handling import handling, handling_together
from libs.common.events.subscriptions import Handler, Subscription, TogetherHandler


class Outcome(StrEnum):
    """What a delivery came to."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    PARKED = "parked"
    IGNORED = "ignored"
    """No handler for this type: an ordered subscription passes over it."""
    PASSED = "passed"
    """Its number was passed and it never took effect: dropped, before the baseline, or a number that was given out twice."""


class Inbox:
    """The inbox rows of one service."""

    def __init__(self, metadata: MetaData) -> None:
        inbox = kernel_tables(metadata).inbox
        self._claim = insert(inbox).on_conflict_do_nothing().returning(inbox.c.event_id)
        among: BindParameter[list[UUID]] = bindparam("event_ids", expanding=True)
        self._known = select(inbox.c.event_id).where(
            inbox.c.subscription == bindparam("subscription_name"), inbox.c.event_id.in_(among)
        )

    def claim(self, tx: Transaction, subscription: str, event_ids: Iterable[UUID]) -> set[UUID]:
        """Write the rows, in sorted order against deadlocks; the ids that were not there before."""
        rows = [{"subscription": subscription, "event_id": each, "applied_at": tx.now} for each in sorted(set(event_ids))]
        return {row.event_id for row in tx.execute(self._claim, rows)} if rows else set()

    def known(self, reader: Reader, subscription: str, event_ids: Iterable[UUID]) -> set[UUID]:
        """Those of these events that the subscription has behind it."""
        asked = list(event_ids)
        given = {"subscription_name": subscription, "event_ids": asked}
        return {row.event_id for row in reader.all(self._known, given)} if asked else set()


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
        news: dict[UUID, Envelope] = {each.id: each for each in envelopes if each.id in fresh}
        # Nothing here has an order, so a set-based handler gets all of its events at once.
        outcomes = self._handle_all(by_handler(self._subscription, news.values()))
        return [outcomes.pop(each.id, Outcome.DUPLICATE) for each in envelopes]

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
        late = [each.id for each in envelopes if each.sequence <= last[each.subject]]
        strange = set(late) - self._inbox.known(tx, name, late)
        outcomes = dict.fromkeys(strange, Outcome.PASSED) | {each.id: Outcome.PARKED for each in early} | self._apply_due(due)
        self._gate.park(tx, name, early)
        passed = {each.subject: last[each.subject] for each in envelopes if each.sequence <= last[each.subject]}
        self._gate.advance(tx, name, passed | {each.subject: each.sequence for each in due})
        return [outcomes.pop(each.id, Outcome.DUPLICATE) for each in envelopes]

    def _apply_due(self, due: Sequence[Envelope]) -> dict[UUID, Outcome]:
        # The gate alone tells duplicates; the inbox also knows what was applied before the subscription became ordered.
        fresh = self._inbox.claim(self._tx, self._subscription.name, (each.id for each in due))
        known = {each.id: Outcome.DUPLICATE for each in due if each.id not in fresh}
        return known | self._handle_all(in_runs(self._subscription, [each for each in due if each.id in fresh]))

    def _handle_all(self, portions: Iterable[tuple[Handler | None, Sequence[Envelope]]]) -> dict[UUID, Outcome]:
        outcomes: dict[UUID, Outcome] = {}
        for handler, envelopes in portions:
            outcomes |= dict.fromkeys((each.id for each in envelopes), Outcome.APPLIED if handler else Outcome.IGNORED)
            if isinstance(handler, TogetherHandler):
                with handling_together(envelopes, self._subscription.name):
                    handler.call_together(envelopes, tx=self._tx, resources=self._resources)
            elif handler is not None:
                for envelope in envelopes:
                    with handling(envelope, self._subscription.name):
                        handler.call(envelope, tx=self._tx, resources=self._resources)
            if handler is not None:
                self._tx.after_commit(partial(_delivered, self._subscription.name, envelopes))
        return outcomes


def _delivered(subscription: str, envelopes: Iterable[Envelope]) -> None:
    """Their effect is committed: how long that took, those that were parked included."""
    now, delivery = clock.now(), metrics.DELIVERY.labels(subscription)
    for envelope in envelopes:
        delivery.observe(max(0.0, (now - envelope.time).total_seconds()))


def by_handler(subscription: Subscription, envelopes: Iterable[Envelope]) -> list[tuple[Handler | None, list[Envelope]]]:
    """Envelopes in the order of their arrival, but those of one set-based handler together, where the first of them stood."""
    portions: list[tuple[Handler | None, list[Envelope]]] = []
    together: dict[str, list[Envelope]] = {}
    for envelope in envelopes:
        handler = subscription.handler(envelope.type)
        if isinstance(handler, TogetherHandler) and handler.topic in together:
            together[handler.topic].append(envelope)
        else:
            portions.append((handler, [envelope]))
            if isinstance(handler, TogetherHandler):
                together[handler.topic] = portions[-1][1]
    return portions


def in_runs(subscription: Subscription, envelopes: Iterable[Envelope]) -> list[tuple[Handler | None, list[Envelope]]]:
    """Envelopes in their order, cut wherever the handler changes; those that nobody handles do not cut."""
    portions: list[tuple[Handler | None, list[Envelope]]] = []
    ignored: list[Envelope] = []
    for envelope in envelopes:
        handler = subscription.handler(envelope.type)
        if handler is None:
            ignored.append(envelope)
        elif portions and portions[-1][0] is handler:
            portions[-1][1].append(envelope)
        else:
            portions.append((handler, [envelope]))
    return [*portions, (None, ignored)]
