"""Sign in with a password: equal work and equal answers whether or not the account exists."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, bindparam, delete, update
from sqlalchemy.dialects.postgresql import insert

from libs.common import clock
from libs.common.db import Database, Transaction
from libs.common.errors import Problem
from libs.common.telemetry import logger
from services.auth import queries
from services.auth.domain.accounts import AccountNotVerified, AccountSuspended, Address, Status
from services.auth.domain.factors import PASSWORD, SEVERAL_FACTORS
from services.auth.domain.lockout import WrongCredentials
from services.auth.domain.notices import Notice
from services.auth.domain.passwords import PasswordHasher
from services.auth.domain.secrets import MasterSecret
from services.auth.domain.sessions import Lifetimes
from services.auth.models import login_failure
from services.auth.use_cases import challenges
from services.auth.use_cases.notices import tell
from services.auth.use_cases.sessions import Credentials, Opening, open_session

log = logger(__name__)

PASSWORD_METHOD = (PASSWORD,)
"""Authentication method of a password (RFC 8176)."""

# Inserts the row or locks the one that is there: either way nobody else counts until the transaction ends.
_hold_failures = insert(login_failure).on_conflict_do_update(
    index_elements=["address_key"], set_={"address_key": insert(login_failure).excluded.address_key}
)
_count_failure = (
    update(login_failure)
    .where(login_failure.c.address_key == bindparam("key"))
    .values(failures=bindparam("count"), last_failed_at=bindparam("last_at"), locked_until=bindparam("until"))
)
_clear_failures = delete(login_failure).where(login_failure.c.address_key == bindparam("key"))


@dataclass(frozen=True, slots=True)
class Attempt:
    """What somebody presents to sign in."""

    address: Address
    password: str
    device_label: str


def sign_in(
    database: Database, attempt: Attempt, hasher: PasswordHasher, secret: MasterSecret, lifetimes: Lifetimes
) -> Credentials | Problem:
    """Open a session, or return the refusal: it is remembered, so it commits."""
    key = secret.pseudonym(attempt.address)
    with database.reader() as db:
        locked = queries.failures(db, key).locked(clock.now())
        account = queries.account_by_address(db, attempt.address)
    if locked:
        log.warning("auth.login.refused", reason="locked")
        return locked
    correct = hasher.verify(attempt.password, account.password_hash if account else None)
    with database.transaction() as tx:
        refusal = judge_password(tx, key, account, correct=correct)
        if refusal or account is None:
            return refusal or WrongCredentials()
        return enter(tx, account, Opening(PASSWORD_METHOD, attempt.device_label), lifetimes)


def judge_password(tx: Transaction, key: bytes, account: Row[Any] | None, *, correct: bool) -> Problem | None:
    """Count a wrong password or forget earlier ones; return the refusal.

    The count is judged again under a lock: of many guesses made at once, no more are answered than the lockout allows.
    """
    if not correct:
        tx.execute(_hold_failures, {"address_key": key, "failures": 0, "last_failed_at": None, "locked_until": None})
    failures = queries.failures(tx, key, lock=True)
    locked = failures.locked(tx.now)
    if locked:
        log.warning("auth.login.refused", reason="locked")
        return locked
    if correct:
        clear_failures(tx, key)
        return None
    after = failures.one_more(tx.now)
    tx.execute(_count_failure, {"key": key, "count": after.count, "last_at": after.last_at, "until": after.locked_until})
    reason = "wrong_password" if account else "unknown_account"
    log.warning("auth.login.refused", reason=reason, failures=after.count, user_id=account.id if account else None)
    return WrongCredentials("The e-mail address or the password is wrong.", code=None)


def clear_failures(tx: Transaction, key: bytes) -> None:
    """Forget the wrong passwords given for an address."""
    tx.execute(_clear_failures, {"key": key})


def enter(tx: Transaction, seen: Row[Any], opening: Opening, lifetimes: Lifetimes) -> Credentials | Problem:
    """Open a session for an account as seen when its owner authenticated, however that was; or return the refusal.

    An account with a second factor is entered by nothing less: SecondFactorRequired then, and what was shown so far is kept
    under its challenge.
    """
    account = queries.account_to_enter(tx, seen.id)
    refusal = _refuse_entry(account, seen)
    if refusal:
        log.warning("auth.login.refused", reason=type(refusal).__name__, user_id=account.id)
        return refusal
    enrolled = queries.enrolled(tx, account.id)
    if enrolled.any and SEVERAL_FACTORS not in opening.methods:
        log.info("auth.login.second_factor_required", user_id=account.id)
        return challenges.ask(tx, account, opening, enrolled.factors)
    unknown = queries.device_is_new(tx, account.id, opening.device_label)
    credentials = open_session(tx, account, opening, lifetimes)
    if unknown:
        tell(tx, account.id, Notice.NEW_SIGN_IN, device=opening.device_label)
    log.info("auth.login.succeeded", user_id=account.id, session_id=credentials.grant.session_id)
    return credentials


def _refuse_entry(account: Row[Any], seen: Row[Any]) -> Problem | None:
    if account.password_hash != seen.password_hash:
        return WrongCredentials("The password was changed a moment ago; use the new one.", code=None)
    if account.verified_at is None:
        return AccountNotVerified(
            "Confirm your e-mail address first: the link is in the mail that we sent. Register again for a new link."
        )
    if account.status != Status.ACTIVE:
        return AccountSuspended("This account is suspended. Write to support to learn why.")
    return None
