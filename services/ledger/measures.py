"""What the ledger measures of itself: how far sealing is behind what arrived."""

from prometheus_client import Gauge

from libs.common import clock
from libs.common.db import Reader
from libs.common.measures import measure
from services.ledger import queries

PENDING = Gauge("lumiere_ledger_pending_leaves", "Leaves that no checkpoint covers yet")
PENDING_AGE = Gauge("lumiere_ledger_pending_oldest_seconds", "Age of the oldest leaf that no checkpoint covers")
SIZE = Gauge("lumiere_ledger_checkpoint_size", "Leaves that the newest checkpoint covers")
SIGNED_AT = Gauge("lumiere_ledger_checkpoint_timestamp_seconds", "When the newest checkpoint was signed")


@measure()
def lag(db: Reader) -> None:
    """What waits to be sealed, and the newest checkpoint."""
    waiting, newest = queries.pending(db), queries.newest_checkpoint(db)
    PENDING.set(waiting.leaves)
    PENDING_AGE.set((clock.now() - waiting.oldest).total_seconds() if waiting.oldest else 0)
    if newest is not None:
        SIZE.set(newest.size)
        SIGNED_AT.set(newest.signed_at.timestamp())
