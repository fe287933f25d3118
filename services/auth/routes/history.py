"""The doors of what was done to an account."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from libs.common.auth.policy import SIGNED_IN, Role, Subject
from libs.common.db import Reader
from libs.common.http import Page, PageQuery, Routes, page_of
from services.auth import queries, schemas

routes = Routes("auth")

V = TypeVar("V", schemas.Act, schemas.RecordedAct)


@routes.get("/auth/history", allow=SIGNED_IN)
def own_history(query: PageQuery, subject: Subject, db: Reader) -> Page[schemas.Act]:
    """List what was done to one's own account, by whom and from which session, newest first."""
    return _page(query, subject.id, db, lambda row: schemas.Act(**_act(row, subject.id)))


@routes.get("/admin/users/<user_id>/history", allow=Role.ADMIN)
def history_of_user(user_id: UUID, query: PageQuery, db: Reader) -> Page[schemas.RecordedAct]:
    """List what was done to an account, newest first."""
    queries.account(db, user_id)
    return _page(
        query,
        user_id,
        db,
        lambda row: schemas.RecordedAct(
            **_act(row, user_id), actor_id=row.actor_id, roles=row.roles, request_id=row.request_id
        ),
    )


def _page(query: PageQuery, user_id: UUID, db: Reader, render: Callable[[Any], V]) -> Page[V]:
    after = query.after(datetime, UUID)
    rows = queries.history(db, user_id, query.limit, (after[0], after[1]) if after else None)
    return page_of(rows, query.limit, render, lambda row: (row.occurred_at, row.id))


def _act(row: Any, user_id: UUID) -> dict[str, Any]:
    by = _by(row, user_id)
    return {
        "id": row.id,
        "occurred_at": row.occurred_at,
        "action": row.action,
        "outcome": row.outcome,
        "by": by,
        "session_id": row.session_id if by is schemas.By.SELF else None,
        "details": row.details,
    }


def _by(row: Any, user_id: UUID) -> schemas.By:
    if row.actor_id is not None:
        return schemas.By.SELF if row.actor_id == user_id else schemas.By.ADMINISTRATOR
    return schemas.By.OPERATOR if row.roles == "operator" else schemas.By.PLATFORM
