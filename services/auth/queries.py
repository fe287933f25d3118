"""Every question that auth asks its tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Text, Uuid, and_, bindparam, func, or_, select

from libs.common.auth.policy import Role
from libs.common.db import Reader
from services.auth.domain.accounts import Address, Status, UnknownAccount
from services.auth.domain.lockout import Failures
from services.auth.domain.sessions import SpentToken
from services.auth.domain.tokens import KeyState, Purpose
from services.auth.models import (
    login_failure,
    maintenance,
    one_time_token,
    password_credential,
    refresh_token,
    session,
    signing_key,
    user_account,
)

_account = select(user_account, password_credential.c.password_hash).outerjoin(
    password_credential, password_credential.c.user_id == user_account.c.id
)
_account_by_address = _account.where(user_account.c.email == bindparam("email"))
_account_by_id = _account.where(user_account.c.id == bindparam("user_id"))
# Locks that leave foreign keys alone: FOR NO KEY UPDATE and FOR SHARE exclude each other.
_account_to_change = select(user_account).where(user_account.c.id == bindparam("user_id")).with_for_update(key_share=True)
_account_to_enter = _account_by_id.with_for_update(read=True, of=user_account)

_failures = select(login_failure).where(login_failure.c.address_key == bindparam("address_key"))
_failures_locked = _failures.with_for_update()
_one_time_token = select(one_time_token.c.user_id).where(
    one_time_token.c.token_hash == bindparam("token_hash"),
    one_time_token.c.purpose == bindparam("purpose"),
    one_time_token.c.used_at.is_(None),
    one_time_token.c.expires_at > bindparam("now"),
)

_administrators = select(func.count()).select_from(user_account).where(user_account.c.role == Role.ADMIN)
_other_administrators = _administrators.where(user_account.c.status == Status.ACTIVE, user_account.c.id != bindparam("user_id"))

_spent_token = (
    select(
        refresh_token.c.session_id,
        refresh_token.c.used_at,
        refresh_token.c.expires_at,
        refresh_token.c.successor_sealed,
        session.c.user_id,
        and_(session.c.revoked_at.is_(None), session.c.expires_at > bindparam("now")).label("session_alive"),
    )
    .join(session, session.c.id == refresh_token.c.session_id)
    .where(refresh_token.c.token_hash == bindparam("token_hash"))
)
_live_session = and_(session.c.revoked_at.is_(None), session.c.expires_at > bindparam("now"))
_sessions_page = (
    select(session)
    .where(
        session.c.user_id == bindparam("user_id"),
        _live_session,
        or_(bindparam("after", type_=Uuid).is_(None), session.c.id < bindparam("after")),
    )
    .order_by(session.c.id.desc())
    .limit(bindparam("limit"))
)
_revoked_sessions = select(session.c.id, session.c.revoked_at).where(session.c.revoked_at > bindparam("since"))
_revoked_subjects = select(user_account.c.id, user_account.c.tokens_not_before).where(
    user_account.c.tokens_not_before > bindparam("since")
)

_accounts_page = (
    select(user_account)
    .where(
        or_(bindparam("email", type_=Text).is_(None), user_account.c.email == bindparam("email")),
        or_(bindparam("role", type_=Text).is_(None), user_account.c.role == bindparam("role")),
        or_(bindparam("status", type_=Text).is_(None), user_account.c.status == bindparam("status")),
        or_(bindparam("after", type_=Uuid).is_(None), user_account.c.id < bindparam("after")),
    )
    .order_by(user_account.c.id.desc())
    .limit(bindparam("limit"))
)

_active_key = select(signing_key).where(signing_key.c.state == KeyState.ACTIVE)
_next_key = select(signing_key).where(signing_key.c.state == KeyState.PUBLISHED)
_key_by_id = select(signing_key).where(signing_key.c.id == bindparam("key_id"))
_keys = select(signing_key).order_by(signing_key.c.published_at, signing_key.c.id)
_verification_keys = (
    select(signing_key.c.public_jwk)
    .where(
        or_(
            signing_key.c.state.in_([KeyState.PUBLISHED, KeyState.ACTIVE]),
            and_(signing_key.c.state == KeyState.RETIRED, signing_key.c.retired_at > bindparam("since")),
        )
    )
    .order_by(signing_key.c.published_at)
)

_maintenance = select(maintenance)


def account_by_address(db: Reader, address: Address) -> Row[Any] | None:
    """Who has this address, with their password hash?"""
    return db.first(_account_by_address, {"email": address})


def account(db: Reader, user_id: UUID) -> Row[Any]:
    """What is this account, with its password hash? Raises UnknownAccount."""
    return _found(db.first(_account_by_id, {"user_id": user_id}))


def account_to_change(db: Reader, user_id: UUID) -> Row[Any]:
    """What is this account? Nobody changes it or opens a session on it until the transaction ends. Raises UnknownAccount."""
    return _found(db.first(_account_to_change, {"user_id": user_id}))


def account_to_enter(db: Reader, user_id: UUID) -> Row[Any]:
    """What is this account? Nobody changes it until the transaction ends. Raises UnknownAccount."""
    return _found(db.first(_account_to_enter, {"user_id": user_id}))


def _found(row: Row[Any] | None) -> Row[Any]:
    if row is None:
        raise UnknownAccount("There is no such account.")
    return row


def failures(db: Reader, address_key: bytes, *, lock: bool = False) -> Failures:
    """How many wrong passwords in a row were given for this address? `lock` keeps others from counting meanwhile."""
    row = db.first(_failures_locked if lock else _failures, {"address_key": address_key})
    return Failures() if row is None else Failures(row.failures, row.last_failed_at, row.locked_until)


def one_time_token_holds(db: Reader, token_hash: bytes, purpose: Purpose, now: datetime) -> bool:
    """Could this token be used now?"""
    return db.first(_one_time_token, {"token_hash": token_hash, "purpose": purpose, "now": now}) is not None


def administrators(db: Reader) -> int:
    """How many administrators are there, suspended ones included?"""
    return int(db.scalar(_administrators))


def other_administrators(db: Reader, user_id: UUID) -> int:
    """How many active administrators are there besides this account?"""
    return int(db.scalar(_other_administrators, {"user_id": user_id}))


def spent_token(db: Reader, token_hash: bytes, now: datetime) -> tuple[SpentToken | None, Row[Any] | None]:
    """What is known of a refresh token that could not be spent?"""
    row = db.first(_spent_token, {"token_hash": token_hash, "now": now})
    return (None, None) if row is None else (SpentToken(row.used_at, row.expires_at, row.session_alive), row)


def sessions_page(db: Reader, user_id: UUID, now: datetime, limit: int, after: UUID | None) -> list[Row[Any]]:
    """Which live sessions does this person have, newest first? One row over the limit tells of more."""
    return db.all(_sessions_page, {"user_id": user_id, "now": now, "limit": limit + 1, "after": after})


def accounts_page(db: Reader, filters: Mapping[str, str | None], limit: int, after: UUID | None) -> list[Row[Any]]:
    """Which accounts match email, role and status (None: any), newest first? One row over the limit tells of more."""
    return db.all(_accounts_page, {**filters, "limit": limit + 1, "after": after})


def revoked_sessions(db: Reader, since: datetime) -> list[Row[Any]]:
    """Which sessions ended before their time since then?"""
    return db.all(_revoked_sessions, {"since": since})


def revoked_subjects(db: Reader, since: datetime) -> list[Row[Any]]:
    """Whose older tokens were voided since then, and from which instant do their tokens count?"""
    return db.all(_revoked_subjects, {"since": since})


def active_key(db: Reader) -> Row[Any] | None:
    """Which key signs?"""
    return db.first(_active_key)


def verification_keys(db: Reader, since: datetime) -> list[dict[str, Any]]:
    """Which public keys verify tokens that may be alive: published, active, or retired since then?"""
    return [row.public_jwk for row in db.all(_verification_keys, {"since": since})]


def next_key(db: Reader) -> Row[Any] | None:
    """Which key signs next?"""
    return db.first(_next_key)


def signing_key_by_id(db: Reader, key_id: str) -> Row[Any] | None:
    """What is known of this key?"""
    return db.first(_key_by_id, {"key_id": key_id})


def keys(db: Reader) -> list[Row[Any]]:
    """Which keys were ever made, oldest first?"""
    return db.all(_keys)


@dataclass(frozen=True, slots=True)
class NeverMaintained:
    """What holds until somebody decides for the first time."""

    enabled: bool = False
    reason: str | None = None
    changed_by: UUID | None = None
    changed_at: datetime | None = None
    revision: int = 0


def maintenance_decision(db: Reader) -> Row[Any] | NeverMaintained:
    """Is the platform being maintained, and who decided so when and why?"""
    return db.first(_maintenance) or NeverMaintained()
