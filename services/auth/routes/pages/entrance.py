"""The doors to sign in and out with a browser."""

from typing import Final

from libs.common.auth.browser import safe_path
from libs.common.auth.policy import PUBLIC, Rate
from libs.common.db import Database
from libs.common.errors import Problem
from libs.common.http import Cookies, Html, Redirect, RequestInfo, Routes, Submitted
from libs.common.pages import SCRIPT_POLICY
from services.auth import schemas
from services.auth.domain.factors import Factor, SecondFactorRequired, SignInOver
from services.auth.domain.passwords import PasswordHasher
from services.auth.domain.sessions import OWN_CLIENT, device_label
from services.auth.routes.pages.assets import PASSKEYS
from services.auth.routes.pages.cookies import RENEWAL_COOKIE, Keeper, signed_out
from services.auth.routes.pages.rendering import Page, Visitor, onward
from services.auth.routes.pages.words import notice
from services.auth.use_cases import browsers, second_factor, sessions, sign_in
from services.auth.use_cases.second_factor import Means
from services.auth.use_cases.sessions import Credentials

routes = Routes("auth")

HOME: Final = "/dashboard"
"""Where who signed in without a place to come back to is led."""


@routes.get("/login", allow=PUBLIC, rate=Rate.CREDENTIALS, root=True, page=True, during_maintenance=True)
def login_page(
    query: schemas.EntranceQuery, request: RequestInfo, cookies: Cookies, database: Database, keeper: Keeper
) -> Html | Redirect:
    """Show the form to sign in; whose session can be renewed is led on without it, unless `prompt=login` asks for it."""
    visitor, callback = Visitor.of(request, query.lang), safe_path(query.callbackUrl)
    told, token = notice(query.notice, visitor.language), cookies.get(RENEWAL_COOKIE)
    if token is None or query.prompt == "login":
        return _form(callback, told).shown(visitor)
    with database.transaction() as tx:
        outcome = sessions.refresh(tx, token, keeper.lifetimes, OWN_CLIENT)
    if isinstance(outcome, Problem):
        return _form(callback, told, forget=True).shown(visitor)
    return Redirect(callback or visitor.link(HOME, notice=query.notice), 303, keeper.signed_in(outcome))


@routes.post("/login", allow=PUBLIC, rate=Rate.CREDENTIALS, root=True, page=True, during_maintenance=True)
def login_form(
    form: Submitted[schemas.LoginForm],
    query: schemas.PageParameters,
    request: RequestInfo,
    cookies: Cookies,
    *,
    database: Database,
    hasher: PasswordHasher,
    means: Means,
    keeper: Keeper,
) -> Html | Redirect:
    """Sign in with e-mail address and password, and go where one was led from. The browser's session before ends."""
    visitor, callback = Visitor.of(request, query.lang), safe_path(form.given.get("callbackUrl"))
    given = {"email": form.given.get("email", "")}
    if form.value is None:
        return _form(callback).with_faults(visitor, form.faults, given)
    attempt = sign_in.Attempt(form.value.email, form.value.password.get_secret_value(), device_label(request.user_agent))
    outcome = second_factor.sign_in_with_code(database, attempt, None, hasher, means)
    if isinstance(outcome, SecondFactorRequired):
        return _second(outcome.challenge_token, outcome.extensions["methods"], callback).shown(visitor)
    if isinstance(outcome, Problem):
        return _form(callback).refused(visitor, outcome, given)
    return _entered(outcome, callback, visitor, cookies, database, keeper)


@routes.post("/login/second-factor", allow=PUBLIC, rate=Rate.CREDENTIALS, root=True, page=True, during_maintenance=True)
def second_factor_form(
    form: Submitted[schemas.SecondFactorForm],
    query: schemas.PageParameters,
    request: RequestInfo,
    cookies: Cookies,
    *,
    database: Database,
    means: Means,
    keeper: Keeper,
) -> Html | Redirect:
    """Complete a sign-in with a code, a recovery code or a passkey."""
    visitor, callback = Visitor.of(request, query.lang), safe_path(form.given.get("callbackUrl"))
    page = _second(form.given.get("challenge", ""), form.given.get("methods", "").split(), callback)
    if form.value is None:
        return page.with_faults(visitor, form.faults, {})
    with database.transaction() as tx:
        outcome = second_factor.complete(tx, form.value.challenge.get_secret_value(), form.value.proof, means)
    if isinstance(outcome, SignInOver):
        return _form(callback).refused(visitor, outcome)
    if isinstance(outcome, Problem):
        return page.refused(visitor, outcome)
    return _entered(outcome, callback, visitor, cookies, database, keeper)


@routes.post("/login/passkey", allow=PUBLIC, rate=Rate.CREDENTIALS, root=True, page=True, during_maintenance=True)
def passkey_form(
    form: Submitted[schemas.PasskeyForm],
    query: schemas.PageParameters,
    request: RequestInfo,
    cookies: Cookies,
    *,
    database: Database,
    means: Means,
    keeper: Keeper,
) -> Html | Redirect:
    """Sign in with a passkey alone."""
    visitor, callback = Visitor.of(request, query.lang), safe_path(form.given.get("callbackUrl"))
    if form.value is None:
        return _form(callback).with_faults(visitor, form.faults, {})
    with database.transaction() as tx:
        outcome = second_factor.sign_in_by_passkey(tx, form.value.passkey.as_json(), device_label(request.user_agent), means)
    if isinstance(outcome, Problem):
        return _form(callback).refused(visitor, outcome)
    return _entered(outcome, callback, visitor, cookies, database, keeper)


@routes.post("/sign-out", allow=PUBLIC, rate=Rate.CREDENTIALS, root=True, page=True, during_maintenance=True)
def sign_out(
    query: schemas.PageParameters, request: RequestInfo, cookies: Cookies, database: Database, keeper: Keeper
) -> Redirect:
    """End the browser's session, whether or not its access token still holds, and have the browser forget it."""
    with database.transaction() as tx:
        browsers.end_presented(tx, cookies.get(RENEWAL_COOKIE), keeper.lifetimes)
    return Redirect(Visitor.of(request, query.lang).link("/login", notice="signed_out"), 303, signed_out())


def _entered(
    credentials: Credentials, callback: str | None, visitor: Visitor, cookies: Cookies, database: Database, keeper: Keeper
) -> Html | Redirect:
    """Keep the new session in the browser in place of the one before, and go on."""
    with database.transaction() as tx:
        browsers.end_presented(tx, cookies.get(RENEWAL_COOKIE), keeper.lifetimes)
    return onward(callback or HOME, visitor, keeper.signed_in(credentials))


def _form(callback: str | None, told: str | None = None, *, forget: bool = False) -> Page:
    values = {"callback": callback, "notice": told, "script": PASSKEYS}
    return Page("login.html", values, SCRIPT_POLICY, signed_out() if forget else ())


def _second(challenge: str, methods: list[str], callback: str | None) -> Page:
    known = [factor for factor in Factor if factor in methods]
    values = {"challenge": challenge, "methods": known, "callback": callback, "script": PASSKEYS}
    return Page("second_factor.html", values, SCRIPT_POLICY)
