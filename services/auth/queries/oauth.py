"""What auth asks of clients, consents, and what clients are on the way to be given."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Uuid, and_, bindparam, func, or_, select

from libs.common.db import Reader
from services.auth.domain.clients import ApplicationType, AuthMethod, Client, UnknownClient
from services.auth.models import (
    authorization_code,
    authorization_request,
    client_secret,
    consent,
    device_request,
    oauth_client,
    refresh_token,
    revoked_client_token,
    session,
)

_client_by_id = select(oauth_client).where(oauth_client.c.id == bindparam("client_id"), oauth_client.c.removed_at.is_(None))
_client_to_change = _client_by_id.with_for_update()
_client_to_serve = _client_by_id.with_for_update(read=True)
_clients_page = (
    select(oauth_client)
    .where(
        oauth_client.c.removed_at.is_(None),
        or_(bindparam("after", type_=Uuid).is_(None), oauth_client.c.id < bindparam("after")),
    )
    .order_by(oauth_client.c.id.desc())
    .limit(bindparam("limit"))
)
_secrets = (
    select(client_secret)
    .where(
        client_secret.c.client_id == bindparam("client_id"),
        or_(client_secret.c.expires_at.is_(None), client_secret.c.expires_at > bindparam("now")),
    )
    .order_by(client_secret.c.created_at)
)
_open_request = select(authorization_request).where(
    authorization_request.c.handle_hash == bindparam("handle_hash"),
    authorization_request.c.answered_at.is_(None),
    authorization_request.c.expires_at > bindparam("now"),
)
_consent = select(consent.c.scope).where(
    consent.c.user_id == bindparam("user_id"), consent.c.client_id == bindparam("client_id")
)
_consents_page = (
    select(consent, oauth_client.c.name, oauth_client.c.address)
    .join(oauth_client, oauth_client.c.id == consent.c.client_id)
    .where(
        consent.c.user_id == bindparam("user_id"),
        or_(bindparam("after", type_=Uuid).is_(None), consent.c.client_id < bindparam("after")),
    )
    .order_by(consent.c.client_id.desc())
    .limit(bindparam("limit"))
)
_alive = and_(session.c.revoked_at.is_(None), session.c.expires_at > bindparam("now"))
_living_session = select(session).where(session.c.id == bindparam("session_id"), _alive)
_session_by_id = select(session).where(session.c.id == bindparam("session_id"))
_code_to_use = select(authorization_code).where(authorization_code.c.code_hash == bindparam("code_hash")).with_for_update()
_device_by_code = select(device_request).where(device_request.c.code_hash == bindparam("code_hash")).with_for_update()
_waiting_device = select(device_request).where(
    device_request.c.user_code == bindparam("user_code"),
    device_request.c.state == "PENDING",
    device_request.c.expires_at > bindparam("now"),
)
_refresh_token = (
    select(session, refresh_token.c.used_at, refresh_token.c.expires_at.label("token_expires_at"))
    .join(session, session.c.id == refresh_token.c.session_id)
    .where(refresh_token.c.token_hash == bindparam("token_hash"))
)
_sessions_of_client = select(session.c.id, session.c.user_id).where(
    session.c.client_id == bindparam("client_name"),
    session.c.revoked_at.is_(None),
    or_(bindparam("owner", type_=Uuid).is_(None), session.c.user_id == bindparam("owner")),
)
_revoked_tokens = select(revoked_client_token.c.session_id.label("id"), revoked_client_token.c.revoked_at).where(
    revoked_client_token.c.revoked_at > bindparam("since")
)
_token_revoked = select(func.count()).where(revoked_client_token.c.session_id == bindparam("session_id"))
_revoked_clients = select(oauth_client.c.id, oauth_client.c.tokens_not_before).where(
    oauth_client.c.tokens_not_before > bindparam("since")
)


def client(db: Reader, client_id: UUID) -> Client | None:
    """What is this client?"""
    row = db.first(_client_by_id, {"client_id": client_id})
    return None if row is None else as_client(row)


def client_to_serve(db: Reader, client_id: UUID) -> Client | None:
    """What is this client? Nobody changes it until the transaction ends."""
    row = db.first(_client_to_serve, {"client_id": client_id})
    return None if row is None else as_client(row)


def client_row(db: Reader, client_id: UUID, *, lock: bool = False) -> Row[Any]:
    """The client's row, to show or to change. Raises UnknownClient."""
    row = db.first(_client_to_change if lock else _client_by_id, {"client_id": client_id})
    if row is None:
        raise UnknownClient("There is no such client.")
    return row


def as_client(row: Row[Any]) -> Client:
    """The client of a row."""
    return Client(
        id=row.id,
        name=row.name,
        method=AuthMethod(row.method),
        application_type=ApplicationType(row.application_type),
        grants=frozenset(row.grants),
        scopes=frozenset(row.scopes),
        redirect_uris=tuple(row.redirect_uris),
        post_logout_redirect_uris=tuple(row.post_logout_redirect_uris),
        keys=row.keys,
        bound_tokens=row.bound_tokens,
        address=row.address,
        not_before=row.tokens_not_before,
    )


def clients_page(db: Reader, limit: int, after: UUID | None) -> list[Row[Any]]:
    """Which clients are there, newest first? One row over the limit tells of more."""
    return db.all(_clients_page, {"limit": limit + 1, "after": after})


def secrets(db: Reader, client_id: UUID, now: datetime) -> list[Row[Any]]:
    """Which secrets of this client count, oldest first?"""
    return db.all(_secrets, {"client_id": client_id, "now": now})


def open_request(db: Reader, handle_hash: bytes, now: datetime) -> Row[Any] | None:
    """What is asked under this handle, while nobody has answered?"""
    return db.first(_open_request, {"handle_hash": handle_hash, "now": now})


def consented_scope(db: Reader, user_id: UUID, client_id: UUID) -> str:
    """What did this person let this client do? Empty: nothing."""
    return db.scalar(_consent, {"user_id": user_id, "client_id": client_id}) or ""


def consents_page(db: Reader, user_id: UUID, limit: int, after: UUID | None) -> list[Row[Any]]:
    """Which clients does this person let act for them? One row over the limit tells of more."""
    return db.all(_consents_page, {"user_id": user_id, "limit": limit + 1, "after": after})


def living_session(db: Reader, session_id: UUID, now: datetime) -> Row[Any] | None:
    """What is this session, while it lives?"""
    return db.first(_living_session, {"session_id": session_id, "now": now})


def session_by_id(db: Reader, session_id: UUID) -> Row[Any] | None:
    """What is this session, whether or not it lives?"""
    return db.first(_session_by_id, {"session_id": session_id})


def code_to_use(db: Reader, code_hash: bytes) -> Row[Any] | None:
    """What is known of this authorization code? Nobody else uses it until the transaction ends."""
    return db.first(_code_to_use, {"code_hash": code_hash})


def device_by_code(db: Reader, code_hash: bytes) -> Row[Any] | None:
    """What is known of this device's request? Nobody else polls it until the transaction ends."""
    return db.first(_device_by_code, {"code_hash": code_hash})


def waiting_device(db: Reader, user_code: str, now: datetime) -> Row[Any] | None:
    """Which device waits under this code?"""
    return db.first(_waiting_device, {"user_code": user_code, "now": now})


def session_of_refresh_token(db: Reader, token_hash: bytes) -> Row[Any] | None:
    """Which session does this refresh token renew, and what became of the token?"""
    return db.first(_refresh_token, {"token_hash": token_hash})


def sessions_of_client(db: Reader, client_id: UUID, owner: UUID | None = None) -> list[Row[Any]]:
    """Which sessions does this client have, with this person or (None) with anybody?"""
    return db.all(_sessions_of_client, {"client_name": str(client_id), "owner": owner})


def revoked_client_tokens(db: Reader, since: datetime) -> list[Row[Any]]:
    """Which tokens that clients had for themselves ended before their time since then?"""
    return db.all(_revoked_tokens, {"since": since})


def client_token_revoked(db: Reader, session_id: UUID) -> bool:
    """Did this client end this token of its own?"""
    return bool(db.scalar(_token_revoked, {"session_id": session_id}))


def revoked_clients(db: Reader, since: datetime) -> list[Row[Any]]:
    """Which clients' own older tokens were voided since then, and from which instant do they count?"""
    return db.all(_revoked_clients, {"since": since})
