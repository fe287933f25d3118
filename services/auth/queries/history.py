"""What auth asks of its audit trail."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Row, Uuid, bindparam, or_, select, tuple_

from libs.common.db import Reader, kernel_tables
from services.auth.models import metadata

_record = kernel_tables(metadata).audit_record
_history = (
    select(_record)
    .where(
        _record.c.entity == "user",
        _record.c.entity_id == bindparam("user_id"),
        or_(
            bindparam("since", type_=DateTime(timezone=True)).is_(None),
            tuple_(_record.c.occurred_at, _record.c.id)
            < tuple_(bindparam("since", type_=DateTime(timezone=True)), bindparam("after", type_=Uuid)),
        ),
    )
    .order_by(_record.c.occurred_at.desc(), _record.c.id.desc())
    .limit(bindparam("limit"))
)


def history(db: Reader, user_id: UUID, limit: int, after: tuple[datetime, UUID] | None) -> list[Row[Any]]:
    """What was done to this person's account, and by whom, newest first? One row over the limit tells of more."""
    since, last = after or (None, None)
    return db.all(_history, {"user_id": str(user_id), "limit": limit + 1, "since": since, "after": last})
