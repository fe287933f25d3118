"""The event that is measured with, about a kilobyte, and its effect: one row."""

from collections.abc import Callable, Sequence
from types import ModuleType
from uuid import UUID

from sqlalchemy import insert

from libs.common import clock
from libs.common.db import Transaction
from libs.common.events import Delivered, Envelope, on
from libs.common.events.broker.publisher import Outgoing
from libs.common.events.envelope import schema_address
from libs.common.events.subscriptions import Subscriptions, collect
from libs.common.events.tests.live import Noted, effect, record
from libs.common.ids import new_id

NOTE = "n" * 600
"""Makes an event of about a kilobyte."""


class Moments:
    """When the effect of each event was committed, on the clock that all processes of a machine share."""

    def __init__(self) -> None:
        self.done: dict[UUID, float] = {}

    def applied(self, event_ids: Sequence[UUID]) -> None:
        """The effects of these events are committed."""
        self.done |= dict.fromkeys(event_ids, clock.monotonic())


@on(Noted)
def keep(event: Noted, tx: Transaction, envelope: Envelope, moments: Moments) -> None:
    """A handler of one event at a time."""
    record(tx, envelope, len(event.note))
    tx.after_commit(lambda: moments.applied([envelope.id]))


@on(Noted, together=True)
def keep_all(events: Sequence[Delivered[Noted]], tx: Transaction, moments: Moments) -> None:
    """A set-based handler: one statement for all."""
    rows = [
        {
            "event_id": each.envelope.id,
            "subject": each.envelope.subject,
            "sequence": each.envelope.sequence,
            "number": len(each.event.note),
        }
        for each in events
    ]
    tx.execute(insert(effect), rows)
    tx.after_commit(lambda: moments.applied([each.envelope.id for each in events]))


HANDLERS: dict[str, Callable[..., None]] = {"keep": keep, "keep_all": keep_all}


def subscribed(consumer: str, handler: Callable[..., None]) -> Subscriptions:
    """The subscription of one of the handlers; all share a queue."""
    module = ModuleType(__name__)
    setattr(module, handler.__name__, handler)
    return collect(consumer, [module])


def a_note() -> Noted:
    """A fact about a new reel."""
    return Noted(reel_id=new_id(), note=NOTE)


def outgoing() -> Outgoing:
    """A note as its producer's relay would publish it."""
    fact = a_note()
    envelope = Envelope(
        id=new_id(),
        source=f"/services/{Noted.service()}",
        type=Noted.event_type,
        subject=fact.aggregate_id(),
        time=clock.now(),
        dataschema=schema_address(Noted.event_type, Noted.event_version),
        sequence=1,
        correlation_id=new_id().hex,
        data=fact.wire_data(None),
    )
    return Outgoing(str(envelope.id), envelope.type, envelope.encode())
