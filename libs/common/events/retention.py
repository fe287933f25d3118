"""How long what has happened is kept: the archive of published events, and the memory of what was applied."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, select, text

from libs.common import ids
from libs.common.config import RETENTION_DAYS_DEFAULT
from libs.common.db import Database, Transaction

INBOX_MARGIN_DAYS: Final = 30
"""The inbox remembers for longer than the archive, so that whatever can still be replayed is known to have been applied."""
INBOX_BATCH: Final = 5_000

# Unqualified names are the service's own: its connections search its schema alone.
_KEEP_ARCHIVE: Final = text("SELECT keep_event_archive(:days)")
# Names one after the other through the primary key: `SELECT DISTINCT` would read every row.
_SUBSCRIPTIONS: Final = text("""
WITH RECURSIVE known AS (
    (SELECT subscription FROM inbox ORDER BY subscription LIMIT 1)
    UNION ALL
    SELECT (SELECT i.subscription FROM inbox i WHERE i.subscription > k.subscription ORDER BY 1 LIMIT 1)
    FROM known k WHERE k.subscription IS NOT NULL
)
SELECT subscription FROM known WHERE subscription IS NOT NULL
""")
_DATABASE_NOW: Final = select(func.now())
# Event ids carry their time, so the primary key finds old ones; the time of application spares what was applied late.
_FORGET: Final = text("""
DELETE FROM inbox WHERE subscription = :subscription AND event_id IN (
    SELECT event_id FROM inbox
    WHERE subscription = :subscription AND event_id < :made_before AND applied_at < :applied_before
    ORDER BY event_id LIMIT :batch
)
""")


@dataclass(frozen=True)
class Retention:
    """For how many days published events stay in the archive."""

    days: int = RETENTION_DAYS_DEFAULT

    def inbox_cutoff(self, now: datetime) -> datetime:
        """What was applied before this is forgotten."""
        return now - timedelta(days=self.days + INBOX_MARGIN_DAYS)


def keep_archive(tx: Transaction, retention: Retention) -> int:
    """Make the archive's coming weeks, and drop those over the retention; returns how many were dropped."""
    return int(tx.scalar(_KEEP_ARCHIVE, {"days": retention.days}))


def prune_inbox(database: Database, retention: Retention) -> int:
    """Forget what was applied long ago, a batch a transaction; returns how many rows."""
    with database.transaction() as tx:
        names = [row.subscription for row in tx.all(_SUBSCRIPTIONS)]
    return sum(_prune(database, name, retention) for name in names)


def _prune(database: Database, subscription: str, retention: Retention) -> int:
    total, pruned = 0, INBOX_BATCH
    while pruned == INBOX_BATCH:
        with database.transaction() as tx:
            # The archive goes by the database's clock: a process whose own is ahead must not forget what can still be replayed.
            cutoff = retention.inbox_cutoff(min(tx.now, tx.scalar(_DATABASE_NOW)))
            limits = {"made_before": ids.lowest_at(cutoff), "applied_before": cutoff, "batch": INBOX_BATCH}
            pruned = tx.execute(_FORGET, {"subscription": subscription, **limits}).rowcount
        total += pruned
    return total
