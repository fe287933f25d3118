"""The doors where a person sets up and takes away second factors with a browser."""

from typing import Any, Final

from libs.common.auth.policy import SIGNED_IN, Assurance, Rate, StepUpRequired, Subject
from libs.common.db import Database, Reader
from libs.common.errors import Problem
from libs.common.http import Cookie, Cookies, Html, Redirect, RequestInfo, Routes, Submitted
from libs.common.pages import SCRIPT_POLICY
from services.auth import queries, schemas
from services.auth.domain.factors import Required
from services.auth.domain.passkeys import RelyingParty
from services.auth.domain.secrets import MasterSecret
from services.auth.domain.sessions import OWN_CLIENT
from services.auth.domain.totp import otpauth_uri
from services.auth.routes.answers import held
from services.auth.routes.pages.assets import PASSKEYS
from services.auth.routes.pages.cookies import RENEWAL_COOKIE, Keeper
from services.auth.routes.pages.rendering import Page, Visitor
from services.auth.routes.pages.words import notice
from services.auth.use_cases import factors, passkeys, sessions
from services.auth.use_cases.factors import STEP_UP_SECONDS

routes = Routes("auth")

HERE: Final = "/dashboard/security"


@routes.get("/dashboard/security", allow=SIGNED_IN, root=True, page=True, enrolment=True, step_up=STEP_UP_SECONDS)
def security_page(
    query: schemas.PageParameters, request: RequestInfo, subject: Subject, required: Required, db: Reader
) -> Html:
    """Show one's second factors."""
    visitor = _visitor(query, request, subject, db)
    return _page(subject, required, db, notice(query.notice, visitor.language)).shown(visitor)


@routes.post(
    "/dashboard/security/totp",
    allow=SIGNED_IN,
    rate=Rate.CREDENTIALS,
    root=True,
    page=True,
    enrolment=True,
    step_up=STEP_UP_SECONDS,
)
def begin_totp_form(
    query: schemas.PageParameters,
    request: RequestInfo,
    subject: Subject,
    *,
    required: Required,
    secret: MasterSecret,
    database: Database,
) -> Html | Redirect:
    """Show the secret for an authenticator app, and the box for its first code."""
    with database.reader() as db:
        visitor, page = _visitor(query, request, subject, db), _page(subject, required, db)
    try:
        with database.transaction() as tx:
            shared, uri = factors.begin_totp(tx, subject, secret)
    except StepUpRequired:
        return _sign_in_first(visitor)
    except Problem as problem:
        return page.refused(visitor, problem)
    return _setting_up(shared, uri).shown(visitor)


@routes.post(
    "/dashboard/security/totp/confirm",
    allow=SIGNED_IN,
    rate=Rate.CREDENTIALS,
    root=True,
    page=True,
    enrolment=True,
    step_up=STEP_UP_SECONDS,
)
def confirm_totp_form(
    form: Submitted[schemas.ConfirmTotpForm],
    query: schemas.PageParameters,
    request: RequestInfo,
    subject: Subject,
    cookies: Cookies,
    *,
    secret: MasterSecret,
    keeper: Keeper,
    database: Database,
) -> Html | Redirect:
    """Let an authenticator app count from now on."""
    with database.reader() as db:
        visitor = _visitor(query, request, subject, db)
        shared = form.given.get("secret", "")
        again = _setting_up(shared, otpauth_uri(shared, queries.account(db, subject.id).email) if shared else "")
    if form.value is None:
        return again.with_faults(visitor, form.faults, {})
    try:
        with database.transaction() as tx:
            codes = factors.confirm_totp(tx, subject, form.value.otp, secret)
    except StepUpRequired:
        return _sign_in_first(visitor)
    except Problem as problem:
        return again.refused(visitor, problem)
    return _added(codes, visitor, _renewed(cookies, keeper, database))


@routes.post(
    "/dashboard/security/passkeys",
    allow=SIGNED_IN,
    rate=Rate.CREDENTIALS,
    root=True,
    page=True,
    enrolment=True,
    step_up=STEP_UP_SECONDS,
)
def add_passkey_form(
    form: Submitted[schemas.NewPasskeyForm],
    query: schemas.PageParameters,
    request: RequestInfo,
    subject: Subject,
    cookies: Cookies,
    *,
    required: Required,
    relying_party: RelyingParty,
    keeper: Keeper,
    database: Database,
) -> Html | Redirect:
    """Register the passkey that the browser made."""
    with database.reader() as db:
        visitor, page = _visitor(query, request, subject, db), _page(subject, required, db)
    if form.value is None:
        return page.with_faults(visitor, form.faults, {"label": form.given.get("label", "")})
    try:
        with database.transaction() as tx:
            credential = form.value.passkey.as_json()
            outcome = passkeys.finish_registration(tx, subject, form.value.label, credential, relying_party)
        _, codes = held(outcome)
    except StepUpRequired:
        return _sign_in_first(visitor)
    except Problem as problem:
        return page.refused(visitor, problem)
    return _added(codes, visitor, _renewed(cookies, keeper, database))


@routes.post(
    "/dashboard/security/remove",
    allow=SIGNED_IN,
    root=True,
    page=True,
    step_up=STEP_UP_SECONDS,
    step_up_acr=Assurance.SECOND_FACTOR,
)
def remove_factor_form(
    form: Submitted[schemas.RemoveFactorForm],
    query: schemas.PageParameters,
    request: RequestInfo,
    subject: Subject,
    *,
    required: Required,
    database: Database,
) -> Html | Redirect:
    """Remove the authenticator app, or one passkey."""
    with database.reader() as db:
        visitor, page = _visitor(query, request, subject, db), _page(subject, required, db)
    if form.value is None:
        return page.with_faults(visitor, form.faults, {})
    try:
        with database.transaction() as tx:
            if form.value.passkey_id is None:
                factors.remove_totp(tx, subject, required)
            else:
                factors.remove_passkey(tx, subject, form.value.passkey_id, required)
    except Problem as problem:
        return page.refused(visitor, problem)
    return Redirect(visitor.link(HERE, notice="factor_removed"), 303)


@routes.post(
    "/dashboard/security/recovery-codes",
    allow=SIGNED_IN,
    rate=Rate.CREDENTIALS,
    root=True,
    page=True,
    step_up=STEP_UP_SECONDS,
    step_up_acr=Assurance.SECOND_FACTOR,
)
def recovery_codes_form(
    query: schemas.PageParameters, request: RequestInfo, subject: Subject, required: Required, database: Database
) -> Html | Redirect:
    """Make the recovery codes anew, and show them this once."""
    with database.reader() as db:
        visitor, page = _visitor(query, request, subject, db), _page(subject, required, db)
    try:
        with database.transaction() as tx:
            codes = factors.replace_recovery_codes(tx, subject)
    except Problem as problem:
        return page.refused(visitor, problem)
    return Page("recovery_codes.html", {"codes": codes}).shown(visitor)


def _visitor(query: schemas.PageParameters, request: RequestInfo, subject: Subject, db: Reader) -> Visitor:
    return Visitor.of(request, query.lang, queries.account(db, subject.id).locale)


def _page(subject: Subject, required: Required, db: Reader, told: str | None = None) -> Page:
    enrolled = queries.enrolled(db, subject.id)
    values: dict[str, Any] = {
        "enrolled": enrolled,
        "passkeys": queries.passkeys(db, subject.id),
        "required": required.of(queries.account(db, subject.id).role) and not enrolled.any,
        "notice": told,
        "script": PASSKEYS,
    }
    return Page("security.html", values, SCRIPT_POLICY)


def _setting_up(shared: str, uri: str) -> Page:
    return Page("totp.html", {"secret": shared, "uri": uri})


def _added(codes: tuple[str, ...], visitor: Visitor, cookies: tuple[Cookie, ...]) -> Html | Redirect:
    """Show recovery codes where there are new ones."""
    if codes:
        return Page("recovery_codes.html", {"codes": codes}, cookies=cookies).shown(visitor)
    return Redirect(visitor.link(HERE, notice="factor_added"), 303, cookies)


def _renewed(cookies: Cookies, keeper: Keeper, database: Database) -> tuple[Cookie, ...]:
    """The session has shown a factor just now: its next tokens say so, and the browser gets them at once."""
    token = cookies.get(RENEWAL_COOKIE)
    if token is None:
        return ()
    with database.transaction() as tx:
        outcome = sessions.refresh(tx, token, keeper.lifetimes, OWN_CLIENT)
    return () if isinstance(outcome, Problem) else keeper.signed_in(outcome)


def _sign_in_first(visitor: Visitor) -> Redirect:
    return Redirect(visitor.link("/login", prompt="login", callbackUrl=HERE), 303)
