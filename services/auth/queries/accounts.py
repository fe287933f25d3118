"""What auth asks of accounts and of what they sign in with."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Text, Uuid, bindparam, func, or_, select

from libs.common.auth.policy import Role
from libs.common.db import Reader
from services.auth.domain.accounts import Address, Status, UnknownAccount
from services.auth.domain.lockout import Counter, Failures
from services.auth.domain.tokens import Purpose
from services.auth.models import (
    login_failure,
    one_time_token,
    password_credential,
    user_account,
)

_account = select(
    user_account, password_credential.c.password_hash, password_credential.c.changed_at.label("password_changed_at")
).outerjoin(password_credential, password_credential.c.user_id == user_account.c.id)
_account_by_address = _account.where(user_account.c.email == bindparam("email"))
_account_by_id = _account.where(user_account.c.id == bindparam("user_id"))
# Locks that leave foreign keys alone: FOR NO KEY UPDATE and FOR SHARE exclude each other.
_account_to_change = select(user_account).where(user_account.c.id == bindparam("user_id")).with_for_update(key_share=True)
_account_to_enter = _account_by_id.with_for_update(read=True, of=user_account)

_failures = select(login_failure).where(
    login_failure.c.address_key == bindparam("address_key"), login_failure.c.holder_key == bindparam("holder_key")
)
_failures_locked = _failures.with_for_update()
_owner_of_token = (
    select(user_account)
    .join(one_time_token, one_time_token.c.user_id == user_account.c.id)
    .where(
        one_time_token.c.token_hash == bindparam("token_hash"),
        one_time_token.c.purpose == bindparam("purpose"),
        one_time_token.c.used_at.is_(None),
        one_time_token.c.expires_at > bindparam("now"),
    )
)
_passwords_to_confirm = (
    select(one_time_token.c.password_hash)
    .where(
        one_time_token.c.user_id == bindparam("user_id"),
        one_time_token.c.purpose == Purpose.VERIFY_EMAIL,
        one_time_token.c.used_at.is_(None),
        one_time_token.c.expires_at > bindparam("now"),
    )
    .distinct()
)

_administrators = select(func.count()).select_from(user_account).where(user_account.c.role == Role.ADMIN)
_administers = _administrators.where(user_account.c.status == Status.ACTIVE, user_account.c.id == bindparam("user_id"))
_other_administrators = _administrators.where(user_account.c.status == Status.ACTIVE, user_account.c.id != bindparam("user_id"))

_administrators_passwords = (
    select(user_account.c.email, password_credential.c.password_hash)
    .outerjoin(password_credential, password_credential.c.user_id == user_account.c.id)
    .where(user_account.c.role == Role.ADMIN, user_account.c.status == Status.ACTIVE)
    .order_by(user_account.c.id)
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


def failures(db: Reader, counter: Counter, *, lock: bool = False) -> Failures:
    """How many wrong passwords in a row were counted here? `lock` keeps others from counting meanwhile."""
    keys = {"address_key": counter.address_key, "holder_key": counter.holder_key}
    row = db.first(_failures_locked if lock else _failures, keys)
    return Failures() if row is None else Failures(row.failures, row.last_failed_at, row.locked_until)


def owner_of_token(db: Reader, token_hash: bytes, purpose: Purpose, now: datetime) -> Row[Any] | None:
    """Whose is this token, if it could be used now?"""
    return db.first(_owner_of_token, {"token_hash": token_hash, "purpose": purpose, "now": now})


def passwords_to_confirm(db: Reader, user_id: UUID, now: datetime) -> list[str]:
    """Which passwords (hashed) wait to be confirmed with this account's address, each from one registration?"""
    return [row.password_hash for row in db.all(_passwords_to_confirm, {"user_id": user_id, "now": now})]


def administrators(db: Reader) -> int:
    """How many administrators are there, suspended ones included?"""
    return int(db.scalar(_administrators))


def administrators_passwords(db: Reader) -> list[Row[Any]]:
    """Which active administrators are there, and how are their passwords hashed, if they have one?"""
    return db.all(_administrators_passwords)


def administers(db: Reader, user_id: UUID) -> bool:
    """Is this an active administrator?"""
    return bool(db.scalar(_administers, {"user_id": user_id}))


def other_administrators(db: Reader, user_id: UUID) -> int:
    """How many active administrators are there besides this account?"""
    return int(db.scalar(_other_administrators, {"user_id": user_id}))


def accounts_page(db: Reader, filters: Mapping[str, str | None], limit: int, after: UUID | None) -> list[Row[Any]]:
    """Which accounts match email, role and status (None: any), newest first? One row over the limit tells of more."""
    return db.all(_accounts_page, {**filters, "limit": limit + 1, "after": after})
