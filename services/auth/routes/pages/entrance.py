"""The doors to sign in and out with a browser."""

from libs.common.auth.browser import safe_path
from libs.common.auth.policy import PUBLIC, Rate
from libs.common.db import Database
from libs.common.errors import Problem
from libs.common.http import Cookies, Html, Redirect, RequestInfo, Routes, Submitted
from services.auth import schemas
from services.auth.domain.passwords import PasswordHasher
from services.auth.domain.secrets import MasterSecret
from services.auth.domain.sessions import device_label
from services.auth.domain.tokens import TokenIssuer
from services.auth.routes.pages.cookies import RENEWAL_COOKIE, signed_in, signed_out
from services.auth.routes.pages.rendering import Page, Visitor, policy_for
from services.auth.use_cases import sessions, sign_in

routes = Routes("auth")

HOME = "/dashboard"
"""Where who signed in without a place to come back to is led."""


@routes.get("/login", allow=PUBLIC, rate=Rate.CREDENTIALS, root=True, page=True, during_maintenance=True)
def login_page(
    query: schemas.EntranceQuery, request: RequestInfo, cookies: Cookies, database: Database, issuer: TokenIssuer
) -> Html | Redirect:
    """Show the form to sign in; whose session can be renewed is led on without it, unless `prompt=login` asks for it."""
    visitor, callback = Visitor.of(request, query.lang), safe_path(query.callbackUrl)
    token = cookies.get(RENEWAL_COOKIE)
    if token is None or query.prompt == "login":
        return _form(callback, query.notice).shown(visitor)
    with database.transaction() as tx:
        outcome = sessions.refresh(tx, token)
    if isinstance(outcome, Problem):
        return _form(callback, query.notice, forget=True).shown(visitor)
    return Redirect(callback or HOME, 303, signed_in(outcome, issuer))


@routes.post("/login", allow=PUBLIC, rate=Rate.CREDENTIALS, root=True, page=True, during_maintenance=True)
def login_form(
    form: Submitted[schemas.LoginForm],
    query: schemas.PageQueryText,
    request: RequestInfo,
    cookies: Cookies,
    *,
    database: Database,
    hasher: PasswordHasher,
    secret: MasterSecret,
    issuer: TokenIssuer,
) -> Html | Redirect:
    """Sign in with e-mail address and password, and go where one was led from. What the browser was signed in to before ends."""
    visitor, callback = Visitor.of(request, query.lang), safe_path(form.given.get("callbackUrl"))
    page, given = _form(callback), {"email": form.given.get("email", "")}
    if form.value is None:
        return page.with_faults(visitor, form.faults, given)
    attempt = sign_in.Attempt(form.value.email, form.value.password.get_secret_value(), device_label(request.user_agent))
    outcome = sign_in.sign_in(database, attempt, hasher, secret)
    if isinstance(outcome, Problem):
        return page.refused(visitor, outcome, given)
    sessions.end_presented(database, cookies.get(RENEWAL_COOKIE))
    return Redirect(callback or HOME, 303, signed_in(outcome, issuer))


@routes.post("/sign-out", allow=PUBLIC, rate=Rate.CREDENTIALS, root=True, page=True, during_maintenance=True)
def sign_out(query: schemas.PageQueryText, request: RequestInfo, cookies: Cookies, database: Database) -> Redirect:
    """End the browser's session, whether or not its access token still holds, and have the browser forget it."""
    sessions.end_presented(database, cookies.get(RENEWAL_COOKIE))
    return Redirect(Visitor.of(request, query.lang).link("/login", notice="signed_out"), 303, signed_out())


def _form(callback: str | None, notice: str | None = None, *, forget: bool = False) -> Page:
    return Page(
        "login.html",
        {"callback": callback, "notice": notice},
        policy_for(callback),
        signed_out() if forget else (),
    )
