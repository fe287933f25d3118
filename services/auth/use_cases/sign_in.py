"""Sign in with a password: equal work and equal answers whether or not the account exists."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row

from libs.common import clock
from libs.common.db import Database, Transaction
from libs.common.errors import Problem
from libs.common.telemetry import logger
from services.auth import queries
from services.auth.domain.accounts import AccountNotVerified, AccountSuspended, Address, Status
from services.auth.domain.factors import PASSWORD, SEVERAL_FACTORS
from services.auth.domain.known_devices import known_device
from services.auth.domain.limits import Caller, Limit
from services.auth.domain.lockout import Counter, WrongCredentials
from services.auth.domain.passwords import PasswordHasher
from services.auth.domain.secrets import MasterSecret
from services.auth.domain.sessions import Lifetimes
from services.auth.use_cases import challenges, presence
from services.auth.use_cases.guessing import holder_of_device, judge_password, strangers
from services.auth.use_cases.rehashing import keep_current
from services.auth.use_cases.sessions import Credentials, Opening, open_session

log = logger(__name__)

PASSWORD_METHOD = (PASSWORD,)
"""Authentication method of a password (RFC 8176)."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What somebody presents to sign in: with the token of a device where they did before they are no stranger."""

    address: Address
    password: str
    device_label: str
    device_token: str | None = None
    caller: Caller = field(default_factory=Caller)


def sign_in(
    database: Database, attempt: Attempt, hasher: PasswordHasher, secret: MasterSecret, lifetimes: Lifetimes
) -> Credentials | Problem:
    """Open a session, or return the refusal: it is remembered, so it commits."""
    with database.reader() as db:
        account = queries.account_by_address(db, attempt.address)
        counter, caller = _counted(attempt, account, secret)
        refused: Problem | None = queries.failures(db, counter).refuse(clock.now())
    refused = refused or caller.refusal(Limit.LOGIN)
    if refused:
        log.warning("auth.login.refused", reason=type(refused).__name__)
        return refused
    correct = hasher.verify(attempt.password, account.password_hash if account else None)
    # Asked again, so that of many guesses from one client at once no more are answered than it may make.
    limited = caller.refusal(Limit.LOGIN) if correct else caller.count(Limit.LOGIN)
    if limited:
        log.warning("auth.login.refused", reason=type(limited).__name__)
        return limited
    with database.transaction() as tx:
        refusal = judge_password(tx, counter, account, correct=correct)
        if refusal or account is None:
            return refusal or WrongCredentials()
        outcome = enter(tx, account, Opening(PASSWORD_METHOD, attempt.device_label), lifetimes)
    keep_current(database, account, attempt.password, hasher)
    return outcome


def _counted(attempt: Attempt, account: Row[Any] | None, secret: MasterSecret) -> tuple[Counter, Caller]:
    """Where a wrong password counts: a known device has a count of its own, and answers for nobody else at its address."""
    device = known_device(secret, attempt.device_token)
    if device and account and device.vouches_for(account.id, account.password_changed_at, clock.now()):
        return holder_of_device(secret, attempt.address, device.number), Caller()
    return strangers(secret, attempt.address), attempt.caller


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
    credentials = open_session(tx, account, opening, lifetimes)
    presence.signed_in(tx, account, credentials.grant.session_id, opening.device_label)
    log.info("auth.login.succeeded", user_id=account.id, session_id=credentials.grant.session_id)
    return credentials


def _refuse_entry(account: Row[Any], seen: Row[Any]) -> Problem | None:
    # Not the hash: that also changes when it is made anew for the same password.
    if account.password_changed_at != seen.password_changed_at:
        return WrongCredentials("The password was changed a moment ago; use the new one.", code=None)
    if account.verified_at is None:
        return AccountNotVerified(
            "Confirm your e-mail address first: the link is in the mail that we sent. Ask for another if it is lost."
        )
    if account.status != Status.ACTIVE:
        return AccountSuspended("This account is suspended. Write to support to learn why.")
    return None
