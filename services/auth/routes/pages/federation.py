"""The doors to sign in with another provider with a browser, and to link and unlink identities."""

from typing import Final

from libs.common.auth.browser import safe_path
from libs.common.auth.policy import PUBLIC, SIGNED_IN, Rate, Subject
from libs.common.db import Database, Reader
from libs.common.errors import Problem
from libs.common.http import Cookie, Cookies, Html, Redirect, RequestInfo, Routes, Submitted
from services.auth import queries, schemas
from services.auth.domain.factors import SecondFactorRequired
from services.auth.domain.federation import ATTEMPT_LIFE, LINK_LIFE, LinkRequired
from services.auth.domain.sessions import device_label
from services.auth.routes.accounts import STEP_UP_SECONDS
from services.auth.routes.pages.cookies import FEDERATION_COOKIE, LINK_COOKIE, Keeper
from services.auth.routes.pages.entrance import HOME, entered, form_page, second_page
from services.auth.routes.pages.rendering import Page, Visitor, onward
from services.auth.routes.pages.words import notice
from services.auth.use_cases import federation

routes = Routes("auth")

HERE: Final = "/identities"


@routes.post("/login/with/<provider>", allow=PUBLIC, rate=Rate.CREDENTIALS, root=True, page=True, during_maintenance=True)
def leave_form(
    provider: str,
    form: Submitted[schemas.LeaveForm],
    query: schemas.PageParameters,
    request: RequestInfo,
    means: federation.FederationMeans,
    keeper: Keeper,
) -> Html | Redirect:
    """Go to a provider to sign in."""
    visitor, callback = Visitor.of(request, query.lang), safe_path(form.given.get("callbackUrl"))
    try:
        begun = federation.begin(means, provider, return_to=callback)
    except Problem as problem:
        return form_page(keeper, callback).refused(visitor, problem)
    return _leaving(begun, visitor)


@routes.get("/oauth/callback/<provider>", allow=PUBLIC, rate=Rate.CREDENTIALS, root=True, page=True, during_maintenance=True)
def callback_page(
    provider: str,
    query: schemas.CallbackQuery,
    request: RequestInfo,
    cookies: Cookies,
    means: federation.FederationMeans,
    keeper: Keeper,
) -> Html | Redirect:
    """Come back from a provider: signed in, or with an account to link, or with nothing."""
    visitor = Visitor.of(request, None)
    answer = federation.Answer(
        provider,
        query.state,
        cookies.get(FEDERATION_COOKIE) or "",
        device_label(request.user_agent),
        code=query.code,
        error=query.error,
        issuer=query.iss,
    )
    try:
        completed = federation.complete(means, answer)
    except Problem as problem:
        return form_page(keeper, None).refused(visitor, problem)
    callback, outcome = safe_path(completed.return_to), completed.outcome
    if isinstance(outcome, LinkRequired):
        kept = Cookie(LINK_COOKIE, str(outcome.extensions["link_token"]), int(LINK_LIFE.total_seconds()))
        # Whoever is signed in passes through the entrance; whoever is not signs in there, and is told why.
        return Redirect(visitor.link("/login", callbackUrl=HERE, notice="link_offered"), 303, (kept,))
    if isinstance(outcome, SecondFactorRequired):
        return second_page(outcome.challenge_token, outcome.extensions["methods"], callback).shown(visitor)
    if isinstance(outcome, Problem):
        return form_page(keeper, callback).refused(visitor, outcome)
    return entered(outcome, callback or HOME, visitor, cookies, keeper)


@routes.get(HERE, allow=SIGNED_IN, root=True, page=True, step_up=STEP_UP_SECONDS)
def identities_page(
    query: schemas.PageParameters,
    request: RequestInfo,
    subject: Subject,
    cookies: Cookies,
    keeper: Keeper,
    db: Reader,
) -> Html:
    """Show with which providers one's account can be opened, and the link that waits to be confirmed."""
    visitor = _visitor(query, request, subject, db)
    told = notice(query.notice, visitor.language)
    return _page(subject, keeper, db, offered=cookies.get(LINK_COOKIE) is not None, told=told).shown(visitor)


@routes.get(f"{HERE}/<path:rest>", allow=SIGNED_IN, root=True, page=True)
def below_identities(rest: str, query: schemas.PageParameters) -> Redirect:  # noqa: ARG001  wherever it is
    """Lead to one's other accounts: whoever signed in again after sending one of their forms comes back by its address."""
    return Redirect(HERE, 303)


@routes.post(f"{HERE}/link", allow=SIGNED_IN, rate=Rate.CREDENTIALS, root=True, page=True, step_up=STEP_UP_SECONDS)
def link_form(
    form: Submitted[schemas.LinkForm],
    query: schemas.PageParameters,
    request: RequestInfo,
    subject: Subject,
    means: federation.FederationMeans,
    keeper: Keeper,
) -> Html | Redirect:
    """Go to a provider to link one's account there."""
    with means.database.reader() as db:
        visitor, page = _visitor(query, request, subject, db), _page(subject, keeper, db)
    try:
        begun = federation.begin(means, form.given.get("provider", ""), user_id=subject.id)
    except Problem as problem:
        return page.refused(visitor, problem)
    return _leaving(begun, visitor)


@routes.post(f"{HERE}/confirm", allow=SIGNED_IN, rate=Rate.CREDENTIALS, root=True, page=True, step_up=STEP_UP_SECONDS)
def confirm_link_form(
    query: schemas.PageParameters,
    request: RequestInfo,
    subject: Subject,
    cookies: Cookies,
    keeper: Keeper,
    database: Database,
) -> Html | Redirect:
    """Confirm that the identity that was offered to this browser shall open one's account."""
    with database.transaction() as tx:
        outcome = federation.confirm_link(tx, subject.id, cookies.get(LINK_COOKIE) or "")
    with database.reader() as db:
        visitor, page = _visitor(query, request, subject, db), _page(subject, keeper, db)
    if isinstance(outcome, Problem):
        return page.refused(visitor, outcome)
    return Redirect(visitor.link(HERE, notice="identity_linked"), 303, (Cookie.forgotten(LINK_COOKIE),))


@routes.post(f"{HERE}/unlink", allow=SIGNED_IN, root=True, page=True, step_up=STEP_UP_SECONDS)
def unlink_form(
    form: Submitted[schemas.UnlinkForm],
    query: schemas.PageParameters,
    request: RequestInfo,
    subject: Subject,
    keeper: Keeper,
    database: Database,
) -> Html | Redirect:
    """Let an identity open one's account no more."""
    with database.reader() as db:
        visitor, page = _visitor(query, request, subject, db), _page(subject, keeper, db)
    if form.value is None:
        return page.with_faults(visitor, form.faults, {})
    try:
        with database.transaction() as tx:
            refusal = federation.unlink(tx, subject.id, form.value.identity_id)
    except Problem as problem:
        return page.refused(visitor, problem)
    if refusal is not None:
        return page.refused(visitor, refusal)
    return Redirect(visitor.link(HERE, notice="identity_unlinked"), 303)


def _leaving(begun: federation.Begun, visitor: Visitor) -> Html | Redirect:
    return onward(begun.address, visitor, (Cookie(FEDERATION_COOKIE, begun.binding, int(ATTEMPT_LIFE.total_seconds())),))


def _visitor(query: schemas.PageParameters, request: RequestInfo, subject: Subject, db: Reader) -> Visitor:
    return Visitor.of(request, query.lang, queries.account(db, subject.id).locale)


def _page(subject: Subject, keeper: Keeper, db: Reader, *, offered: bool = False, told: str | None = None) -> Page:
    labels = {each.name: each.label for each in keeper.providers.listed()}
    linked = queries.identities(db, subject.id)
    values = {
        "identities": [(each, labels.get(each.provider, each.provider)) for each in linked],
        "others": [each for each in keeper.providers.listed() if each.name not in {known.provider for known in linked}],
        "offered": offered,
        "notice": told,
    }
    return Page("identities.html", values)
