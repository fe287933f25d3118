"""What auth asks of personal access tokens."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, func, select

from libs.common.db import Reader
from services.auth.models import personal_access_token

_live = (
    personal_access_token.c.user_id == bindparam("user_id"),
    personal_access_token.c.revoked_at.is_(None),
    personal_access_token.c.expires_at > bindparam("now"),
)
_access_tokens = select(personal_access_token).where(*_live).order_by(personal_access_token.c.id.desc())
_count = select(func.count()).select_from(personal_access_token).where(*_live)
_revoked = select(personal_access_token.c.id, personal_access_token.c.revoked_at).where(
    personal_access_token.c.revoked_at > bindparam("since")
)


def access_tokens(db: Reader, user_id: UUID, now: datetime) -> list[Row[Any]]:
    """Which live personal access tokens does this person have, newest first? There are few."""
    return db.all(_access_tokens, {"user_id": user_id, "now": now})


def access_token_count(db: Reader, user_id: UUID, now: datetime) -> int:
    """How many live personal access tokens does this person have?"""
    return int(db.scalar(_count, {"user_id": user_id, "now": now}))


def revoked_access_tokens(db: Reader, since: datetime) -> list[Row[Any]]:
    """Which personal access tokens were revoked since then?"""
    return db.all(_revoked, {"since": since})
