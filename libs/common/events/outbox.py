"""Facts leave in the transaction that makes them true: one outbox row each, numbered within its aggregate."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy import MetaData, bindparam
from sqlalchemy.dialects.postgresql import insert

from libs.common import ids
from libs.common.db import Transaction, kernel_tables
from libs.common.events.envelope import Envelope, Event, schema_address
from libs.common.events.personal import Recipient
from libs.common.telemetry import context

CHANNEL: Final = "outbox"
"""The notification that wakes the relay."""
EVENT_BYTES_MAX: Final = 262_144


class EventTooLarge(ValueError):
    """An event is over the limit: publish a reference to the content instead."""


class Outbox:
    """Writes facts of one service; what `Transaction.publish` calls."""

    def __init__(self, metadata: MetaData, recipient: Recipient | None = None) -> None:
        self._service = str(metadata.schema)
        self._recipient = recipient
        tables = kernel_tables(metadata)
        counter = insert(tables.aggregate_sequence).values(
            aggregate_type=bindparam("aggregate_type"), aggregate_id=bindparam("aggregate_id"), last_sequence=1
        )
        # The row lock that this takes lasts until the commit: sequences of one aggregate are contiguous and in commit order.
        self._next_sequence = counter.on_conflict_do_update(
            index_elements=["aggregate_type", "aggregate_id"],
            set_={"last_sequence": tables.aggregate_sequence.c.last_sequence + 1},
        ).returning(tables.aggregate_sequence.c.last_sequence)
        self._insert = tables.outbox.insert()
        self._insert_commitment = tables.personal_commitment.insert()

    def append(self, tx: Transaction, fact: Any) -> UUID:
        """Write the fact with the transaction's rows; returns the event's id.

        Raises TypeError for what is not an event of this service, EventTooLarge above EVENT_BYTES_MAX.
        """
        event = self._own_event(fact)
        cls = type(event)
        key = {"aggregate_type": cls.aggregate_type(), "aggregate_id": event.aggregate_id()}
        archived = self._envelope(tx, event, sequence=tx.scalar(self._next_sequence, key))
        personal = event.personal_fields()
        wire = archived.model_copy(update={"data": event.wire_data(self._recipient)}) if personal else archived
        body = wire.encode()
        if len(body) > EVENT_BYTES_MAX:
            raise EventTooLarge(
                f"{cls.event_type} takes {len(body)} bytes, the limit is {EVENT_BYTES_MAX}: publish a reference"
            )
        row = {"event_id": wire.id, "type": wire.type, "sequence": wire.sequence, "created_at": tx.now, **key}
        tx.execute(self._insert, row | {"body": body, "archive_body": archived.encode() if personal else body})
        if personal:
            rows = [{"event_id": wire.id, "field": name, "about": it.about, "salt": it.salt} for name, it in personal.items()]
            tx.execute(self._insert_commitment, rows)
        tx.notify(CHANNEL)
        return wire.id

    def _own_event(self, fact: Any) -> Event:
        if not isinstance(fact, Event) or not fact.event_type:
            raise TypeError(f"{type(fact).__name__} is not a declared event")
        if fact.service() != self._service:
            raise TypeError(f"{fact.event_type} belongs to {fact.service()}; {self._service} publishes its own facts only")
        if self._recipient is None and fact.personal_fields():
            raise TypeError(f"{fact.event_type} carries personal values, but no public key to seal them to is configured")
        return fact

    def _envelope(self, tx: Transaction, event: Event, sequence: int) -> Envelope:
        current = context.current()
        event_id = ids.new_id()
        return Envelope(
            id=event_id,
            source=f"/services/{self._service}",
            type=event.event_type,
            subject=event.aggregate_id(),
            time=tx.now,
            dataschema=schema_address(event.event_type, event.event_version),
            sequence=sequence,
            correlation_id=current.correlation_id or current.request_id or str(event_id),
            causation_id=current.causation_id,
            actor=current.actor,
            traceparent=current.traceparent,
            data=event.wire_data(None),
        )
