"""Due work that every service has."""

from libs.common.db import Database, KernelTables, Transaction
from libs.common.events import retention as keeping
from libs.common.events.retention import Retention
from libs.common.http import idempotency, proofs
from libs.common.jobs import every


@every(hours=1)
def purge_idempotency_keys(tx: Transaction, tables: KernelTables) -> int:
    """Forget kept answers that nobody may ask for again."""
    return idempotency.purge(tx, tables)


@every(minutes=5)
def purge_used_proofs(tx: Transaction, tables: KernelTables) -> int:
    """Forget proofs of possession that are too old to be taken again."""
    return proofs.purge(tx, tables)


@every(hours=1)
def keep_event_archive(tx: Transaction, retention: Retention) -> int:
    """Make the archive's coming weeks, drop those over the retention."""
    return keeping.keep_archive(tx, retention)


@every(hours=1)
def prune_inbox(database: Database, retention: Retention) -> int:
    """Forget what was applied before anything that could still be replayed."""
    return keeping.prune_inbox(database, retention)
