"""What a client may learn of its own tokens, and end before their time (RFC 7662, RFC 7009)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from authlib.oauth2.rfc6749 import InvalidGrantError, OAuth2Error
from sqlalchemy import Row, insert

from libs.common import clock
from libs.common.auth.tokens import Claims, KeySource, verify_signature
from libs.common.db import Transaction
from libs.common.errors import Unauthenticated
from services.auth import queries
from services.auth.domain.authorization import Provider
from services.auth.domain.clients import Client
from services.auth.domain.sessions import EndReason, revocation_expiry, token_hash
from services.auth.domain.tokens import epoch
from services.auth.events import SessionRevoked
from services.auth.models import revoked_client_token
from services.auth.use_cases.sessions import ended

_revoke_token = insert(revoked_client_token)
INACTIVE = {"active": False}
"""All that is said of a token that does not hold, or is another client's (RFC 7662 section 2.2)."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads access tokens of ours."""

    provider: Provider
    audience: str
    keys: KeySource

    def claims(self, token: str) -> Claims | None:
        """Return what a token of ours says, unless it has expired; whether its session lives remains to be seen."""
        try:
            claims, _ = verify_signature(token, self.keys)
        except Unauthenticated:
            return None
        ours = (claims.iss, claims.aud) == (self.provider.issuer, self.audience)
        return claims if ours and claims.exp > clock.epoch() else None


def introspect(tx: Transaction, client: Client, token: str, reader: Reader) -> dict[str, Any]:
    """Return what holds of a token that was given to this client."""
    claims = reader.claims(token)
    if claims is not None:
        return _of_access_token(claims) if claims.client_id == str(client.id) and _lives(tx, claims) else INACTIVE
    row = queries.session_of_refresh_token(tx, token_hash(token))
    if row is None or row.client_id != str(client.id) or row.used_at is not None or row.token_expires_at <= tx.now:
        return INACTIVE
    if queries.living_session(tx, row.id, tx.now) is None:
        return INACTIVE
    return {
        "active": True,
        "scope": row.scope,
        "client_id": row.client_id,
        "sub": str(row.user_id),
        "iss": reader.provider.issuer,
        "exp": epoch(row.token_expires_at),
        **_confirmed(row.key_thumbprint),
    }


def _of_access_token(claims: Claims) -> dict[str, Any]:
    names = ("scope", "client_id", "exp", "iat", "nbf", "aud", "iss")
    found = {name: value for name in names if (value := getattr(claims, name)) is not None}
    thumbprint = None if claims.cnf is None else claims.cnf.jkt
    return {
        "active": True,
        "token_type": "Bearer" if thumbprint is None else "DPoP",
        "sub": str(claims.sub),
        "jti": str(claims.jti),
        "auth_time": claims.auth_time,
        **found,
        **_confirmed(thumbprint),
    }


def _confirmed(thumbprint: str | None) -> dict[str, Any]:
    return {} if thumbprint is None else {"cnf": {"jkt": thumbprint}}


def _lives(tx: Transaction, claims: Claims) -> bool:
    """Whether what the token stands for still does, as the tables say at this moment."""
    if str(claims.sub) == claims.client_id:
        client = queries.client(tx, claims.sub)
        return client is not None and _counts(claims, client.not_before) and not queries.client_token_revoked(tx, claims.sid)
    session = queries.living_session(tx, claims.sid, tx.now)
    return session is not None and _counts(claims, queries.account(tx, session.user_id).tokens_not_before)


def _counts(claims: Claims, not_before: datetime | None) -> bool:
    return not_before is None or claims.iat >= epoch(not_before)


def revoke(tx: Transaction, client: Client, token: str, reader: Reader) -> OAuth2Error | None:
    """End what a token stands for, its whole session with it; a token that is none is done with already.

    Returns the refusal for a token of another client.
    """
    claims = reader.claims(token)
    if claims is not None:
        if claims.client_id != str(client.id):
            return _another()
        if claims.sub == client.id:
            _end_own(tx, client, claims.sid)
        else:
            _end(tx, client, claims.sub, claims.sid)
        return None
    row: Row[Any] | None = queries.session_of_refresh_token(tx, token_hash(token))
    if row is None:
        return None
    if row.client_id != str(client.id):
        return _another()
    _end(tx, client, row.user_id, row.id)
    return None


def _another() -> Any:
    return InvalidGrantError("This token was not given to this client.")


def _end(tx: Transaction, client: Client, user_id: UUID, session_id: UUID) -> None:
    if ended(tx, user_id, session_id, EndReason.REVOKED_BY_CLIENT):
        tx.audit("session.revoked_by_client", "session", session_id, details={"client": str(client.id)})


def _end_own(tx: Transaction, client: Client, session_id: UUID) -> None:
    if queries.client_token_revoked(tx, session_id):
        return
    tx.execute(_revoke_token, {"session_id": session_id, "revoked_at": tx.now})
    tx.publish(
        SessionRevoked(
            user_id=client.id,
            session_id=session_id,
            not_before=None,
            expires_at=revocation_expiry(tx.now),
            reason=EndReason.REVOKED_BY_CLIENT,
        )
    )
