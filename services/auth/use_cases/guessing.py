"""Count wrong passwords: equally whether or not the account exists, and no guess too many under any race."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, delete, update
from sqlalchemy.dialects.postgresql import insert

from libs.common.db import Transaction
from libs.common.errors import Problem
from libs.common.telemetry import logger
from services.auth import queries
from services.auth.domain.accounts import Address
from services.auth.domain.lockout import Counter, WrongCredentials
from services.auth.domain.secrets import MasterSecret
from services.auth.models import login_failure

log = logger(__name__)

_of_counter = (
    login_failure.c.address_key == bindparam("of_address"),
    login_failure.c.holder_key == bindparam("of_holder"),
)
# Inserts the row or locks the one that is there: either way nobody else counts until the transaction ends.
_hold_failures = insert(login_failure).on_conflict_do_update(
    index_elements=["address_key", "holder_key"], set_={"address_key": insert(login_failure).excluded.address_key}
)
_count_failure = (
    update(login_failure)
    .where(*_of_counter)
    .values(failures=bindparam("count"), last_failed_at=bindparam("last_at"), locked_until=bindparam("until"))
)
_clear_counter = delete(login_failure).where(*_of_counter)
_clear_address = delete(login_failure).where(login_failure.c.address_key == bindparam("of_address"))


def strangers(secret: MasterSecret, address: Address) -> Counter:
    """Where wrong passwords for an address count that come from anybody."""
    return Counter(secret.pseudonym(address))


def holder_of_session(secret: MasterSecret, address: Address, session_id: UUID) -> Counter:
    """Where wrong passwords count that come with an access token of this session of the account."""
    return Counter(secret.pseudonym(address), secret.pseudonym(f"session {session_id}"))


def holder_of_device(secret: MasterSecret, address: Address, number: bytes) -> Counter:
    """Where wrong passwords count that come from a device on which the account was opened before."""
    return Counter(secret.pseudonym(address), secret.pseudonym(f"device {number.hex()}"))


def codes_of(secret: MasterSecret, user_id: UUID) -> Counter:
    """Where wrong codes of an account's second factor count, from anybody: a right password does not forget them."""
    return Counter(secret.pseudonym(f"second factor of {user_id}"))


def judge_password(
    tx: Transaction, counter: Counter, account: Row[Any] | None, *, correct: bool, what: str = "password"
) -> Problem | None:
    """Count a wrong password, or `what` else it is, or forget earlier ones; return the refusal.

    The count is judged again under a lock: of many guesses made at once, no more are answered than the lockout allows.
    """
    if not correct:
        values = {"address_key": counter.address_key, "holder_key": counter.holder_key}
        tx.execute(_hold_failures, {**values, "failures": 0, "last_failed_at": None, "locked_until": None})
    failures = queries.failures(tx, counter, lock=True)
    refused = failures.refuse(tx.now)
    if refused:
        log.warning("auth.login.refused", reason=type(refused).__name__)
        return refused
    of_counter = {"of_address": counter.address_key, "of_holder": counter.holder_key}
    if correct:
        tx.execute(_clear_counter, of_counter)
        return None
    after = failures.one_more(tx.now)
    tx.execute(_count_failure, {**of_counter, "count": after.count, "last_at": after.last_at, "until": after.locked_until})
    user_id = account.id if account else None
    reason = f"wrong_{what}" if account else "unknown_account"
    log.warning("auth.login.refused", reason=reason, failures=after.count, user_id=user_id)
    if after.locked_until:
        # On record for addresses without an account too: that there is none must not be told by the time that this takes.
        tx.audit("login.lock", "user", user_id or "unknown", details={"failures": after.count})
    return WrongCredentials("The e-mail address or the password is wrong.", code=None)


def clear_codes(tx: Transaction, secret: MasterSecret, user_id: UUID) -> int:
    """Forget every wrong code given for an account's second factor; returns on how many counters there were some."""
    return tx.execute(_clear_address, {"of_address": codes_of(secret, user_id).address_key}).rowcount


def clear_failures(tx: Transaction, secret: MasterSecret, address: Address) -> int:
    """Forget every wrong password given for an address, whoever gave it; returns on how many counters there were some."""
    return tx.execute(_clear_address, {"of_address": secret.pseudonym(address)}).rowcount
