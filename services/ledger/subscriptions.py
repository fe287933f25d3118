"""What the ledger listens to: everything."""

from collections.abc import Sequence

from libs.common.db import Transaction
from libs.common.events import Envelope, on_every_event
from services.ledger import use_cases


@on_every_event(together=True)
def record_events(envelopes: Sequence[Envelope], tx: Transaction) -> None:
    """Take the leaves of a batch in at once; sealing follows, in a transaction of its own."""
    use_cases.record_events(tx, envelopes)
