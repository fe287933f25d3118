"""Order within an aggregate: apply the next event, park an early one, drop one that was applied."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import BindParameter, MetaData, and_, bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from libs.common.db import Reader, Transaction, kernel_tables
from libs.common.events.envelope import Envelope

BASELINE: Final = 0
"""A gate that was never set waits for sequence 1: a subscriber sees each aggregate from its beginning."""
PARKED_AT_ONCE: Final = 500
"""Parked events that one transaction applies at most."""


@dataclass(frozen=True)
class Decision:
    """What becomes of one aggregate's events that are at hand."""

    apply: tuple[int, ...]
    """Sequences to apply now, in this order; contiguous with what was applied."""
    park: tuple[int, ...]
    """Sequences that came early and are not parked yet."""


def decide(last: int, arrived: Collection[int], parked: Collection[int]) -> Decision:
    """Sort out sequences given the last one applied; anything at or below it was applied before."""
    at_hand = {*arrived, *parked}
    due = last + 1
    while due in at_hand:
        due += 1
    early = {sequence for sequence in arrived if sequence >= due}
    return Decision(apply=tuple(range(last + 1, due)), park=tuple(sorted(early.difference(parked))))


class Gate:
    """The gate's rows of one service."""

    def __init__(self, metadata: MetaData) -> None:
        tables = kernel_tables(metadata)
        gate, parked = tables.sequence_gate, tables.parked_events
        mine = gate.c.subscription == bindparam("subscription_name")
        parked_here = parked.c.subscription == bindparam("subscription_name")
        among: BindParameter[list[str]] = bindparam("aggregates", expanding=True)
        one: BindParameter[str] = bindparam("aggregate")
        # RETURNING makes SQLAlchemy send all rows as one statement: a sixth of the time of a row at a time.
        self._open = insert(gate).on_conflict_do_nothing().returning(gate.c.aggregate_id)
        # Locked in sorted order, so that two replicas never wait for each other.
        self._lock = (
            select(gate.c.aggregate_id, gate.c.last_sequence)
            .where(mine, gate.c.aggregate_id.in_(among))
            .order_by(gate.c.aggregate_id)
            .with_for_update()
        )
        moved = insert(gate)
        self._advance = moved.on_conflict_do_update(
            index_elements=["subscription", "aggregate_id"],
            set_={"last_sequence": func.greatest(gate.c.last_sequence, moved.excluded.last_sequence)},
        ).returning(gate.c.aggregate_id)
        self._parked = (
            select(parked.c.aggregate_id, parked.c.sequence, parked.c.body)
            .where(parked_here, parked.c.aggregate_id.in_(among))
            .order_by(parked.c.sequence)
            .limit(PARKED_AT_ONCE)
        )
        self._park = insert(parked).on_conflict_do_nothing()
        self._forget = delete(parked).where(
            parked_here,
            parked.c.aggregate_id.in_(among),
            gate.c.subscription == parked.c.subscription,
            gate.c.aggregate_id == parked.c.aggregate_id,
            parked.c.sequence <= gate.c.last_sequence,
        )
        self._take = delete(parked).where(
            parked_here, parked.c.aggregate_id == one, parked.c.sequence == bindparam("taken_sequence")
        )
        next_in_line = and_(
            gate.c.subscription == parked.c.subscription,
            gate.c.aggregate_id == parked.c.aggregate_id,
            parked.c.sequence <= gate.c.last_sequence + 1,
        )
        self._due = select(parked.c.body).join(gate, next_in_line).where(parked_here).order_by(parked.c.parked_at)
        self._due_of_one = self._due.where(parked.c.aggregate_id == one)

    def lock(self, tx: Transaction, subscription: str, aggregates: Iterable[str]) -> dict[str, int]:
        """Hold the gates of these aggregates until the commit; the last applied sequence of each."""
        names = sorted(set(aggregates))
        rows = [{"subscription": subscription, "aggregate_id": name, "last_sequence": BASELINE} for name in names]
        tx.execute(self._open, rows)
        locked = tx.all(self._lock, {"subscription_name": subscription, "aggregates": names})
        return {row.aggregate_id: row.last_sequence for row in locked}

    def parked(self, tx: Reader, subscription: str, aggregates: Sequence[str]) -> dict[str, dict[int, Envelope]]:
        """Parked events by aggregate and sequence, the lowest first; what is over the limit has its turn later."""
        found: dict[str, dict[int, Envelope]] = {}
        for row in tx.all(self._parked, {"subscription_name": subscription, "aggregates": aggregates}):
            found.setdefault(row.aggregate_id, {})[row.sequence] = Envelope.decode(row.body)
        return found

    def park(self, tx: Transaction, subscription: str, envelopes: Sequence[Envelope]) -> None:
        """Keep early events until their turn."""
        if envelopes:
            rows = [
                {
                    "subscription": subscription,
                    "aggregate_id": each.subject,
                    "sequence": each.sequence,
                    "event_id": each.id,
                    "body": each.encode(),
                    "parked_at": tx.now,
                }
                for each in sorted(envelopes, key=lambda it: (it.subject, it.sequence))
            ]
            tx.execute(self._park, rows)

    def advance(self, tx: Transaction, subscription: str, last: Mapping[str, int]) -> None:
        """Let each aggregate pass up to this sequence and forget what was parked below it.

        It is also how a dead letter is dropped and how a new subscriber gets its baseline.
        """
        if last:
            names = sorted(last)
            rows = [{"subscription": subscription, "aggregate_id": name, "last_sequence": last[name]} for name in names]
            tx.execute(self._advance, rows)
            tx.execute(self._forget, {"subscription_name": subscription, "aggregates": names})

    def take(self, tx: Transaction, subscription: str, envelope: Envelope) -> None:
        """Remove one parked event, because it is somewhere else now."""
        place = {"aggregate": envelope.subject, "taken_sequence": envelope.sequence}
        tx.execute(self._take, {"subscription_name": subscription, **place})

    def due(self, reader: Reader, subscription: str, aggregate: str | None = None, *, limit: int = 1) -> list[Envelope]:
        """Parked events whose turn has come, oldest first; of one aggregate or of all."""
        statement = self._due if aggregate is None else self._due_of_one
        names = {"subscription_name": subscription} | ({} if aggregate is None else {"aggregate": aggregate})
        return [Envelope.decode(row.body) for row in reader.all(statement.limit(limit), names)]
