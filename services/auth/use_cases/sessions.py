"""Open, renew and end sessions. Locks are taken in one order: account, refresh token, session."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, func, insert, update

from libs.common import ids
from libs.common.db import Transaction
from libs.common.telemetry import logger
from services.auth import queries
from services.auth.domain.accounts import Status
from services.auth.domain.sessions import (
    REFRESH_TOKEN_LIFE,
    EndReason,
    Judgement,
    RefreshRefused,
    UnknownSession,
    judge,
    revocation_expiry,
    seal_successor,
    token_hash,
    unseal_successor,
)
from services.auth.domain.tokens import CLIENT_ID, Grant, issue_time
from services.auth.events import SessionRevoked
from services.auth.models import refresh_token, session, user_account
from services.auth.use_cases import access_tokens

log = logger(__name__)

_open = insert(session)
_add_refresh_token = insert(refresh_token)
_spend = (
    update(refresh_token)
    .where(
        refresh_token.c.token_hash == bindparam("presented"),
        refresh_token.c.used_at.is_(None),
        refresh_token.c.expires_at > bindparam("now"),
    )
    .values(used_at=bindparam("now"), successor_sealed=bindparam("sealed"))
    .returning(refresh_token.c.session_id)
)
_renew = (
    update(session)
    .where(
        session.c.id == bindparam("id_of_session"),
        session.c.revoked_at.is_(None),
        session.c.expires_at > bindparam("now"),
        user_account.c.id == session.c.user_id,
        user_account.c.status == Status.ACTIVE,
    )
    .values(
        last_used_at=bindparam("now"),
        expires_at=bindparam("until"),
        last_token_at=func.greatest(session.c.last_token_at, bindparam("second"), user_account.c.tokens_not_before),
    )
    .returning(
        session.c.id,
        session.c.user_id,
        session.c.authenticated_at,
        session.c.methods,
        session.c.client_id,
        session.c.scope,
        session.c.key_thumbprint,
        user_account.c.role,
        user_account.c.tokens_not_before,
    )
)
_end = (
    update(session)
    .where(session.c.id == bindparam("id_of_session"), session.c.user_id == bindparam("owner"), session.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"), revoke_reason=bindparam("reason"))
    .returning(session.c.id)
)
_end_all = (
    update(session)
    .where(session.c.user_id == bindparam("owner"), session.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"), revoke_reason=bindparam("reason"))
    .returning(session.c.id, session.c.last_token_at)
)
_void_older_tokens = (
    update(user_account).where(user_account.c.id == bindparam("owner")).values(tokens_not_before=bindparam("instant"))
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client holds after signing in: what its next access token says, and the refresh token that comes after."""

    grant: Grant
    refresh_token: str


@dataclass(frozen=True, slots=True)
class Opening:
    """How a session begins: the authentication methods (RFC 8176), on what device, and for which client.

    `scope` (space-separated, RFC 6749 section 3.3) and `key_thumbprint` (RFC 9449 section 6.1) are None where the client is
    the platform's own, or its tokens are bound to no key.
    """

    methods: tuple[str, ...]
    device_label: str
    client_id: str = CLIENT_ID
    scope: str | None = None
    key_thumbprint: str | None = None


def open_session(tx: Transaction, account: Any, opening: Opening) -> Credentials:
    """Begin a session for an account that `queries.account_to_enter` holds."""
    issued_at = issue_time(tx.now, account.tokens_not_before)
    session_id = ids.new_id()
    tx.execute(
        _open,
        {
            "id": session_id,
            "user_id": account.id,
            "client_id": opening.client_id,
            "scope": opening.scope,
            "key_thumbprint": opening.key_thumbprint,
            "device_label": opening.device_label,
            "methods": " ".join(opening.methods),
            "authenticated_at": tx.now,
            "last_used_at": tx.now,
            "last_token_at": issued_at,
            "expires_at": tx.now + REFRESH_TOKEN_LIFE,
            "revoked_at": None,
            "revoke_reason": None,
        },
    )
    token = ids.random_token()
    _keep(tx, session_id, token)
    grant = Grant(
        account.id,
        session_id,
        account.role,
        tx.now,
        opening.methods,
        issued_at,
        client_id=opening.client_id,
        scope=opening.scope,
        key_thumbprint=opening.key_thumbprint,
    )
    return Credentials(grant, token)


def refresh(tx: Transaction, token: str) -> Credentials | RefreshRefused:
    """Exchange a refresh token for its successor; parallel and repeated exchanges get the same one.

    A token presented again after the window was stolen or copied: its session ends, and that is remembered with the refusal.
    """
    successor = ids.random_token()
    sealed = seal_successor(token, successor)
    spent = tx.first(_spend, {"presented": token_hash(token), "now": tx.now, "sealed": sealed})
    if spent is None:
        return _refresh_again(tx, token)
    grant = _renewed(tx, spent.session_id)
    if grant is None:
        return _refused("session_ended", session_id=spent.session_id)
    _keep(tx, spent.session_id, successor)
    return Credentials(grant, successor)


def _refresh_again(tx: Transaction, token: str) -> Credentials | RefreshRefused:
    spent, row = queries.spent_token(tx, token_hash(token), tx.now)
    judgement = judge(spent, tx.now)
    if row is None or judgement is Judgement.REFUSED:
        return _refused("unknown_or_expired")
    if judgement is Judgement.REUSED:
        if _ended(tx, row.user_id, row.session_id, EndReason.REFRESH_TOKEN_REUSED):
            tx.audit("session.refresh_token_reused", "session", row.session_id, outcome="revoked")
        return _refused("reused", session_id=row.session_id, user_id=row.user_id)
    grant = _renewed(tx, row.session_id)
    if grant is None or row.successor_sealed is None:
        return _refused("session_ended", session_id=row.session_id)
    return Credentials(grant, unseal_successor(token, row.successor_sealed))


def _refused(reason: str, **members: Any) -> RefreshRefused:
    log.warning("auth.refresh.refused", reason=reason, **members)
    return RefreshRefused("This session cannot be renewed; sign in again.")


def _renewed(tx: Transaction, session_id: UUID) -> Grant | None:
    parameters = {
        "id_of_session": session_id,
        "now": tx.now,
        "until": tx.now + REFRESH_TOKEN_LIFE,
        "second": issue_time(tx.now, None),
    }
    row = tx.first(_renew, parameters)
    if row is None:
        return None
    issued_at = issue_time(tx.now, row.tokens_not_before)
    return Grant(
        row.user_id,
        row.id,
        row.role,
        row.authenticated_at,
        tuple(row.methods.split()),
        issued_at,
        client_id=row.client_id,
        scope=row.scope,
        key_thumbprint=row.key_thumbprint,
    )


def _keep(tx: Transaction, session_id: UUID, token: str) -> None:
    tx.execute(
        _add_refresh_token,
        {
            "id": ids.new_id(),
            "session_id": session_id,
            "token_hash": token_hash(token),
            "issued_at": tx.now,
            "expires_at": tx.now + REFRESH_TOKEN_LIFE,
            "used_at": None,
            "successor_sealed": None,
        },
    )


def end_session(tx: Transaction, user_id: UUID, session_id: UUID, reason: EndReason) -> None:
    """End one session of this person at once. Raises UnknownSession."""
    if not _ended(tx, user_id, session_id, reason):
        raise UnknownSession("You have no such session.")


def _ended(tx: Transaction, user_id: UUID, session_id: UUID, reason: EndReason) -> bool:
    parameters = {"id_of_session": session_id, "owner": user_id, "now": tx.now, "reason": reason}
    if tx.first(_end, parameters) is None:
        return False
    _tell(tx, user_id, session_id, reason)
    return True


def end_all_sessions(tx: Transaction, user_id: UUID, reason: EndReason) -> None:
    """End every session of this person at once.

    Access tokens carry whole seconds, so not-before alone cannot tell a token issued earlier in this second from one issued
    later in it. It is set to the beginning of this second, and sessions whose newest token is of this second or later are
    named one by one: every token so far is void, and signing in again at once works.
    """
    account = queries.account_to_change(tx, user_id)
    not_before = issue_time(tx.now, account.tokens_not_before)
    ended: list[Row[Any]] = tx.all(_end_all, {"owner": user_id, "now": tx.now, "reason": reason})
    tx.execute(_void_older_tokens, {"owner": user_id, "instant": not_before})
    tx.publish(
        SessionRevoked(
            user_id=user_id, session_id=None, not_before=not_before, expires_at=revocation_expiry(tx.now), reason=reason
        )
    )
    for each in ended:
        if each.last_token_at >= not_before:
            _tell(tx, user_id, each.id, reason)
    access_tokens.revoke_all(tx, user_id, reason)


def _tell(tx: Transaction, user_id: UUID, session_id: UUID, reason: EndReason) -> None:
    tx.publish(
        SessionRevoked(
            user_id=user_id, session_id=session_id, not_before=None, expires_at=revocation_expiry(tx.now), reason=reason
        )
    )
