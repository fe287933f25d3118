"""What auth asks of second factors."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, func, select

from libs.common.db import Reader
from services.auth.domain.factors import Enrolled
from services.auth.domain.passkeys import Ceremony, UnknownPasskey
from services.auth.models import (
    login_challenge,
    passkey,
    passkey_ceremony,
    recovery_code,
    totp_credential,
    user_account,
)

_enrolled = select(
    select(func.count())
    .where(totp_credential.c.user_id == bindparam("user_id"), totp_credential.c.confirmed_at.is_not(None))
    .scalar_subquery()
    .label("totp"),
    select(func.count()).where(passkey.c.user_id == bindparam("user_id")).scalar_subquery().label("passkeys"),
    select(func.count())
    .where(recovery_code.c.user_id == bindparam("user_id"), recovery_code.c.used_at.is_(None))
    .scalar_subquery()
    .label("recovery_codes"),
)
_login_challenge = (
    select(login_challenge)
    .where(
        login_challenge.c.token_hash == bindparam("token_hash"),
        login_challenge.c.used_at.is_(None),
        login_challenge.c.expires_at > bindparam("now"),
    )
    .with_for_update()
)
_totp = select(totp_credential).where(totp_credential.c.user_id == bindparam("user_id"))
_passkeys = select(passkey).where(passkey.c.user_id == bindparam("user_id")).order_by(passkey.c.id)
_passkey_by_credential = (
    select(passkey, user_account.c.email)
    .join(user_account, user_account.c.id == passkey.c.user_id)
    .where(passkey.c.credential_id == bindparam("credential_id"))
    .with_for_update(of=passkey)
)
_own_passkey = _passkeys.where(passkey.c.id == bindparam("passkey_id"))
_ceremony = select(passkey_ceremony.c.id).where(
    passkey_ceremony.c.challenge_hash == bindparam("challenge_hash"),
    passkey_ceremony.c.purpose == bindparam("purpose"),
    passkey_ceremony.c.expires_at > bindparam("now"),
)


def enrolled(db: Reader, user_id: UUID) -> Enrolled:
    """Which factors does this account have?"""
    row = db.one(_enrolled, {"user_id": user_id})
    return Enrolled(row.totp > 0, row.passkeys, row.recovery_codes)


def login_challenge_to_answer(db: Reader, token_hash: bytes, now: datetime) -> Row[Any] | None:
    """Which sign-in waits for its second factor under this challenge? Nobody else answers it until the transaction ends."""
    return db.first(_login_challenge, {"token_hash": token_hash, "now": now})


def totp(db: Reader, user_id: UUID) -> Row[Any] | None:
    """Which authenticator app does this account have, confirmed or not?"""
    return db.first(_totp, {"user_id": user_id})


def passkeys(db: Reader, user_id: UUID) -> list[Row[Any]]:
    """Which passkeys does this account have, oldest first?"""
    return db.all(_passkeys, {"user_id": user_id})


def own_passkey(db: Reader, user_id: UUID, passkey_id: UUID) -> Row[Any]:
    """What is this passkey of this account? Raises UnknownPasskey."""
    row = db.first(_own_passkey, {"user_id": user_id, "passkey_id": passkey_id})
    if row is None:
        raise UnknownPasskey("You have no such passkey.")
    return row


def passkey_to_use(db: Reader, credential_id: bytes) -> Row[Any] | None:
    """Which passkey is this, and whose? Nobody else uses it until the transaction ends."""
    return db.first(_passkey_by_credential, {"credential_id": credential_id})


def ceremony_waits(db: Reader, challenge_hash: bytes, purpose: Ceremony, now: datetime) -> bool:
    """Was this challenge given, and may it still be answered?"""
    return db.first(_ceremony, {"challenge_hash": challenge_hash, "purpose": purpose, "now": now}) is not None
