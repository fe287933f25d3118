"""Complete a sign-in with a second factor. Wrong codes count and lock as passwords do, by a count of their own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, or_, update

from libs.common.db import Database, Transaction
from libs.common.errors import Problem
from services.auth import queries
from services.auth.domain.factors import (
    Proof,
    SecondFactorRequired,
    SignInOver,
    WrongSecondFactor,
    with_code,
    with_passkey,
)
from services.auth.domain.lockout import WrongCredentials
from services.auth.domain.notices import Notice
from services.auth.domain.passkeys import RelyingParty
from services.auth.domain.passwords import PasswordHasher
from services.auth.domain.secrets import MasterSecret
from services.auth.domain.sessions import Lifetimes
from services.auth.domain.totp import matching_step, recovery_code_hash, unseal_secret
from services.auth.models import recovery_code, totp_credential
from services.auth.use_cases import challenges, passkeys
from services.auth.use_cases.notices import tell
from services.auth.use_cases.sessions import Credentials, Opening
from services.auth.use_cases.sign_in import Attempt, enter, judge_password, sign_in

# A step is taken once, by whoever comes first: the row says so, not the code.
_take_step = (
    update(totp_credential)
    .where(
        totp_credential.c.user_id == bindparam("owner"),
        totp_credential.c.confirmed_at.is_not(None),
        or_(totp_credential.c.last_step.is_(None), totp_credential.c.last_step < bindparam("step")),
    )
    .values(last_step=bindparam("step"))
    .returning(totp_credential.c.user_id)
)
_take_recovery_code = (
    update(recovery_code)
    .where(recovery_code.c.code_hash == bindparam("hash"), recovery_code.c.used_at.is_(None))
    .values(used_at=bindparam("now"))
    .returning(recovery_code.c.id)
)


@dataclass(frozen=True, slots=True)
class Means:
    """With what second factors are judged, and how long a session lasts that they open."""

    secret: MasterSecret
    relying_party: RelyingParty
    lifetimes: Lifetimes


def sign_in_with_code(
    database: Database, attempt: Attempt, otp: str | None, hasher: PasswordHasher, means: Means
) -> Credentials | Problem:
    """Sign in with a password, and with the code of the second factor where one is given and asked for."""
    outcome = sign_in(database, attempt, hasher, means.secret, means.lifetimes)
    if otp is None or not isinstance(outcome, SecondFactorRequired):
        return outcome
    with database.transaction() as tx:
        return complete(tx, outcome.challenge_token, Proof(otp=otp), means)


def complete(tx: Transaction, challenge: str, proof: Proof, means: Means) -> Credentials | Problem:
    """Open the session that waits under a challenge, or return the refusal: it is remembered, so it commits.

    After a wrong code the challenge may be answered again, until it is too old or the account's codes are locked.
    """
    found = challenges.waiting(tx, challenge)
    if found is None:
        return SignInOver("This sign-in took too long or was completed already; begin it again.", code=None)
    row, account = found
    shown = prove(tx, account, proof, means)
    if isinstance(shown, Problem):
        return shown
    challenges.use(tx, row.id)
    methods = tuple(dict.fromkeys((*row.methods.split(), *shown)))
    return enter(tx, account, challenges.opening_of(row, methods), means.lifetimes)


def sign_in_by_passkey(
    tx: Transaction, credential: Mapping[str, Any], label_of_device: str, means: Means
) -> Credentials | Problem:
    """Open a session by a passkey alone, or return the refusal. No count of wrong codes or passwords locks it out."""
    used = passkeys.use(tx, credential, means.relying_party)
    if isinstance(used, Problem):
        return WrongSecondFactor("This passkey opens no account here.", code=None)
    opening = Opening(with_passkey((), synchronised=used.synchronised), label_of_device)
    return enter(tx, queries.account(tx, used.user_id), opening, means.lifetimes)


def prove(tx: Transaction, account: Row[Any], proof: Proof, means: Means) -> tuple[str, ...] | Problem:
    """Return the methods (RFC 8176) that a second factor shows, or the refusal, which counts: it commits."""
    if proof.passkey is not None:
        used = passkeys.use(tx, proof.passkey, means.relying_party)
        if isinstance(used, Problem) or used.user_id != account.id:
            return WrongSecondFactor("This passkey does not complete this sign-in.", code=None)
        return with_passkey((), synchronised=used.synchronised)
    correct = _holds(tx, account.id, proof, means.secret)
    refusal = judge_password(tx, _count_of(account.id, means.secret), account, correct=correct)
    if isinstance(refusal, WrongCredentials):
        return WrongSecondFactor("The code is wrong, or was used before. Wait for the next one.", code=None)
    if refusal:
        return refusal
    if proof.recovery_code is not None:
        left = queries.enrolled(tx, account.id).recovery_codes
        tx.audit("recovery_code.use", "user", account.id, details={"codes_left": left})
        tell(tx, account.id, Notice.RECOVERY_CODE_USED, codes_left=left)
    return with_code(())


def _count_of(user_id: UUID, secret: MasterSecret) -> bytes:
    """Under which key wrong codes are counted: a right password does not forget them."""
    return secret.pseudonym(f"second factor of {user_id}")


def _holds(tx: Transaction, user_id: UUID, proof: Proof, secret: MasterSecret) -> bool:
    if proof.recovery_code is not None:
        taken = tx.first(_take_recovery_code, {"hash": recovery_code_hash(proof.recovery_code, user_id), "now": tx.now})
        return taken is not None
    credential = queries.totp(tx, user_id)
    if credential is None or proof.otp is None:
        return False
    step = matching_step(unseal_secret(credential.secret_sealed, user_id, secret), proof.otp, tx.now)
    return step is not None and tx.first(_take_step, {"owner": user_id, "step": step}) is not None
