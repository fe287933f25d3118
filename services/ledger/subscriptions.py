"""What the ledger listens to: everything."""

from libs.common.db import Transaction
from libs.common.events import Envelope, on_every_event
from services.ledger import use_cases


@on_every_event()
def record_event(envelope: Envelope, tx: Transaction) -> None:
    """Take every event's leaf in; sealing follows at once, in a transaction of its own."""
    use_cases.record_event(tx, envelope)
