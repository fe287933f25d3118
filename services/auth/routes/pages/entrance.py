"""The doors to sign in and out with a browser."""

from typing import Final

from libs.common.auth.browser import RENEWAL_COOKIE, safe_path
from libs.common.auth.policy import PUBLIC, Rate
from libs.common.errors import Problem
from libs.common.http import Cookies, Html, Redirect, RequestInfo, Routes, Submitted
from libs.common.pages import SCRIPT_POLICY
from services.auth import schemas
from services.auth.domain.factors import Factor, SecondFactorRequired, SignInOver
from services.auth.domain.limits import ClientLimits
from services.auth.domain.sessions import OWN_CLIENT, device_label
from services.auth.routes.answers import caller
from services.auth.routes.pages.assets import PASSKEYS
from services.auth.routes.pages.cookies import DEVICE_COOKIE, Keeper, signed_out
from services.auth.routes.pages.rendering import Page, Visitor, onward
from services.auth.routes.pages.words import notice
from services.auth.use_cases import browsers, second_factor, sessions, sign_in
from services.auth.use_cases.sessions import Credentials

routes = Routes("auth")

HOME: Final = "/dashboard"
"""Where who signed in without a place to come back to is led."""


@routes.get("/login", allow=PUBLIC, rate=Rate.CREDENTIALS, root=True, page=True, during_maintenance=True)
def login_page(query: schemas.EntranceQuery, request: RequestInfo, cookies: Cookies, keeper: Keeper) -> Html | Redirect:
    """Show the form to sign in; whose session can be renewed is led on without it, unless `prompt=login` asks for it."""
    visitor, callback = Visitor.of(request, query.lang), safe_path(query.callbackUrl)
    told, token = notice(query.notice, visitor.language), cookies.get(RENEWAL_COOKIE)
    if token is None or query.prompt == "login":
        return form_page(keeper, callback, told).shown(visitor)
    with keeper.database.transaction() as tx:
        outcome = sessions.refresh(tx, token, keeper.lifetimes, OWN_CLIENT)
    if isinstance(outcome, Problem):
        return form_page(keeper, callback, told, forget=True).shown(visitor)
    return Redirect(callback or visitor.link(HOME, notice=query.notice), 303, keeper.signed_in(outcome))


@routes.post("/login", allow=PUBLIC, rate=Rate.CREDENTIALS, root=True, page=True, during_maintenance=True)
def login_form(
    form: Submitted[schemas.LoginForm],
    query: schemas.PageParameters,
    request: RequestInfo,
    cookies: Cookies,
    limits: ClientLimits,
    keeper: Keeper,
) -> Html | Redirect:
    """Sign in with e-mail address and password, and go where one was led from. The browser's session before ends."""
    visitor, callback = Visitor.of(request, query.lang), safe_path(form.given.get("callbackUrl"))
    given = {"email": form.given.get("email", "")}
    if form.value is None:
        return form_page(keeper, callback).with_faults(visitor, form.faults, given)
    attempt = sign_in.Attempt(
        form.value.email,
        form.value.password.get_secret_value(),
        device_label(request.user_agent),
        cookies.get(DEVICE_COOKIE),
        caller(request, limits),
    )
    outcome = second_factor.sign_in_with_code(keeper.database, attempt, None, keeper.means.hasher, keeper.means)
    if isinstance(outcome, SecondFactorRequired):
        return second_page(outcome.challenge_token, outcome.extensions["methods"], callback).shown(visitor)
    if isinstance(outcome, Problem):
        return form_page(keeper, callback).refused(visitor, outcome, given)
    return entered(outcome, callback, visitor, cookies, keeper)


@routes.post("/login/second-factor", allow=PUBLIC, rate=Rate.CREDENTIALS, root=True, page=True, during_maintenance=True)
def second_factor_form(
    form: Submitted[schemas.SecondFactorForm],
    query: schemas.PageParameters,
    request: RequestInfo,
    cookies: Cookies,
    keeper: Keeper,
) -> Html | Redirect:
    """Complete a sign-in with a code, a recovery code or a passkey."""
    visitor, callback = Visitor.of(request, query.lang), safe_path(form.given.get("callbackUrl"))
    page = second_page(form.given.get("challenge", ""), form.given.get("methods", "").split(), callback)
    if form.value is None:
        return page.with_faults(visitor, form.faults, {})
    with keeper.database.transaction() as tx:
        outcome = second_factor.complete(tx, form.value.challenge.get_secret_value(), form.value.proof, keeper.means)
    if isinstance(outcome, SignInOver):
        return form_page(keeper, callback).refused(visitor, outcome)
    if isinstance(outcome, Problem):
        return page.refused(visitor, outcome)
    return entered(outcome, callback, visitor, cookies, keeper)


@routes.post("/login/passkey", allow=PUBLIC, rate=Rate.CREDENTIALS, root=True, page=True, during_maintenance=True)
def passkey_form(
    form: Submitted[schemas.PasskeyForm],
    query: schemas.PageParameters,
    request: RequestInfo,
    cookies: Cookies,
    keeper: Keeper,
) -> Html | Redirect:
    """Sign in with a passkey alone."""
    visitor, callback = Visitor.of(request, query.lang), safe_path(form.given.get("callbackUrl"))
    if form.value is None:
        return form_page(keeper, callback).with_faults(visitor, form.faults, {})
    with keeper.database.transaction() as tx:
        outcome = second_factor.sign_in_by_passkey(
            tx, form.value.passkey.as_json(), device_label(request.user_agent), keeper.means
        )
    if isinstance(outcome, Problem):
        return form_page(keeper, callback).refused(visitor, outcome)
    return entered(outcome, callback, visitor, cookies, keeper)


@routes.post("/sign-out", allow=PUBLIC, rate=Rate.CREDENTIALS, root=True, page=True, during_maintenance=True)
def sign_out(query: schemas.PageParameters, request: RequestInfo, cookies: Cookies, keeper: Keeper) -> Redirect:
    """End the browser's session, whether or not its access token still holds, and have the browser forget it."""
    with keeper.database.transaction() as tx:
        browsers.end_presented(tx, cookies.get(RENEWAL_COOKIE), keeper.lifetimes)
    return Redirect(Visitor.of(request, query.lang).link("/login", notice="signed_out"), 303, signed_out())


def entered(
    credentials: Credentials, callback: str | None, visitor: Visitor, cookies: Cookies, keeper: Keeper
) -> Html | Redirect:
    """Keep the new session in the browser in place of the one before, and go on."""
    with keeper.database.transaction() as tx:
        browsers.end_presented(tx, cookies.get(RENEWAL_COOKIE), keeper.lifetimes)
    return onward(callback or HOME, visitor, (*keeper.signed_in(credentials), keeper.known(credentials)))


def form_page(keeper: Keeper, callback: str | None, told: str | None = None, *, forget: bool = False) -> Page:
    """The form to sign in, with the providers that one may sign in with instead."""
    values = {"callback": callback, "notice": told, "script": PASSKEYS, "providers": keeper.providers.listed()}
    return Page("login.html", values, SCRIPT_POLICY, signed_out() if forget else ())


def second_page(challenge: str, methods: list[str], callback: str | None) -> Page:
    """The form for the second factor of a sign-in that waits for it."""
    known = [factor for factor in Factor if factor in methods]
    values = {"challenge": challenge, "methods": known, "callback": callback, "script": PASSKEYS}
    return Page("second_factor.html", values, SCRIPT_POLICY)
