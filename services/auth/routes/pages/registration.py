"""The doors to sign up with a browser, and to confirm the address."""

from libs.common.auth.policy import PUBLIC, Rate, Role
from libs.common.db import Database
from libs.common.errors import Problem
from libs.common.http import Cookie, Cookies, Html, Redirect, RequestInfo, Routes, Submitted
from services.auth import schemas
from services.auth.domain.limits import ClientLimits
from services.auth.domain.password_rules import PasswordRules
from services.auth.domain.tokens import Purpose
from services.auth.routes.answers import caller
from services.auth.routes.pages.cookies import MAILED_SECONDS, VERIFY_COOKIE
from services.auth.routes.pages.mailed_links import LinkForm
from services.auth.routes.pages.rendering import Page, Visitor
from services.auth.routes.pages.words import role_name
from services.auth.use_cases import registration
from services.auth.use_cases.keeping import Keeping

routes = Routes("auth")

RESEND = LinkForm(Page("resend.html", {}), Purpose.VERIFY_EMAIL, "verify_sent")


@routes.get("/register", allow=PUBLIC, rate=Rate.PUBLIC, root=True, page=True)
def register_page(query: schemas.EntranceQuery, request: RequestInfo, rules: PasswordRules) -> Html:
    """Show the form to sign up."""
    visitor = Visitor.of(request, query.lang)
    return _register(visitor, rules).shown(visitor, {"role": Role.CONTRIBUTOR})


@routes.post("/register", allow=PUBLIC, rate=Rate.CREDENTIALS, root=True, page=True)
def register_form(
    form: Submitted[schemas.RegisterForm],
    query: schemas.PageParameters,
    request: RequestInfo,
    database: Database,
    keeping: Keeping,
    limits: ClientLimits,
) -> Html | Redirect:
    """Open an account. What comes of it is told by mail alone."""
    visitor = Visitor.of(request, query.lang)
    given = {name: value for name, value in form.given.items() if name != "password"}
    if form.value is None:
        return _register(visitor, keeping.rules).with_faults(visitor, form.faults, given)
    new = form.value
    newcomer = registration.Registration(new.email, new.password.get_secret_value(), new.display_name, new.role, visitor.locale)
    try:
        limited = registration.register(database, newcomer, keeping, caller(request, limits))
    except Problem as problem:
        return _register(visitor, keeping.rules).refused(visitor, problem, given)
    if limited is not None:
        return _register(visitor, keeping.rules).refused(visitor, limited, given)
    return Redirect(visitor.link("/login", notice="registered"), 303)


@routes.get("/verify-email", allow=PUBLIC, rate=Rate.CREDENTIALS, root=True, page=True)
def verify_page(query: schemas.MailedQuery, request: RequestInfo, cookies: Cookies) -> Html | Redirect:
    """Show the button that confirms an address. A mailed link leads here without its token, which nothing has spent yet."""
    visitor = Visitor.of(request, query.lang)
    if query.token is not None:
        return keep_mailed("/verify-email", VERIFY_COOKIE, query.token.get_secret_value(), visitor)
    return _verify(cookies).shown(visitor)


@routes.post("/verify-email", allow=PUBLIC, rate=Rate.CREDENTIALS, root=True, page=True)
def verify_form(
    form: Submitted[schemas.MailedForm],
    query: schemas.PageParameters,
    request: RequestInfo,
    cookies: Cookies,
    database: Database,
) -> Html | Redirect:
    """Confirm an address with the token that was mailed to it."""
    visitor = Visitor.of(request, query.lang)
    if form.value is None:
        return _verify(cookies).with_faults(visitor, form.faults, {})
    try:
        with database.transaction() as tx:
            registration.verify_email(tx, form.value.token.get_secret_value())
    except Problem as problem:
        return _verify(cookies).refused(visitor, problem)
    return Redirect(visitor.link("/login", notice="verified"), 303, (Cookie.forgotten(VERIFY_COOKIE),))


@routes.get("/verify-email/resend", allow=PUBLIC, rate=Rate.PUBLIC, root=True, page=True)
def resend_page(query: schemas.PageParameters, request: RequestInfo) -> Html:
    """Show the form that asks for the mail once more."""
    return RESEND.page.shown(Visitor.of(request, query.lang))


@routes.post("/verify-email/resend", allow=PUBLIC, rate=Rate.CREDENTIALS, root=True, page=True)
def resend_form(
    form: Submitted[schemas.ResendVerification],
    query: schemas.PageParameters,
    request: RequestInfo,
    database: Database,
    limits: ClientLimits,
) -> Html | Redirect:
    """Ask for the mail that confirms an address once more. The answer is the same whether or not one is owed."""
    return RESEND.asked(form, Visitor.of(request, query.lang), database, caller(request, limits))


def _register(visitor: Visitor, rules: PasswordRules) -> Page:
    roles = {role: role_name(role, visitor.language) for role in Role if role is not Role.ADMIN}
    return Page("register.html", {"roles": roles, "minimum": rules.minimum})


def _verify(cookies: Cookies) -> Page:
    return Page("verify.html", {"token": cookies.get(VERIFY_COOKIE)})


def keep_mailed(path: str, cookie: str, token: str, visitor: Visitor) -> Html | Redirect:
    """Have the browser keep a mailed token, and lead it to the same page without it: out of history and referrers."""
    try:
        kept = Cookie(cookie, token, MAILED_SECONDS)
    except ValueError:
        return Redirect(visitor.link(path), 303)
    return Redirect(visitor.link(path), 303, (kept,), {"Referrer-Policy": "no-referrer"})
