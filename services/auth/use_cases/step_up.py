"""Authenticate again within a session, for acts that ask for it (RFC 9470)."""

from typing import Any

from sqlalchemy import Row

from libs.common import clock
from libs.common.auth.policy import Subject
from libs.common.db import Database, Reader, Transaction
from libs.common.errors import Problem
from services.auth import queries
from services.auth.domain.factors import MFA_REQUIRED, PASSWORD, ForeignSession, Proof, StepUpRefused, WrongSecondFactor
from services.auth.domain.lockout import WrongCredentials
from services.auth.domain.passwords import PasswordHasher
from services.auth.domain.sessions import OWN_CLIENT, UnknownSession
from services.auth.use_cases.guessing import holder_of_session, judge_password
from services.auth.use_cases.second_factor import Means, prove
from services.auth.use_cases.sessions import Credentials, authenticate_again


def step_up(
    database: Database, subject: Subject, password: str | None, proof: Proof, hasher: PasswordHasher, means: Means
) -> Credentials | Problem:
    """Let the person of this session show again who they are; or return the refusal, which counts: it is remembered.

    The password, with a second factor where the account has one; or a passkey alone. Refusals are 403: clients take 401 for
    a bad access token and would sign out. Raises UnknownSession, ForeignSession.
    """
    with database.reader() as db:
        _require_own(db, subject)
        account = queries.account(db, subject.id)
        counter = holder_of_session(means.secret, account.email, subject.session_id)
        refused = queries.failures(db, counter).refuse(clock.now()) if password else None
    if refused:
        return refused
    correct = password is not None and hasher.verify(password, account.password_hash)
    with database.transaction() as tx:
        refusal = judge_password(tx, counter, account, correct=correct) if password is not None else None
        shown = refusal or _shown(tx, account, proof, means)
        if isinstance(shown, Problem):
            tx.audit("session.step_up", "user", subject.id, outcome="refused")
            return _not_a_token_fault(shown)
        if queries.account_to_enter(tx, subject.id).password_changed_at != account.password_changed_at:
            return StepUpRefused("The password was changed a moment ago; use the new one.")
        methods = (*((PASSWORD,) if password is not None else ()), *shown)
        tx.audit("session.step_up", "user", subject.id, details={"methods": " ".join(methods)})
        return authenticate_again(tx, subject.session_id, methods, means.lifetimes)


def _require_own(db: Reader, subject: Subject) -> None:
    row = queries.own_session(db, subject.id, subject.session_id, clock.now())
    if row is None:
        raise UnknownSession("This token's session has ended; sign in again.")
    if (row.client_id, row.key_thumbprint) != (OWN_CLIENT.client_id, OWN_CLIENT.key_thumbprint):
        raise ForeignSession("Send the person to the authorization endpoint with max_age.")


def _shown(tx: Transaction, account: Row[Any], proof: Proof, means: Means) -> tuple[str, ...] | Problem:
    enrolled = queries.enrolled(tx, account.id)
    if not proof.empty:
        return prove(tx, account, proof, means)
    if not enrolled.any:
        return ()
    refusal = StepUpRefused(
        "This account has a second factor: send it along.", methods=[str(each) for each in enrolled.factors]
    )
    refusal.extensions["code"] = MFA_REQUIRED
    return refusal


def _not_a_token_fault(refusal: Problem) -> Problem:
    if isinstance(refusal, WrongCredentials):
        return StepUpRefused("The password is wrong.")
    return StepUpRefused(refusal.detail) if isinstance(refusal, WrongSecondFactor) else refusal
