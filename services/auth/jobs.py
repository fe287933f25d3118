"""Due work of auth."""

from libs.common.db import Transaction
from libs.common.jobs import every
from services.auth.use_cases import purge


@every(minutes=10)
def purge_expired(tx: Transaction) -> int:
    """Delete tokens, sessions and failures that no decision needs any more."""
    return purge.purge(tx)


@every(seconds=15)
def forget_successors(tx: Transaction) -> int:
    """Erase sealed refresh tokens whose window of grace is over."""
    return purge.forget_successors(tx)
