"""The doors to a new password for who forgot the old one."""

from libs.common.auth.policy import PUBLIC, Rate
from libs.common.db import Database, Transaction
from libs.common.errors import Problem
from libs.common.http import Cookie, Cookies, Html, Redirect, RequestInfo, Routes, Submitted
from services.auth import schemas
from services.auth.domain.passwords import PasswordHasher
from services.auth.domain.secrets import MasterSecret
from services.auth.routes.pages.cookies import RESET_COOKIE, signed_out
from services.auth.routes.pages.registration import keep_mailed
from services.auth.routes.pages.rendering import Page, Visitor
from services.auth.use_cases import passwords

routes = Routes("auth")

FORGOT = Page("forgot.html", {})


@routes.get("/forgot-password", allow=PUBLIC, rate=Rate.PUBLIC, root=True, page=True)
def forgot_page(query: schemas.EntranceQuery, request: RequestInfo) -> Html:
    """Show the form that asks for a link."""
    return FORGOT.shown(Visitor.of(request, query.lang))


@routes.post("/forgot-password", allow=PUBLIC, rate=Rate.CREDENTIALS, root=True, page=True)
def forgot_form(
    form: Submitted[schemas.Forgot], query: schemas.PageParameters, request: RequestInfo, tx: Transaction
) -> Html | Redirect:
    """Ask for a link by mail. The answer is the same whether or not the address is known."""
    visitor = Visitor.of(request, query.lang)
    if form.value is None:
        return FORGOT.with_faults(visitor, form.faults, form.given)
    passwords.forget_password(tx, form.value.email)
    return Redirect(visitor.link("/login", notice="reset_sent"), 303)


@routes.get("/reset-password", allow=PUBLIC, rate=Rate.CREDENTIALS, root=True, page=True)
def reset_page(query: schemas.MailedQuery, request: RequestInfo, cookies: Cookies) -> Html | Redirect:
    """Show the form for the new password. A mailed link leads here without its token, which nothing has spent yet."""
    visitor = Visitor.of(request, query.lang)
    if query.token is not None:
        return keep_mailed("/reset-password", RESET_COOKIE, query.token.get_secret_value(), visitor)
    return _reset(cookies).shown(visitor)


@routes.post("/reset-password", allow=PUBLIC, rate=Rate.CREDENTIALS, root=True, page=True)
def reset_form(
    form: Submitted[schemas.Reset],
    query: schemas.PageParameters,
    request: RequestInfo,
    cookies: Cookies,
    *,
    database: Database,
    hasher: PasswordHasher,
    secret: MasterSecret,
) -> Html | Redirect:
    """Set a new password with the token from a mail. All sessions end, this browser's too."""
    visitor = Visitor.of(request, query.lang)
    if form.value is None:
        return _reset(cookies).with_faults(visitor, form.faults, {})
    token, password = form.value.token.get_secret_value(), form.value.password.get_secret_value()
    try:
        passwords.reset_password(database, token, password, hasher, secret)
    except Problem as problem:
        return _reset(cookies).refused(visitor, problem)
    return Redirect(visitor.link("/login", notice="reset"), 303, (Cookie.forgotten(RESET_COOKIE), *signed_out()))


def _reset(cookies: Cookies) -> Page:
    return Page("reset.html", {"token": cookies.get(RESET_COOKIE)})
