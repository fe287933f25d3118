"""The doors where a person says what a program may do for them."""

from libs.common.auth.policy import SIGNED_IN, Rate, Subject
from libs.common.db import Database
from libs.common.errors import Problem
from libs.common.http import Html, Redirect, RequestInfo, Routes, Submitted
from services.auth import queries, schemas
from services.auth.domain.authorization import Provider
from services.auth.routes.pages.rendering import Page, Visitor, onward
from services.auth.routes.pages.words import scope_name
from services.auth.use_cases import authorization
from services.auth.use_cases.authorization import Question

routes = Routes("auth")

OVER = Page("consent_over.html", {})


@routes.get("/oauth/consent", allow=SIGNED_IN, root=True, page=True)
def consent_page(query: schemas.ConsentQuery, request: RequestInfo, subject: Subject, database: Database) -> Html:
    """Ask a person whether a program may do what it asks for."""
    visitor = _visitor(query, request, subject, database)
    try:
        with database.transaction() as tx:
            question = authorization.question(tx, query.request.get_secret_value(), subject)
    except Problem as problem:
        return OVER.refused(visitor, problem)
    return _asked(question, visitor).shown(visitor)


@routes.post("/oauth/consent", allow=SIGNED_IN, rate=Rate.WRITE, root=True, page=True)
def consent_form(
    form: Submitted[schemas.AnswerForm],
    query: schemas.ConsentQuery,
    request: RequestInfo,
    subject: Subject,
    database: Database,
    provider: Provider,
) -> Html | Redirect:
    """Let the program have what it asked for, or nothing, and go back to it."""
    visitor, handle = _visitor(query, request, subject, database), query.request.get_secret_value()
    try:
        with database.transaction() as tx:
            if form.value is None:
                return _asked(authorization.question(tx, handle, subject), visitor).with_faults(visitor, form.faults, {})
            decide = authorization.grant if form.value.answer == "grant" else authorization.deny
            address = decide(tx, provider, handle, subject)
    except Problem as problem:
        return OVER.refused(visitor, problem)
    return onward(address, visitor)


def _visitor(query: schemas.ConsentQuery, request: RequestInfo, subject: Subject, database: Database) -> Visitor:
    with database.reader() as db:
        return Visitor.of(request, query.lang, queries.account(db, subject.id).locale)


def _asked(question: Question, visitor: Visitor) -> Page:
    values = {
        "question": question,
        "scopes": [(scope_name(each, visitor.language), each in question.known_scopes) for each in question.scopes],
    }
    return Page("consent.html", values)
