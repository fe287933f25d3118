"""Set up and take away second factors. Whoever changes one tells its owner by mail; nobody changes one beside another."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, delete, insert, update
from sqlalchemy.dialects.postgresql import insert as upsert

from libs.common import ids
from libs.common.auth.policy import Assurance, StepUpRequired, Subject
from libs.common.db import Transaction
from libs.common.errors import Problem
from services.auth import queries
from services.auth.domain.factors import (
    RECOVERY_CODES,
    AlreadyEnrolled,
    ForeignSession,
    LastFactor,
    NotEnrolled,
    OwnFactors,
    Required,
    WrongCode,
    with_code,
    with_passkey,
)
from services.auth.domain.federation import LastWayIn
from services.auth.domain.notices import Notice
from services.auth.domain.secrets import MasterSecret
from services.auth.domain.sessions import EndReason
from services.auth.domain.tokens import CLIENT_ID
from services.auth.domain.totp import (
    matching_step,
    new_recovery_code,
    new_secret,
    otpauth_uri,
    recovery_code_hash,
    seal_secret,
    unseal_secret,
)
from services.auth.models import passkey, recovery_code, totp_credential
from services.auth.use_cases.notices import tell
from services.auth.use_cases.sessions import end_all_sessions, show_methods

STEP_UP_SECONDS = 15 * 60
"""Whoever changes how an account is entered has signed in within this time."""

_begun = upsert(totp_credential).values(confirmed_at=None, last_step=None)
# Beginning again replaces what was not confirmed; a confirmed one stays.
_begin = _begun.on_conflict_do_update(
    index_elements=["user_id"],
    set_={name: _begun.excluded[name] for name in ("secret_sealed", "secret_id", "created_at")},
    where=totp_credential.c.confirmed_at.is_(None),
).returning(totp_credential.c.user_id)
_confirm = (
    update(totp_credential)
    .where(totp_credential.c.user_id == bindparam("owner"), totp_credential.c.confirmed_at.is_(None))
    .values(confirmed_at=bindparam("now"), last_step=bindparam("step"))
)
_drop_totp = delete(totp_credential).where(totp_credential.c.user_id == bindparam("owner"))
_drop_codes = delete(recovery_code).where(recovery_code.c.user_id == bindparam("owner"))
_drop_passkeys = delete(passkey).where(passkey.c.user_id == bindparam("owner"))
_drop_passkey = delete(passkey).where(passkey.c.user_id == bindparam("owner"), passkey.c.id == bindparam("passkey_id"))
_add_codes = insert(recovery_code)


def require_shown(tx: Transaction, subject: Subject) -> None:
    """Raise StepUpRequired where the account has a second factor and this sign-in did not show it, ForeignSession for clients.

    Whoever stole a password, or a token from before the first factor, adds none of their own.
    """
    if subject.client_id != CLIENT_ID:
        raise ForeignSession("Second factors are set up on the platform's own pages alone.")
    if queries.enrolled(tx, subject.id).any and Assurance.SECOND_FACTOR not in subject.methods:
        raise StepUpRequired(STEP_UP_SECONDS, acr=Assurance.SECOND_FACTOR)


def begin_totp(tx: Transaction, subject: Subject, secret: MasterSecret) -> tuple[str, str]:
    """Make a secret for an authenticator app: in base32, and as the app's address. It counts once a code was confirmed.

    Raises UnknownAccount, AlreadyEnrolled, StepUpRequired.
    """
    account = queries.account_to_change(tx, subject.id)
    require_shown(tx, subject)
    shared = new_secret()
    row = {
        "user_id": subject.id,
        "secret_sealed": seal_secret(shared, subject.id, secret),
        "secret_id": secret.id,
        "created_at": tx.now,
    }
    if tx.first(_begin, row) is None:
        raise AlreadyEnrolled("An authenticator app is set up already; remove it first.")
    return shared, otpauth_uri(shared, account.email)


def confirm_totp(tx: Transaction, subject: Subject, code: str, secret: MasterSecret) -> tuple[str, ...]:
    """Let the app count from now on, and this session as one that showed it; returns recovery codes where there were none.

    Raises NotEnrolled, AlreadyEnrolled, WrongCode.
    """
    queries.account_to_change(tx, subject.id)
    require_shown(tx, subject)
    credential = queries.totp(tx, subject.id)
    if credential is None:
        raise NotEnrolled("Begin with POST /api/v1/auth/mfa/totp.")
    if credential.confirmed_at is not None:
        raise AlreadyEnrolled("An authenticator app is set up already.")
    step = matching_step(unseal_secret(credential.secret_sealed, subject.id, secret), code, tx.now)
    if step is None:
        raise WrongCode("The code is not the app's. See that its clock is right, and send the code that it shows now.")
    tx.execute(_confirm, {"owner": subject.id, "now": tx.now, "step": step})
    show_methods(tx, subject.session_id, with_code(subject.methods))
    tx.audit("second_factor.add", "user", subject.id, details={"factor": "totp"})
    tell(tx, subject.id, Notice.SECOND_FACTOR_ADDED)
    return first_recovery_codes(tx, subject.id)


def remove_totp(tx: Transaction, subject: Subject, required: Required) -> None:
    """Take the authenticator app away. Raises NotEnrolled, LastFactor."""
    account = queries.account_to_change(tx, subject.id)
    enrolled = queries.enrolled(tx, subject.id)
    if not enrolled.totp:
        raise NotEnrolled("No authenticator app is set up.")
    if enrolled.passkeys == 0:
        _require_dispensable(account, required)
        tx.execute(_drop_codes, {"owner": subject.id})
    tx.execute(_drop_totp, {"owner": subject.id})
    tx.audit("second_factor.remove", "user", subject.id, details={"factor": "totp"})
    tell(tx, subject.id, Notice.SECOND_FACTOR_REMOVED)


def passkey_added(tx: Transaction, subject: Subject, added: Row[Any]) -> tuple[str, ...]:
    """Let a passkey just registered count, and this session as one that showed it; recovery codes where there were none."""
    show_methods(tx, subject.session_id, with_passkey(subject.methods, synchronised=added.synchronised))
    tx.audit("passkey.add", "user", subject.id, details={"passkey_id": added.id})
    tell(tx, subject.id, Notice.PASSKEY_ADDED, name=added.label)
    return first_recovery_codes(tx, subject.id)


def remove_passkey(tx: Transaction, subject: Subject, passkey_id: UUID, required: Required) -> None:
    """Take one of one's own passkeys away. Raises UnknownPasskey, LastFactor, LastWayIn."""
    account = queries.account_to_change(tx, subject.id)
    gone = queries.own_passkey(tx, subject.id, passkey_id)
    if queries.ways_in(tx, subject.id) <= 1:
        raise LastWayIn("You could not sign in any more. Set a password first: ask for a reset link.")
    enrolled = queries.enrolled(tx, subject.id)
    if enrolled.passkeys == 1 and not enrolled.totp:
        _require_dispensable(account, required)
        tx.execute(_drop_codes, {"owner": subject.id})
    tx.execute(_drop_passkey, {"owner": subject.id, "passkey_id": passkey_id})
    tx.audit("passkey.remove", "user", subject.id, details={"passkey_id": passkey_id})
    tell(tx, subject.id, Notice.PASSKEY_REMOVED, name=gone.label)


def replace_recovery_codes(tx: Transaction, subject: Subject) -> tuple[str, ...]:
    """Make the recovery codes anew; the old ones are worthless. Raises NotEnrolled."""
    queries.account_to_change(tx, subject.id)
    if not queries.enrolled(tx, subject.id).any:
        raise NotEnrolled("Recovery codes stand in for a second factor: set one up first.")
    tx.audit("recovery_code.replace", "user", subject.id)
    return _new_recovery_codes(tx, subject.id)


def first_recovery_codes(tx: Transaction, user_id: UUID) -> tuple[str, ...]:
    """Make recovery codes where none is left; nothing where some are."""
    return () if queries.enrolled(tx, user_id).recovery_codes else _new_recovery_codes(tx, user_id)


def reset(tx: Transaction, user_id: UUID, actor_id: UUID | None = None) -> Problem | None:
    """Take every second factor of an account away and end its sessions, for somebody who lost them all; or return the refusal.

    `actor_id` is the administrator who does it, None the operator. Administrators keep their last factor: nobody gets around
    that by resetting themselves. Raises UnknownAccount.
    """
    queries.account_to_change(tx, user_id)
    refusal = _refuse_reset(tx, user_id, actor_id)
    if refusal is not None:
        tx.audit("second_factor.reset", "user", user_id, outcome="refused", details={"reason": type(refusal).__name__})
        return refusal
    for statement in (_drop_totp, _drop_passkeys, _drop_codes):
        tx.execute(statement, {"owner": user_id})
    end_all_sessions(tx, user_id, EndReason.SECOND_FACTOR_RESET)
    tx.audit("second_factor.reset", "user", user_id)
    tell(tx, user_id, Notice.SECOND_FACTOR_REMOVED)
    return None


def _refuse_reset(tx: Transaction, user_id: UUID, actor_id: UUID | None) -> Problem | None:
    if user_id == actor_id:
        return OwnFactors("These are your own: remove them one by one, or ask another administrator.")
    if not queries.enrolled(tx, user_id).any:
        return NotEnrolled("This account has no second factor.")
    return None


def _require_dispensable(account: Row[Any], required: Required) -> None:
    if required.of(account.role):
        raise LastFactor("An administrator keeps a second factor: set up another before you remove this one.")


def _new_recovery_codes(tx: Transaction, user_id: UUID) -> tuple[str, ...]:
    codes = tuple(new_recovery_code() for _ in range(RECOVERY_CODES))
    tx.execute(_drop_codes, {"owner": user_id})
    for code in codes:
        row = {"id": ids.new_id(), "user_id": user_id, "code_hash": recovery_code_hash(code, user_id)}
        tx.execute(_add_codes, {**row, "created_at": tx.now, "used_at": None})
    return codes
