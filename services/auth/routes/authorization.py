"""The doors through which a browser brings a client's request, and leaves with its answer."""

from urllib.parse import urlencode
from uuid import UUID

from authlib.oauth2.rfc6749 import OAuth2Error

from libs.common.auth.browser import RENEWAL_COOKIE
from libs.common.auth.policy import PUBLIC, Rate, Subject
from libs.common.db import Transaction
from libs.common.http import Cookies, RawBody, Redirect, Routes
from libs.common.http.forms import FORM
from services.auth import schemas
from services.auth.domain.authorization import AuthorizationRefused, Provider
from services.auth.domain.id_tokens import SignInTeller
from services.auth.domain.protocol import parameters
from services.auth.use_cases import authorization, sign_out

routes = Routes("auth")

AUTHORIZE = "/oauth/authorize"


@routes.get(AUTHORIZE, allow=PUBLIC, rate=Rate.PUBLIC, root=True, page=True)
def authorize(
    query: schemas.AuthorizationQuery,
    subject: Subject | None,
    cookies: Cookies,
    teller: SignInTeller,
    provider: Provider,
    tx: Transaction,
) -> Redirect:
    """Ask a person to let a client act for them (RFC 6749 section 4.1.1, OpenID Connect Core section 3.1.2).

    Whoever is not signed in is led to `/login` and back; whoever has to be asked, to `/oauth/consent?request=…`. The answer
    goes to the client's redirect address, errors too, unless client or address are not what they claim to be.
    """
    session_id = subject.session_id if subject else _session_of(cookies, tx)
    if query.resumed is not None:
        return _next(authorization.resume(tx, provider, query.resumed, session_id))
    return _next(authorization.begin(tx, teller, provider, query.given(), session_id))


@routes.post(AUTHORIZE, allow=PUBLIC, rate=Rate.PUBLIC, root=True, consumes=(FORM,), body_type=schemas.AuthorizationForm)
def authorize_by_form(content: RawBody) -> Redirect:
    """Bring an authorization request in a form (OpenID Connect Core section 3.1.2.1): it goes on as if in the address."""
    try:
        given = parameters(content.data)
    except OAuth2Error as fault:
        raise AuthorizationRefused(f"The program that sent you here asked wrongly: {fault.description}") from None
    return Redirect(f"{AUTHORIZE}?{urlencode(given)}", 303)


@routes.get("/oauth/logout", allow=PUBLIC, rate=Rate.PUBLIC, root=True, page=True)
def sign_out_by_client(query: schemas.SignOutQuery, teller: SignInTeller, tx: Transaction) -> Redirect:
    """Sign a person out for a client that has their ID token (OpenID Connect RP-Initiated Logout), and lead them on."""
    return _signed_out(sign_out.sign_out(tx, teller, query.given()))


@routes.post("/oauth/logout", allow=PUBLIC, rate=Rate.PUBLIC, root=True, consumes=(FORM,), body_type=schemas.SignOutForm)
def sign_out_by_form(content: RawBody, teller: SignInTeller, tx: Transaction) -> Redirect:
    """The same with a form, which keeps the ID token out of addresses."""
    try:
        given = parameters(content.data)
    except OAuth2Error as fault:
        raise AuthorizationRefused(f"The program that sent you here asked wrongly: {fault.description}") from None
    return _signed_out(sign_out.sign_out(tx, teller, given))


def _session_of(cookies: Cookies, tx: Transaction) -> UUID | None:
    token = cookies.get(RENEWAL_COOKIE)
    return None if token is None else authorization.session_of_browser(tx, token)


def _next(step: authorization.Step) -> Redirect:
    if isinstance(step, authorization.SendTo):
        return Redirect(step.address, 303)
    if isinstance(step, authorization.Ask):
        return Redirect(f"/oauth/consent?{urlencode({'request': step.handle})}", 303)
    back = f"{AUTHORIZE}?{urlencode({'continue': step.handle, 'redirect_uri': step.redirect_uri})}"
    return Redirect(f"/login?{urlencode({'callbackUrl': back, **({'prompt': 'login'} if step.anew else {})})}", 303)


def _signed_out(address: str | None) -> Redirect:
    return Redirect(address or "/login?notice=signed_out", 303)
