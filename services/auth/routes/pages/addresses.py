"""The doors where a change of address is confirmed or stopped by the links that were mailed."""

from libs.common.auth.policy import PUBLIC, Rate
from libs.common.db import Database
from libs.common.errors import Problem
from libs.common.http import Cookie, Cookies, Html, Redirect, RequestInfo, Routes, Submitted
from services.auth import schemas
from services.auth.domain.email_changes import ChangeState
from services.auth.domain.secrets import MasterSecret
from services.auth.routes.pages.cookies import EMAIL_COOKIE
from services.auth.routes.pages.registration import keep_mailed
from services.auth.routes.pages.rendering import Page, Visitor
from services.auth.use_cases import email_changes

routes = Routes("auth")

CONFIRM = "/email/confirm"
CANCEL = "/email/cancel"
NOTICES = {ChangeState.WAITING: "email_waiting", ChangeState.CHANGED: "email_changed"}


@routes.get(CONFIRM, allow=PUBLIC, rate=Rate.CREDENTIALS, root=True, page=True)
def confirm_email_page(query: schemas.MailedQuery, request: RequestInfo, cookies: Cookies) -> Html | Redirect:
    """Show the button that confirms a change of address; opening the link spends nothing."""
    return _opened(CONFIRM, query, request, cookies)


@routes.post(CONFIRM, allow=PUBLIC, rate=Rate.CREDENTIALS, root=True, page=True)
def confirm_email_form(
    form: Submitted[schemas.MailedForm],
    query: schemas.PageParameters,
    request: RequestInfo,
    cookies: Cookies,
    database: Database,
    secret: MasterSecret,
) -> Html | Redirect:
    """Confirm a change of address for one of the two addresses; the second confirmation makes it."""
    visitor, page = Visitor.of(request, query.lang), _page(CONFIRM, cookies)
    if form.value is None:
        return page.with_faults(visitor, form.faults, {})
    try:
        with database.transaction() as tx:
            state = email_changes.confirm(tx, form.value.token.get_secret_value(), secret)
    except Problem as problem:
        return page.refused(visitor, problem)
    return Redirect(visitor.link("/login", notice=NOTICES[state]), 303, (Cookie.forgotten(EMAIL_COOKIE),))


@routes.get(CANCEL, allow=PUBLIC, rate=Rate.CREDENTIALS, root=True, page=True)
def cancel_email_page(query: schemas.MailedQuery, request: RequestInfo, cookies: Cookies) -> Html | Redirect:
    """Show the button that stops a change of address; opening the link spends nothing."""
    return _opened(CANCEL, query, request, cookies)


@routes.post(CANCEL, allow=PUBLIC, rate=Rate.CREDENTIALS, root=True, page=True)
def cancel_email_form(
    form: Submitted[schemas.MailedForm],
    query: schemas.PageParameters,
    request: RequestInfo,
    cookies: Cookies,
    database: Database,
) -> Html | Redirect:
    """Keep the address as it is."""
    visitor, page = Visitor.of(request, query.lang), _page(CANCEL, cookies)
    if form.value is None:
        return page.with_faults(visitor, form.faults, {})
    try:
        with database.transaction() as tx:
            email_changes.cancel(tx, form.value.token.get_secret_value())
    except Problem as problem:
        return page.refused(visitor, problem)
    return Redirect(visitor.link("/login", notice="email_kept"), 303, (Cookie.forgotten(EMAIL_COOKIE),))


def _opened(path: str, query: schemas.MailedQuery, request: RequestInfo, cookies: Cookies) -> Html | Redirect:
    visitor = Visitor.of(request, query.lang)
    if query.token is not None:
        return keep_mailed(path, EMAIL_COOKIE, query.token.get_secret_value(), visitor)
    return _page(path, cookies).shown(visitor)


def _page(path: str, cookies: Cookies) -> Page:
    return Page("address.html", {"token": cookies.get(EMAIL_COOKIE), "here": path, "stops": path == CANCEL})
