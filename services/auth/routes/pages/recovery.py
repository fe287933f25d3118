"""The doors to a new password for who forgot the old one."""

from libs.common.auth.policy import PUBLIC, Rate
from libs.common.db import Database
from libs.common.errors import Problem
from libs.common.http import Cookie, Cookies, Html, Redirect, RequestInfo, Routes, Submitted
from services.auth import schemas
from services.auth.domain.limits import ClientLimits
from services.auth.domain.password_rules import PasswordRules
from services.auth.domain.tokens import Purpose
from services.auth.routes.answers import caller
from services.auth.routes.pages.cookies import RESET_COOKIE, signed_out
from services.auth.routes.pages.mailed_links import LinkForm
from services.auth.routes.pages.registration import keep_mailed
from services.auth.routes.pages.rendering import Page, Visitor
from services.auth.use_cases import passwords
from services.auth.use_cases.keeping import Keeping

routes = Routes("auth")

FORGOT = LinkForm(Page("forgot.html", {}), Purpose.RESET_PASSWORD, "reset_sent")


@routes.get("/forgot-password", allow=PUBLIC, rate=Rate.PUBLIC, root=True, page=True)
def forgot_page(query: schemas.EntranceQuery, request: RequestInfo) -> Html:
    """Show the form that asks for a link."""
    return FORGOT.page.shown(Visitor.of(request, query.lang))


@routes.post("/forgot-password", allow=PUBLIC, rate=Rate.CREDENTIALS, root=True, page=True)
def forgot_form(
    form: Submitted[schemas.Forgot],
    query: schemas.PageParameters,
    request: RequestInfo,
    database: Database,
    limits: ClientLimits,
) -> Html | Redirect:
    """Ask for a link by mail. The answer is the same whether or not the address is known."""
    return FORGOT.asked(form, Visitor.of(request, query.lang), database, caller(request, limits))


@routes.get("/reset-password", allow=PUBLIC, rate=Rate.CREDENTIALS, root=True, page=True)
def reset_page(query: schemas.MailedQuery, request: RequestInfo, cookies: Cookies, rules: PasswordRules) -> Html | Redirect:
    """Show the form for the new password. A mailed link leads here without its token, which nothing has spent yet."""
    visitor = Visitor.of(request, query.lang)
    if query.token is not None:
        return keep_mailed("/reset-password", RESET_COOKIE, query.token.get_secret_value(), visitor)
    return _reset(cookies, rules).shown(visitor)


@routes.post("/reset-password", allow=PUBLIC, rate=Rate.CREDENTIALS, root=True, page=True)
def reset_form(
    form: Submitted[schemas.Reset],
    query: schemas.PageParameters,
    request: RequestInfo,
    cookies: Cookies,
    database: Database,
    keeping: Keeping,
) -> Html | Redirect:
    """Set a new password with the token from a mail. All sessions end, this browser's too."""
    visitor = Visitor.of(request, query.lang)
    if form.value is None:
        return _reset(cookies, keeping.rules).with_faults(visitor, form.faults, {})
    token, password = form.value.token.get_secret_value(), form.value.password.get_secret_value()
    try:
        passwords.reset_password(database, token, password, keeping)
    except Problem as problem:
        return _reset(cookies, keeping.rules).refused(visitor, problem)
    return Redirect(visitor.link("/login", notice="reset"), 303, (Cookie.forgotten(RESET_COOKIE), *signed_out()))


def _reset(cookies: Cookies, rules: PasswordRules) -> Page:
    return Page("reset.html", {"token": cookies.get(RESET_COOKIE), "minimum": rules.minimum})
