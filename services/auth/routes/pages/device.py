"""The door where a person types the code that a device shows."""

from libs.common.auth.policy import SIGNED_IN, Rate, Subject
from libs.common.db import Database
from libs.common.errors import Problem
from libs.common.http import Html, Redirect, RequestInfo, Routes, Submitted
from services.auth import queries, schemas
from services.auth.routes.pages.rendering import Page, Visitor
from services.auth.routes.pages.words import notice, scope_name
from services.auth.use_cases import devices

routes = Routes("auth")

HERE = "/device"


@routes.get("/device", allow=SIGNED_IN, root=True, page=True)
def device_page(query: schemas.DeviceQuery, request: RequestInfo, subject: Subject, database: Database) -> Html:
    """Show the box for the code; a link may have filled it in, but a person still looks and sends it."""
    visitor = _visitor(query, request, subject, database)
    return _entry(notice(query.notice, visitor.language)).shown(visitor, {"user_code": query.user_code or ""})


@routes.post("/device", allow=SIGNED_IN, rate=Rate.CREDENTIALS, root=True, page=True)
def device_form(
    form: Submitted[schemas.DeviceForm],
    query: schemas.DeviceQuery,
    request: RequestInfo,
    subject: Subject,
    database: Database,
) -> Html | Redirect:
    """Show what waits under a code, then let it have that or nothing."""
    visitor = _visitor(query, request, subject, database)
    given = {"user_code": form.given.get("user_code", "")}
    if form.value is None:
        return _entry().with_faults(visitor, form.faults, given)
    try:
        with database.transaction() as tx:
            if form.value.answer is None:
                return _question(devices.look_up(tx, form.value.user_code), visitor).shown(visitor)
            decide = devices.approve if form.value.answer == "grant" else devices.deny
            decide(tx, form.value.user_code, subject)
    except Problem as problem:
        return _entry().refused(visitor, problem, given)
    told = "device_allowed" if form.value.answer == "grant" else "device_refused"
    return Redirect(visitor.link(HERE, notice=told), 303)


def _visitor(query: schemas.DeviceQuery, request: RequestInfo, subject: Subject, database: Database) -> Visitor:
    with database.reader() as db:
        return Visitor.of(request, query.lang, queries.account(db, subject.id).locale)


def _entry(told: str | None = None) -> Page:
    return Page("device.html", {"notice": told})


def _question(question: devices.DeviceQuestion, visitor: Visitor) -> Page:
    scopes = [scope_name(each, visitor.language) for each in question.scopes]
    return Page("device_question.html", {"question": question, "scopes": scopes})
