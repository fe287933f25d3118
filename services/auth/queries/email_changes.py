"""What auth asks of changes of address."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, or_, select

from libs.common.db import Reader
from services.auth.models import email_change

_owner_of_change = select(email_change.c.user_id).where(
    or_(email_change.c.old_token_hash == bindparam("given"), email_change.c.new_token_hash == bindparam("given")),
    email_change.c.expires_at > bindparam("now"),
)


def owner_of_email_change(db: Reader, token_hash: bytes, now: datetime) -> UUID | None:
    """Whose address would change by this token, if it could be used now?"""
    found: UUID | None = db.scalar(_owner_of_change, {"given": token_hash, "now": now})
    return found
