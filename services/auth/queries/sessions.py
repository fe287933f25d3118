"""What auth asks of sessions, their tokens, and what was revoked."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Uuid, and_, bindparam, exists, or_, select

from libs.common.db import Reader
from services.auth.domain.sessions import SpentToken
from services.auth.models import (
    refresh_token,
    session,
    user_account,
)

_spent_token = (
    select(
        refresh_token.c.session_id,
        refresh_token.c.used_at,
        refresh_token.c.expires_at,
        refresh_token.c.successor_sealed,
        session.c.user_id,
        session.c.client_id,
        session.c.key_thumbprint,
        session.c.device_label,
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
_own_session = select(session).where(
    session.c.id == bindparam("session_id"), session.c.user_id == bindparam("user_id"), _live_session
)
# A label not seen in any session that is still known; the first sign-in of all is news to nobody.
_device_is_new = select(
    and_(
        exists().where(session.c.user_id == bindparam("user_id")),
        ~exists().where(session.c.user_id == bindparam("user_id"), session.c.device_label == bindparam("device_label")),
    )
)
_revoked_sessions = select(session.c.id, session.c.revoked_at).where(session.c.revoked_at > bindparam("since"))
_revoked_subjects = select(user_account.c.id, user_account.c.tokens_not_before).where(
    user_account.c.tokens_not_before > bindparam("since")
)


def spent_token(db: Reader, token_hash: bytes, now: datetime) -> tuple[SpentToken | None, Row[Any] | None]:
    """What is known of a refresh token that could not be spent?"""
    row = db.first(_spent_token, {"token_hash": token_hash, "now": now})
    return (None, None) if row is None else (SpentToken(row.used_at, row.expires_at, row.session_alive), row)


def sessions_page(db: Reader, user_id: UUID, now: datetime, limit: int, after: UUID | None) -> list[Row[Any]]:
    """Which live sessions does this person have, newest first? One row over the limit tells of more."""
    return db.all(_sessions_page, {"user_id": user_id, "now": now, "limit": limit + 1, "after": after})


def own_session(db: Reader, user_id: UUID, session_id: UUID, now: datetime) -> Row[Any] | None:
    """What is this live session of this person?"""
    return db.first(_own_session, {"session_id": session_id, "user_id": user_id, "now": now})


def device_is_new(db: Reader, user_id: UUID, device_label: str) -> bool:
    """Does this person sign in on a device other than those of their sessions so far?"""
    return bool(db.scalar(_device_is_new, {"user_id": user_id, "device_label": device_label}))


def revoked_sessions(db: Reader, since: datetime) -> list[Row[Any]]:
    """Which sessions ended before their time since then?"""
    return db.all(_revoked_sessions, {"since": since})


def revoked_subjects(db: Reader, since: datetime) -> list[Row[Any]]:
    """Whose older tokens were voided since then, and from which instant do their tokens count?"""
    return db.all(_revoked_subjects, {"since": since})
