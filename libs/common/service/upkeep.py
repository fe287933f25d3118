"""Due work that every service has."""

from libs.common.db import KernelTables, Transaction
from libs.common.http import idempotency
from libs.common.jobs import every


@every(hours=1)
def purge_idempotency_keys(tx: Transaction, tables: KernelTables) -> int:
    """Forget kept answers that nobody may ask for again."""
    return idempotency.purge(tx, tables)
