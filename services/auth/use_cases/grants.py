"""What a client may exchange for tokens: a code, a refresh token, a device's code, or itself (RFC 6749, RFC 8628).

Refusals are returned, so that what was remembered with them commits.
"""

import hmac
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from authlib.oauth2.rfc6749 import (
    InvalidGrantError,
    InvalidScopeError,
    OAuth2Error,
    UnauthorizedClientError,
    UnsupportedGrantTypeError,
)
from authlib.oauth2.rfc6749.errors import AccessDeniedError
from authlib.oauth2.rfc7636.challenge import CODE_VERIFIER_PATTERN, create_s256_code_challenge
from authlib.oauth2.rfc8628 import AuthorizationPendingError, ExpiredTokenError, SlowDownError
from sqlalchemy import Row, bindparam, update

from libs.common import ids
from libs.common.auth.policy import Scope
from libs.common.db import Transaction
from libs.common.errors import Problem
from libs.common.telemetry import logger
from services.auth import queries
from services.auth.domain.authorization import AskedWrongly, granted_scope, ordered
from services.auth.domain.clients import Client, GrantType
from services.auth.domain.devices import DeviceState, Poll, Polled, judge_poll, slower
from services.auth.domain.id_tokens import SignIn
from services.auth.domain.protocol import needed, wrong_proof
from services.auth.domain.sessions import EndReason, Lifetimes, Presenter, token_hash
from services.auth.domain.tokens import Grant, issue_time
from services.auth.models import authorization_code, device_request, session
from services.auth.use_cases.client_authentication import Asking
from services.auth.use_cases.delegation import delegate
from services.auth.use_cases.sessions import Credentials, ended, refresh

log = logger(__name__)

_use_code = (
    update(authorization_code)
    .where(authorization_code.c.code_hash == bindparam("hash"))
    .values(used_at=bindparam("now"), opened_session_id=bindparam("opened"))
)
_remember_poll = (
    update(device_request)
    .where(device_request.c.code_hash == bindparam("hash"))
    .values(last_polled_at=bindparam("now"), interval_seconds=bindparam("seconds"), state=bindparam("new_state"))
)
_rebind = (
    update(session)
    .where(session.c.id == bindparam("id_of_session"), session.c.key_thumbprint.is_not(None))
    .values(key_thumbprint=bindparam("new_key"))
)


@dataclass(frozen=True, slots=True)
class Given:
    """What an exchange gives: what the access token says, the refresh token if any, and what is told of the sign-in."""

    grant: Grant
    refresh_token: str = ""
    sign_in: SignIn | None = None


Outcome = Given | OAuth2Error


def exchange(tx: Transaction, client: Client, asking: Asking, key_thumbprint: str | None, lifetimes: Lifetimes) -> Any:
    """Exchange what the client sends for tokens: Given, or the OAuth2Error that refuses it.

    Raises InvalidRequestError when a parameter is missing.
    """
    grant_type = needed(asking.given, "grant_type")
    if grant_type not in set(GrantType):
        return UnsupportedGrantTypeError(grant_type if grant_type.isascii() and grant_type.isprintable() else "that")
    if grant_type not in client.grants:
        return UnauthorizedClientError("This client is not registered for this grant.")
    if grant_type == GrantType.CLIENT:
        return _for_itself(tx, client, asking, key_thumbprint)
    if grant_type == GrantType.REFRESH:
        return _refreshed(tx, client, asking, key_thumbprint, lifetimes)
    if grant_type == GrantType.DEVICE:
        return _device(tx, client, asking, key_thumbprint, lifetimes)
    return _code(tx, client, asking, key_thumbprint, lifetimes)


def _code(tx: Transaction, client: Client, asking: Asking, key_thumbprint: str | None, lifetimes: Lifetimes) -> Any:
    """A code counts once, for the client that it was given to; who brings it a second time ends what came of it."""
    code, verifier = needed(asking.given, "code"), needed(asking.given, "code_verifier")
    redirect_uri = needed(asking.given, "redirect_uri")
    row = queries.code_to_use(tx, token_hash(code))
    if row is None or row.client_id != client.id:
        return _refused("unknown_code", client)
    if row.used_at is not None:
        return _code_reused(tx, client, row)
    fault = _code_fault(tx, row, redirect_uri, verifier, key_thumbprint)
    scope, key = row.scope, key_thumbprint
    credentials = None if fault else delegate(tx, client, row.session_id, scope, key, lifetimes)
    opened = None if credentials is None else credentials.grant.session_id
    tx.execute(_use_code, {"hash": row.code_hash, "now": tx.now, "opened": opened})
    if credentials is None:
        return _refused(fault or "session_ended", client)
    return _given(credentials, row.nonce)


def _code_fault(tx: Transaction, row: Row[Any], redirect_uri: str, verifier: str, key_thumbprint: str | None) -> str | None:
    if row.expires_at <= tx.now:
        return "code_expired"
    if row.redirect_uri != redirect_uri:
        return "another_redirect_uri"
    if not CODE_VERIFIER_PATTERN.match(verifier) or verifier.endswith("\n"):
        return "no_verifier"
    if not hmac.compare_digest(create_s256_code_challenge(verifier), row.challenge):
        return "wrong_verifier"
    if row.key_thumbprint is not None and row.key_thumbprint != key_thumbprint:
        return "another_key"
    return None


def _code_reused(tx: Transaction, client: Client, row: Row[Any]) -> Any:
    """Somebody holds a copy: what was given for it is taken back (RFC 6749 section 4.1.2)."""
    if row.opened_session_id is not None and ended(tx, row.user_id, row.opened_session_id, EndReason.CODE_REUSED):
        tx.audit("session.code_reused", "session", row.opened_session_id, outcome="revoked", details={"client": str(client.id)})
    return _refused("code_reused", client)


def _refreshed(tx: Transaction, client: Client, asking: Asking, key_thumbprint: str | None, lifetimes: Lifetimes) -> Any:
    token = needed(asking.given, "refresh_token")
    row = queries.session_of_refresh_token(tx, token_hash(token))
    if row is None or row.client_id != str(client.id):
        return _refused("unknown_refresh_token", client)
    if row.key_thumbprint is not None and key_thumbprint is None:
        return wrong_proof("These tokens are bound to a key: send a proof of possession in one DPoP header.")
    if row.key_thumbprint is None and key_thumbprint is not None:
        return wrong_proof("These tokens are bound to no key: leave the DPoP header out.")
    scope = asking.given.get("scope", row.scope or "")
    if not set(scope.split()) <= set((row.scope or "").split()):
        return InvalidScopeError("A refresh token gives no more than was granted.")
    if not client.public and row.key_thumbprint != key_thumbprint:
        # It authenticated: its refresh token is bound to it and not to its key, which it may change (RFC 9449 section 5).
        tx.execute(_rebind, {"id_of_session": row.id, "new_key": key_thumbprint})
    outcome = refresh(tx, token, lifetimes, Presenter(str(client.id), key_thumbprint))
    if isinstance(outcome, Problem):
        return _refused("refresh_token", client)
    narrowed = replace(outcome.grant, scope=ordered(scope.split()))
    return _given(Credentials(narrowed, outcome.refresh_token), None)


def _device(tx: Transaction, client: Client, asking: Asking, key_thumbprint: str | None, lifetimes: Lifetimes) -> Any:
    row = queries.device_by_code(tx, token_hash(needed(asking.given, "device_code")))
    if row is None or row.client_id != client.id:
        return _refused("unknown_device_code", client)
    interval = timedelta(seconds=row.interval_seconds)
    poll = judge_poll(Polled(DeviceState(row.state), row.expires_at, row.last_polled_at, interval), tx.now)
    credentials = None
    if poll is Poll.GRANTED:
        credentials = delegate(tx, client, row.session_id, row.scope, key_thumbprint, lifetimes)
    spent = poll in {Poll.GRANTED, Poll.DENIED}
    seconds = (slower(interval) if poll is Poll.TOO_SOON else interval).total_seconds()
    state = DeviceState.SPENT if spent else row.state
    tx.execute(_remember_poll, {"hash": row.code_hash, "now": tx.now, "seconds": int(seconds), "new_state": state})
    if credentials is not None:
        return _given(credentials, None)
    return _told(poll, client)


def _told(poll: Poll, client: Client) -> Any:
    if poll is Poll.PENDING:
        return AuthorizationPendingError("Nobody has answered yet.")
    if poll is Poll.TOO_SOON:
        return SlowDownError("Ask less often: five seconds were added to the interval.")
    if poll is Poll.EXPIRED:
        return ExpiredTokenError("Nobody answered in time. Begin again.")
    if poll is Poll.DENIED:
        return AccessDeniedError("The person said no.")
    return _refused("device_code", client)


def _for_itself(tx: Transaction, client: Client, asking: Asking, key_thumbprint: str | None) -> Any:
    """A token of the client's own: no person stands behind it, so it has no role, and no refresh token."""
    try:
        scope = granted_scope(client, asking.given.get("scope"))
    except AskedWrongly as fault:
        return InvalidScopeError(fault.description)
    if set(scope.split()) & {Scope.OPENID, Scope.PROFILE, Scope.EMAIL, Scope.OFFLINE_ACCESS}:
        return InvalidScopeError("A client that speaks for itself has no sign-in, profile, address or absence.")
    issued_at = issue_time(tx.now, client.not_before)
    return Given(
        Grant(
            client.id,
            ids.new_id(),
            "",
            tx.now,
            (),
            issued_at,
            client_id=str(client.id),
            scope=scope,
            key_thumbprint=key_thumbprint,
        )
    )


def _given(credentials: Credentials, nonce: str | None) -> Given:
    grant = credentials.grant
    told = SignIn(grant, nonce) if Scope.OPENID in (grant.scope or "").split() else None
    return Given(grant, credentials.refresh_token, told)


def _refused(reason: str, client: Client) -> Any:
    log.warning("auth.grant.refused", reason=reason, client_id=str(client.id))
    return InvalidGrantError("This is unknown, used, too old, or was given to another client, address or key. Begin again.")
