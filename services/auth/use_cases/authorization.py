"""Let a client act for a person: what it asks, what the person is asked, and the code that comes of a yes.

The consent page shows `question`, and sends the person on to what `grant` or `deny` returns.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import Row, bindparam, insert, or_, update
from sqlalchemy.dialects.postgresql import insert as upsert

from libs.common import ids
from libs.common.auth.policy import OWN_CLIENT, Subject
from libs.common.db import Transaction
from libs.common.telemetry import logger
from services.auth import queries
from services.auth.domain.authorization import (
    CODE_LIFE,
    REQUEST_LIFE,
    Asked,
    AskedWrongly,
    AuthorizationRefused,
    Provider,
    RequestGone,
    answer_address,
    asked,
    ordered,
    state_of,
)
from services.auth.domain.clients import ApplicationType, Client
from services.auth.domain.id_tokens import SignInTeller
from services.auth.domain.sessions import REPEAT_WINDOW, token_hash
from services.auth.models import authorization_code, authorization_request, consent

log = logger(__name__)

_keep_request = insert(authorization_request)
_open = (
    authorization_request.c.handle_hash == bindparam("handle"),
    authorization_request.c.answered_at.is_(None),
    authorization_request.c.expires_at > bindparam("now"),
)
_ask_session = (
    update(authorization_request)
    .where(
        *_open,
        or_(
            authorization_request.c.session_id.is_(None),
            authorization_request.c.session_id == bindparam("asked_session"),
        ),
    )
    .values(session_id=bindparam("asked_session"))
    .returning(authorization_request.c.handle_hash)
)
_answer = (
    update(authorization_request)
    .where(*_open, authorization_request.c.session_id == bindparam("asked_session"))
    .values(answered_at=bindparam("now"))
    .returning(authorization_request)
)
_keep_code = insert(authorization_code)
_consent = upsert(consent)
_keep_consent = _consent.on_conflict_do_update(
    index_elements=["user_id", "client_id"],
    set_={"scope": _consent.excluded.scope, "granted_at": _consent.excluded.granted_at},
)


@dataclass(frozen=True, slots=True)
class SendTo:
    """Nothing is left to ask: the person goes to this address, which is the client's."""

    address: str


@dataclass(frozen=True, slots=True)
class SignIn:
    """The person has to sign in, or to sign in anew (`anew`), and comes back with the handle."""

    handle: str
    redirect_uri: str
    """Where all this may end: browsers hold it against the page with the form."""
    anew: bool


@dataclass(frozen=True, slots=True)
class Ask:
    """The person has to be asked, under this handle."""

    handle: str


Step = SendTo | SignIn | Ask


@dataclass(frozen=True, slots=True)
class Question:
    """What a person is asked: may this client do this for them?

    `address` is the client's own page, null when it named none; `returns_to` is the host or scheme that an answer goes to,
    which is all that can be known of a client that runs on somebody's own machine (`native`).
    """

    handle: str
    client_name: str
    address: str | None
    returns_to: str
    redirect_uri: str
    native: bool
    scopes: tuple[str, ...]
    known_scopes: tuple[str, ...]
    """Those that the person let this client have before."""


def begin(tx: Transaction, teller: SignInTeller, provider: Provider, given: Mapping[str, str], session_id: UUID | None) -> Step:
    """Take a client's request (RFC 6749 section 4.1.1) and say what comes next for who is signed in with this session.

    Raises AuthorizationRefused when nobody may be sent back to the client with an error.
    """
    client, redirect_uri = _trusted(tx, given)
    try:
        state = state_of(given)
    except AskedWrongly as fault:
        return _error(provider, redirect_uri, None, fault)
    try:
        request = asked(client, given)
    except AskedWrongly as fault:
        return _error(provider, redirect_uri, state, fault)
    if request.silent:
        session = _hinted(teller, given.get("id_token_hint"), _own_session(tx, session_id))
        return _silently(tx, provider, client, redirect_uri, request, session)
    return resume(tx, provider, _keep(tx, client, redirect_uri, request), session_id)


def resume(tx: Transaction, provider: Provider, handle: str, session_id: UUID | None) -> Step:
    """Say what comes next for a request that was kept. Raises RequestGone."""
    row, client = _kept(tx, handle)
    session = _own_session(tx, session_id)
    if session is None or not _signed_in_enough(tx, row, session):
        return SignIn(handle, row.redirect_uri, anew=session is not None)
    if tx.first(_ask_session, {"handle": row.handle_hash, "now": tx.now, "asked_session": session.id}) is None:
        raise _gone()
    request = _asked_before(row)
    if _settled(tx, client, request, session):
        tx.execute(_answer, {"handle": row.handle_hash, "now": tx.now, "asked_session": session.id})
        return SendTo(_code_address(tx, provider, client, row.redirect_uri, request, session))
    return Ask(handle)


def question(tx: Transaction, handle: str, subject: Subject) -> Question:
    """Return what this person is asked under this handle. Raises RequestGone."""
    row, client = _kept(tx, handle)
    if row.session_id != subject.session_id:
        raise _gone()
    known = set(queries.consented_scope(tx, subject.id, client.id).split())
    parts = urlsplit(row.redirect_uri)
    return Question(
        handle=handle,
        client_name=client.name,
        address=client.address,
        returns_to=parts.hostname or f"{parts.scheme}:",
        redirect_uri=row.redirect_uri,
        native=client.application_type is ApplicationType.NATIVE,
        scopes=tuple(row.scope.split()),
        known_scopes=tuple(name for name in row.scope.split() if name in known),
    )


def grant(tx: Transaction, provider: Provider, handle: str, subject: Subject) -> str:
    """Let the client have what it asked for; returns the address to send the person to. Raises RequestGone."""
    row, client = _answered(tx, handle, subject)
    session = _own_session(tx, subject.session_id)
    if session is None or session.user_id != subject.id:
        raise _gone()
    remember(tx, subject.id, client, row.scope)
    return _code_address(tx, provider, client, row.redirect_uri, _asked_before(row), session)


def deny(tx: Transaction, provider: Provider, handle: str, subject: Subject) -> str:
    """Let the client have nothing; returns the address to send the person to. Raises RequestGone."""
    row, client = _answered(tx, handle, subject)
    details = {"client_id": client.id, "scope": row.scope}
    tx.audit("consent.deny", "user", subject.id, outcome="refused", details=details)
    fault = AskedWrongly("access_denied", "The person said no.")
    return _error(provider, row.redirect_uri, row.state, fault).address


def remember(tx: Transaction, user_id: UUID, client: Client, scope: str) -> None:
    """Keep what a person let a client have, together with what they let it have before."""
    before = queries.consented_scope(tx, user_id, client.id)
    together = ordered({*before.split(), *scope.split()})
    tx.execute(_keep_consent, {"user_id": user_id, "client_id": client.id, "scope": together, "granted_at": tx.now})
    tx.audit("consent.grant", "user", user_id, details={"client_id": client.id, "scope": scope})


def _trusted(tx: Transaction, given: Mapping[str, str]) -> tuple[Client, str]:
    """The client and an address of its own. Raises AuthorizationRefused."""
    try:
        client = queries.client(tx, UUID(given.get("client_id", "")))
    except ValueError:
        client = None
    if client is None:
        raise AuthorizationRefused("The program that sent you here is not known to us. Go back and tell its makers.")
    redirect_uri = given.get("redirect_uri", "")
    if not client.redirects_to(redirect_uri):
        raise AuthorizationRefused(
            f"{client.name} asked us to send you to an address (redirect_uri) that it is not registered with. Tell its makers."
        )
    return client, redirect_uri


def _error(provider: Provider, redirect_uri: str, state: str | None, fault: AskedWrongly) -> SendTo:
    members = {"error": fault.code, "error_description": fault.description}
    return SendTo(answer_address(redirect_uri, provider, state, **members))


def _own_session(tx: Transaction, session_id: UUID | None) -> Row[Any] | None:
    """The living session in which a person uses the platform itself: a client's session lets nobody else in."""
    session = None if session_id is None else queries.living_session(tx, session_id, tx.now)
    return session if session is not None and (session.client_id, session.scope) == (OWN_CLIENT, None) else None


def _hinted(teller: SignInTeller, hint: str | None, session: Row[Any] | None) -> Row[Any] | None:
    """The session, when it is of whom the client means (OpenID Connect Core section 3.1.2.1, `id_token_hint`)."""
    if hint is None or session is None:
        return session
    claims = teller.told(hint)
    return session if claims is not None and claims["sub"] == str(session.user_id) else None


def session_of_browser(tx: Transaction, refresh_token: str) -> UUID | None:
    """Which session a browser keeps the refresh token of; the token is only looked at, not used."""
    row = queries.session_of_refresh_token(tx, token_hash(refresh_token))
    if row is None or row.token_expires_at <= tx.now or (row.used_at and tx.now - row.used_at > REPEAT_WINDOW):
        return None
    return cast(UUID, row.id)


def _silently(
    tx: Transaction, provider: Provider, client: Client, redirect_uri: str, request: Asked, session: Row[Any] | None
) -> SendTo:
    """Answer at once, whatever it is (OpenID Connect Core section 3.1.2.1, prompt=none)."""
    if session is None or not _recent(tx, session, request.max_age):
        fault = AskedWrongly("login_required", "Nobody is signed in, or not recently enough, or somebody else.")
        return _error(provider, redirect_uri, request.state, fault)
    if not _settled(tx, client, request, session):
        fault = AskedWrongly("consent_required", "The person has to be asked first.")
        return _error(provider, redirect_uri, request.state, fault)
    return SendTo(_code_address(tx, provider, client, redirect_uri, request, session))


def _recent(tx: Transaction, session: Row[Any], max_age: int | None) -> bool:
    return max_age is None or tx.now - session.authenticated_at <= timedelta(seconds=max_age)


def _signed_in_enough(tx: Transaction, row: Row[Any], session: Row[Any]) -> bool:
    """Whether the sign-in is recent enough; where a new one was asked for, whether it is one."""
    if _asked_before(row).asks_to_sign_in:
        return bool(session.authenticated_at > row.created_at)
    return session.authenticated_at > row.created_at or _recent(tx, session, row.max_age)


def _settled(tx: Transaction, client: Client, request: Asked, session: Row[Any]) -> bool:
    """Whether the person said yes to all of it before.

    Who claims to be a client that can keep no secret, on somebody's own machine, may be anybody: there the person is asked each
    time (RFC 8252 section 8.6).
    """
    if "consent" in request.prompts or (client.public and client.application_type is ApplicationType.NATIVE):
        return False
    return set(request.scope.split()) <= set(queries.consented_scope(tx, session.user_id, client.id).split())


def _keep(tx: Transaction, client: Client, redirect_uri: str, request: Asked) -> str:
    handle = ids.random_token()
    tx.execute(
        _keep_request,
        {
            "handle_hash": token_hash(handle),
            "client_id": client.id,
            "redirect_uri": redirect_uri,
            "scope": request.scope,
            "state": request.state,
            "nonce": request.nonce,
            "challenge": request.challenge,
            "key_thumbprint": request.key_thumbprint,
            "prompts": " ".join(sorted(request.prompts)),
            "max_age": request.max_age,
            "created_at": tx.now,
            "expires_at": tx.now + REQUEST_LIFE,
            "answered_at": None,
            "session_id": None,
        },
    )
    return handle


def _kept(tx: Transaction, handle: str) -> tuple[Row[Any], Client]:
    return _still_asked(tx, queries.open_request(tx, token_hash(handle), tx.now))


def _answered(tx: Transaction, handle: str, subject: Subject) -> tuple[Row[Any], Client]:
    """Answer once, in the session that was asked. Raises RequestGone."""
    parameters = {"handle": token_hash(handle), "now": tx.now, "asked_session": subject.session_id}
    return _still_asked(tx, tx.first(_answer, parameters))


def _still_asked(tx: Transaction, row: Row[Any] | None) -> tuple[Row[Any], Client]:
    """A request and its client, while that may ask so and be answered there. Raises RequestGone."""
    client = None if row is None else queries.client(tx, row.client_id)
    if row is None or client is None:
        raise _gone()
    if not client.redirects_to(row.redirect_uri) or not client.scopes.issuperset(row.scope.split()):
        raise _gone()
    return row, client


def _gone() -> RequestGone:
    return RequestGone("This question was answered already or is too old. Go back to the program and begin again.")


def _asked_before(row: Row[Any]) -> Asked:
    return Asked(
        scope=row.scope,
        state=row.state,
        nonce=row.nonce,
        challenge=row.challenge,
        key_thumbprint=row.key_thumbprint,
        prompts=frozenset(row.prompts.split()),
        max_age=row.max_age,
    )


def _code_address(
    tx: Transaction, provider: Provider, client: Client, redirect_uri: str, request: Asked, session: Row[Any]
) -> str:
    code = ids.random_token()
    tx.execute(
        _keep_code,
        {
            "code_hash": token_hash(code),
            "client_id": client.id,
            "user_id": session.user_id,
            "session_id": session.id,
            "redirect_uri": redirect_uri,
            "scope": request.scope,
            "nonce": request.nonce,
            "challenge": request.challenge,
            "key_thumbprint": request.key_thumbprint,
            "expires_at": tx.now + CODE_LIFE,
            "used_at": None,
            "opened_session_id": None,
        },
    )
    log.info("auth.code.given", client_id=str(client.id), user_id=session.user_id, session_id=session.id)
    return answer_address(redirect_uri, provider, request.state, code=code)
