"""The doors of one's own page: who one is, what one may do, and where one is signed in."""

from typing import Any

from sqlalchemy import Row

from libs.common import clock
from libs.common.auth.policy import SIGNED_IN, Role, Subject
from libs.common.db import Database, Reader
from libs.common.errors import Problem
from libs.common.http import Html, Redirect, RequestInfo, Routes, Submitted
from services.auth import queries, schemas
from services.auth.domain.sessions import EndReason
from services.auth.routes.pages.rendering import Page, Visitor
from services.auth.routes.pages.words import may, notice, role_name
from services.auth.use_cases import sessions

routes = Routes("auth")

SESSIONS_SHOWN = 100
HERE = "/dashboard"


@routes.get("/dashboard", allow=SIGNED_IN, root=True, page=True, enrolment=True)
def dashboard(query: schemas.PageParameters, request: RequestInfo, subject: Subject, db: Reader) -> Html:
    """Show who one is, what one may do, and one's sessions."""
    account = queries.account(db, subject.id)
    visitor = Visitor.of(request, query.lang, account.locale)
    return _dashboard(account, subject, db, visitor, query.notice).shown(visitor)


@routes.get("/dashboard/<path:rest>", allow=SIGNED_IN, root=True, page=True, enrolment=True)
def below_the_dashboard(rest: str, query: schemas.PageParameters) -> Redirect:
    """Lead to the dashboard: whoever signed in again after sending one of its forms comes back by its address."""
    return Redirect(f"{HERE}/security" if rest.startswith("security") else HERE, 303)


@routes.post("/dashboard/sessions/end", allow=SIGNED_IN, root=True, page=True)
def end_session_form(
    form: Submitted[schemas.EndSessionForm],
    query: schemas.PageParameters,
    request: RequestInfo,
    subject: Subject,
    database: Database,
) -> Html | Redirect:
    """End one of one's own sessions."""
    with database.reader() as db:
        account = queries.account(db, subject.id)
        visitor = Visitor.of(request, query.lang, account.locale)
        page = _dashboard(account, subject, db, visitor)
    if form.value is None:
        return page.with_faults(visitor, form.faults, {})
    try:
        with database.transaction() as tx:
            sessions.end_session(tx, subject.id, form.value.session_id, EndReason.REVOKED_BY_USER)
    except Problem as problem:
        return page.refused(visitor, problem)
    return Redirect(visitor.link(HERE, notice="ended"), 303)


@routes.post("/dashboard/sessions/end-others", allow=SIGNED_IN, root=True, page=True)
def end_others_form(query: schemas.PageParameters, request: RequestInfo, subject: Subject, database: Database) -> Redirect:
    """End all of one's sessions but this one."""
    with database.transaction() as tx:
        sessions.end_other_sessions(tx, subject.id, subject.session_id, EndReason.REVOKED_BY_USER)
    return Redirect(Visitor.of(request, query.lang).link(HERE, notice="others_ended"), 303)


def _dashboard(account: Row[Any], subject: Subject, db: Reader, visitor: Visitor, told: str | None = None) -> Page:
    rows = queries.sessions_page(db, subject.id, clock.now(), SESSIONS_SHOWN, None)
    return Page(
        "dashboard.html",
        {
            "account": account,
            "role": role_name(Role(account.role), visitor.language),
            "may": may(Role(account.role), visitor.language),
            "enrolled": queries.enrolled(db, subject.id),
            "withheld": not subject.roles,
            "current": subject.session_id,
            "sessions": rows[:SESSIONS_SHOWN],
            "notice": notice(told, visitor.language),
        },
    )
