"""Administrators register clients, change and remove them, and give them new secrets."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, delete, insert, update

from libs.common import ids
from libs.common.db import Transaction
from libs.common.errors import Fault, Invalid, PreconditionFailed
from services.auth import queries
from services.auth.domain.clients import (
    COMMAND_LINE,
    SECRET_METHODS,
    SECRET_OVERLAP,
    SECRETS_MAXIMUM,
    AuthMethod,
    BuiltInClient,
    ClientChanged,
    ClientWithoutSecret,
    refuse_registration,
    secret_hash,
)
from services.auth.domain.sessions import EndReason, revocation_expiry
from services.auth.events import SessionRevoked
from services.auth.models import client_secret, consent, oauth_client
from services.auth.use_cases.delegation import end_sessions_of_client

_add = insert(oauth_client).returning(oauth_client)
_MEMBERS = (
    "name",
    "application_type",
    "grants",
    "scopes",
    "redirect_uris",
    "post_logout_redirect_uris",
    "keys",
    "bound_tokens",
    "address",
)
_write = (
    update(oauth_client)
    .where(oauth_client.c.id == bindparam("client"), oauth_client.c.version == bindparam("seen"))
    .values(version=oauth_client.c.version + 1, **{name: bindparam(f"new_{name}") for name in _MEMBERS})
    .returning(oauth_client)
)
_remove = update(oauth_client).where(oauth_client.c.id == bindparam("client")).values(removed_at=bindparam("now"))
_void_older_tokens = (
    update(oauth_client).where(oauth_client.c.id == bindparam("client")).values(tokens_not_before=bindparam("instant"))
)
_add_secret = insert(client_secret)
_end_secret = update(client_secret).where(client_secret.c.id == bindparam("secret")).values(expires_at=bindparam("until"))
_drop_consents = delete(consent).where(consent.c.client_id == bindparam("client"))


@dataclass(frozen=True, slots=True)
class Registered:
    """A client, and its secret where it has one: it is shown once and kept hashed."""

    row: Row[Any]
    secret: str | None


def register(tx: Transaction, members: Mapping[str, Any]) -> Registered:
    """Make a client. Raises Invalid when what it is to be contradicts itself."""
    _consistent(members)
    row = tx.one(
        _add, {**members, "id": ids.new_id(), "tokens_not_before": None, "created_at": tx.now, "removed_at": None, "version": 1}
    )
    secret = _new_secret(tx, row.id) if row.method in SECRET_METHODS else None
    tx.audit("oauth_client.register", "oauth_client", row.id, details=_told(row))
    return Registered(row, secret)


def change(tx: Transaction, client_id: UUID, changes: Mapping[str, Any], expected_version: int | None) -> Row[Any]:
    """Write the members that `changes` names; what a client may do no longer, its sessions and tokens end with.

    Raises UnknownClient, BuiltInClient, Invalid, PreconditionFailed for another version, ClientChanged.
    """
    before = _own(tx, client_id)
    if expected_version is not None and before.version != expected_version:
        raise PreconditionFailed("It was changed since you read it; read it again and repeat your change.")
    members = {name: getattr(before, name) for name in _MEMBERS} | dict(changes)
    _consistent({"method": before.method, **members})
    values = {f"new_{name}": value for name, value in members.items()}
    after = tx.first(_write, {"client": client_id, "seen": before.version, **values})
    if after is None:
        raise ClientChanged("Somebody changed the client meanwhile; read it again.")
    if set(before.scopes) - set(after.scopes) or set(before.grants) - set(after.grants):
        _end_tokens(tx, client_id)
    tx.audit("oauth_client.change", "oauth_client", client_id, details=_told(after))
    return after


def remove(tx: Transaction, client_id: UUID) -> None:
    """Let a client do nothing any more; what people let it do is forgotten. Raises UnknownClient, BuiltInClient."""
    _own(tx, client_id)
    _end_tokens(tx, client_id)
    tx.execute(_remove, {"client": client_id, "now": tx.now})
    tx.execute(_drop_consents, {"client": client_id})
    tx.audit("oauth_client.remove", "oauth_client", client_id)


def give_secret(tx: Transaction, client_id: UUID, *, at_once: bool) -> tuple[str, datetime | None]:
    """Give a client another secret: returns it, and until when the one before counts (None: it counts no more).

    Raises UnknownClient, ClientWithoutSecret.
    """
    row = _own(tx, client_id)
    if row.method not in SECRET_METHODS:
        raise ClientWithoutSecret("This client has no secret: it shows itself by a key, or is public.")
    known = queries.secrets(tx, client_id, tx.now)
    until = tx.now if at_once else tx.now + SECRET_OVERLAP
    for number, each in enumerate(reversed(known)):
        last = tx.now if number >= SECRETS_MAXIMUM - 1 else until
        tx.execute(_end_secret, {"secret": each.id, "until": min(last, each.expires_at or last)})
    secret = _new_secret(tx, client_id)
    tx.audit("oauth_client.give_secret", "oauth_client", client_id, details={"earlier_ends_at": until if known else None})
    return secret, None if at_once or not known else until


def _own(tx: Transaction, client_id: UUID) -> Row[Any]:
    if client_id == COMMAND_LINE:
        raise BuiltInClient("Every platform has this client as it is: the command line signs in with it.")
    return queries.client_row(tx, client_id, lock=True)


def _consistent(members: Mapping[str, Any]) -> None:
    fault = refuse_registration(
        AuthMethod(members["method"]),
        members["grants"],
        members["scopes"],
        len(members["redirect_uris"]),
        members["keys"] is not None,
    )
    if fault:
        raise Invalid([Fault("", fault)])


def _new_secret(tx: Transaction, client_id: UUID) -> str:
    secret = ids.random_token()
    values = {"id": ids.new_id(), "client_id": client_id, "created_at": tx.now, "expires_at": None}
    tx.execute(_add_secret, {**values, "secret_hash": secret_hash(secret)})
    return secret


def _end_tokens(tx: Transaction, client_id: UUID) -> None:
    """End the client's sessions with people, and void the tokens that it has for itself."""
    end_sessions_of_client(tx, client_id, EndReason.CLIENT_REMOVED)
    # Tokens carry whole seconds: from the next one on they count again, so that none of this second is left out.
    not_before = tx.now.replace(microsecond=0) + timedelta(seconds=1)
    tx.execute(_void_older_tokens, {"client": client_id, "instant": not_before})
    tx.publish(
        SessionRevoked(
            user_id=client_id,
            session_id=None,
            not_before=not_before,
            expires_at=revocation_expiry(tx.now),
            reason=EndReason.CLIENT_REMOVED,
        )
    )


def _told(row: Row[Any]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("name", "method", "grants", "scopes", "redirect_uris", "bound_tokens")}
