"""Lift a lock before its time."""

from uuid import UUID

from libs.common.db import Transaction
from services.auth import queries
from services.auth.domain.secrets import MasterSecret
from services.auth.use_cases.guessing import clear_codes, clear_failures


def unlock(tx: Transaction, user_id: UUID, secret: MasterSecret) -> None:
    """Forget every wrong password and code given for an account, by an administrator's hand; on record.

    Raises UnknownAccount.
    """
    account = queries.account(tx, user_id)
    counters = clear_failures(tx, secret, account.email) + clear_codes(tx, secret, user_id)
    tx.audit("login.unlock", "user", user_id, details={"counters": counters})
