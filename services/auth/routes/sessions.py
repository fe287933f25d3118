"""The doors of one's own sessions."""

from typing import Any
from uuid import UUID

from libs.common.auth.policy import SIGNED_IN, Subject
from libs.common.db import Transaction
from libs.common.http import (
    NoContent,
    Page,
    PageQuery,
    Routes,
    page_of,
)
from services.auth import queries, schemas
from services.auth.domain.sessions import EndReason
from services.auth.use_cases import sessions

routes = Routes("auth")


@routes.post("/auth/logout", allow=SIGNED_IN, enrolment=True, during_maintenance=True)
def logout(subject: Subject, tx: Transaction) -> NoContent:
    """End this session."""
    sessions.end_session(tx, subject.id, subject.session_id, EndReason.LOGOUT)
    return NoContent()


@routes.post("/auth/logout-all", allow=SIGNED_IN, enrolment=True, during_maintenance=True)
def logout_all(subject: Subject, tx: Transaction) -> NoContent:
    """End all of one's sessions."""
    sessions.end_all_sessions(tx, subject.id, EndReason.LOGOUT)
    return NoContent()


@routes.post("/auth/sessions/revoke-others", allow=SIGNED_IN, during_maintenance=True)
def end_other_sessions(subject: Subject, tx: Transaction) -> NoContent:
    """End all of one's sessions but this one."""
    sessions.end_other_sessions(tx, subject.id, subject.session_id, EndReason.REVOKED_BY_USER)
    return NoContent()


@routes.get("/auth/sessions", allow=SIGNED_IN)
def list_sessions(query: PageQuery, subject: Subject, tx: Transaction) -> Page[schemas.SessionView]:
    """List one's own sessions, newest first."""
    after = query.after(UUID)
    rows = queries.sessions_page(tx, subject.id, tx.now, query.limit, after[0] if after else None)
    return page_of(rows, query.limit, lambda row: _session(row, subject), lambda row: (row.id,))


@routes.delete("/auth/sessions/<session_id>", allow=SIGNED_IN)
def end_session(session_id: UUID, subject: Subject, tx: Transaction) -> NoContent:
    """End one of one's own sessions."""
    sessions.end_session(tx, subject.id, session_id, EndReason.REVOKED_BY_USER)
    return NoContent()


def _session(row: Any, subject: Subject) -> schemas.SessionView:
    return schemas.SessionView(
        id=row.id,
        device=row.device_label,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        expires_at=row.expires_at,
        current=row.id == subject.session_id,
    )
