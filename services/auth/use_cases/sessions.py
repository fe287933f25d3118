"""Open, renew and end sessions. Locks are taken in one order: account, refresh token, session."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Text, bindparam, func, insert, update

from libs.common import ids
from libs.common.db import Transaction
from libs.common.telemetry import context, logger
from services.auth import queries
from services.auth.domain.accounts import Status
from services.auth.domain.notices import Notice
from services.auth.domain.sessions import (
    EndReason,
    Judgement,
    Lifetimes,
    Presenter,
    RefreshRefused,
    UnknownSession,
    judge,
    revocation_expiry,
    seal_successor,
    token_hash,
    unseal_successor,
)
from services.auth.domain.tokens import ACCESS_TOKEN_LIFE, CLIENT_ID, Grant, issue_time
from services.auth.events import SessionRevoked
from services.auth.models import refresh_token, session, user_account
from services.auth.use_cases import access_tokens
from services.auth.use_cases.notices import tell

log = logger(__name__)

_open = insert(session)
_add_refresh_token = insert(refresh_token)
_spend = (
    update(refresh_token)
    .where(
        refresh_token.c.token_hash == bindparam("presented"),
        refresh_token.c.used_at.is_(None),
        refresh_token.c.expires_at > bindparam("now"),
        session.c.id == refresh_token.c.session_id,
        session.c.client_id == bindparam("client"),
        session.c.key_thumbprint.is_not_distinct_from(bindparam("thumbprint", type_=Text)),
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
        expires_at=func.least(bindparam("until"), session.c.ends_at),
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
        session.c.expires_at,
        user_account.c.role,
        user_account.c.tokens_not_before,
    )
)
_show = (
    update(session)
    .where(session.c.id == bindparam("id_of_session"), session.c.revoked_at.is_(None))
    .values(methods=bindparam("shown"))
)
_authenticate = _show.values(authenticated_at=bindparam("now"))
_spend_all = (
    update(refresh_token)
    .where(refresh_token.c.session_id == bindparam("id_of_session"), refresh_token.c.used_at.is_(None))
    .values(used_at=bindparam("now"))
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
_end_others = (
    update(session)
    .where(session.c.user_id == bindparam("owner"), session.c.id != bindparam("id_of_session"), session.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"), revoke_reason=bindparam("reason"))
    .returning(session.c.id)
)
_void_older_tokens = (
    update(user_account).where(user_account.c.id == bindparam("owner")).values(tokens_not_before=bindparam("instant"))
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client holds after signing in: what its next access token says, and the refresh token that comes after.

    A session that cannot be renewed has no refresh token: it is empty.
    """

    grant: Grant
    refresh_token: str


@dataclass(frozen=True, slots=True)
class Opening:
    """How a session begins: the authentication methods (RFC 8176), on what device, and for which client.

    `scope` (space-separated, RFC 6749 section 3.3) and `key_thumbprint` (RFC 9449 section 6.1) are None where the client is
    the platform's own, or its tokens are bound to no key. A client of others comes by a session of the person's own (`parent`),
    and inherits when they authenticated; one that may not act in their absence is not `renewable`.
    """

    methods: tuple[str, ...]
    device_label: str
    client_id: str = CLIENT_ID
    scope: str | None = None
    key_thumbprint: str | None = None
    parent: Row[Any] | None = None
    renewable: bool = True


def open_session(tx: Transaction, account: Any, opening: Opening, lifetimes: Lifetimes) -> Credentials:
    """Begin a session for an account that `queries.account_to_enter` holds."""
    issued_at = issue_time(tx.now, account.tokens_not_before)
    session_id = ids.new_id()
    authenticated_at = tx.now if opening.parent is None else opening.parent.authenticated_at
    ends_at = tx.now + (lifetimes.absolute if opening.renewable else ACCESS_TOKEN_LIFE)
    expires_at = min(tx.now + lifetimes.sliding, ends_at)
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
            "created_at": tx.now,
            "authenticated_at": authenticated_at,
            "parent_id": None if opening.parent is None else opening.parent.id,
            "last_used_at": tx.now,
            "last_token_at": issued_at,
            "expires_at": expires_at,
            "ends_at": ends_at,
            "revoked_at": None,
            "revoke_reason": None,
        },
    )
    token = ids.random_token() if opening.renewable else ""
    if opening.renewable:
        _keep(tx, session_id, token, expires_at)
    grant = Grant(
        account.id,
        session_id,
        account.role,
        authenticated_at,
        opening.methods,
        issued_at,
        client_id=opening.client_id,
        scope=opening.scope,
        key_thumbprint=opening.key_thumbprint,
    )
    _record(tx, grant, opening)
    return Credentials(grant, token)


def _record(tx: Transaction, grant: Grant, opening: Opening) -> None:
    """Each sign-in is on record, as the act of its person in the session that begins; failed attempts are for the log."""
    details = {
        "session_id": grant.session_id,
        "device": opening.device_label,
        "methods": " ".join(opening.methods),
        "client_id": opening.client_id,
        "scope": opening.scope,
    }
    with context.bound(actor=f"user:{grant.user_id}", session_id=str(grant.session_id), roles=grant.roles):
        tx.audit("session.begin", "user", grant.user_id, details=details)


def refresh(tx: Transaction, token: str, lifetimes: Lifetimes, presenter: Presenter) -> Credentials | RefreshRefused:
    """Exchange a refresh token for its successor; parallel and repeated exchanges get the same one.

    A token presented again after the window was stolen or copied: its session ends, and that is remembered with the refusal.
    Whoever is not the client of the session, or proved another key than the session's or none, cannot even spend the token.
    """
    successor = ids.random_token()
    whose = {"client": presenter.client_id, "thumbprint": presenter.key_thumbprint}
    sealed = seal_successor(token, successor)
    spent = tx.first(_spend, {"presented": token_hash(token), "now": tx.now, "sealed": sealed, **whose})
    if spent is None:
        return _refresh_again(tx, token, lifetimes, presenter)
    renewed = _renewed(tx, spent.session_id, lifetimes)
    if renewed is None:
        return _refused("session_ended", session_id=spent.session_id)
    _keep(tx, spent.session_id, successor, renewed.expires_at)
    return Credentials(_grant(tx, renewed), successor)


def _refresh_again(tx: Transaction, token: str, lifetimes: Lifetimes, presenter: Presenter) -> Credentials | RefreshRefused:
    spent, row = queries.spent_token(tx, token_hash(token), tx.now)
    judgement = judge(spent, tx.now)
    if row is None or judgement is Judgement.REFUSED:
        return _refused("unknown_or_expired")
    if (row.client_id, row.key_thumbprint) != (presenter.client_id, presenter.key_thumbprint):
        return _refused("not_the_client_or_key_of_the_session", session_id=row.session_id)
    if judgement is Judgement.REUSED:
        _end_family(tx, row)
        return _refused("reused", session_id=row.session_id, user_id=row.user_id)
    renewed = _renewed(tx, row.session_id, lifetimes) if row.successor_sealed is not None else None
    if renewed is None:
        return _refused("session_ended", session_id=row.session_id)
    return Credentials(_grant(tx, renewed), unseal_successor(token, row.successor_sealed))


def _end_family(tx: Transaction, row: Row[Any]) -> None:
    """Somebody holds a copy: neither they nor the owner goes on with this session, and the owner learns why."""
    if ended(tx, row.user_id, row.session_id, EndReason.REFRESH_TOKEN_REUSED):
        tx.audit("session.refresh_token_reused", "user", row.user_id, "revoked", {"session_id": row.session_id})
        tell(tx, row.user_id, Notice.REFRESH_TOKEN_REUSED, device=row.device_label)


def _refused(reason: str, **members: Any) -> RefreshRefused:
    log.warning("auth.refresh.refused", reason=reason, **members)
    return RefreshRefused("This session cannot be renewed; sign in again.")


def _renewed(tx: Transaction, session_id: UUID, lifetimes: Lifetimes) -> Row[Any] | None:
    parameters = {
        "id_of_session": session_id,
        "now": tx.now,
        "until": tx.now + lifetimes.sliding,
        "second": issue_time(tx.now, None),
    }
    return tx.first(_renew, parameters)


def _grant(tx: Transaction, renewed: Row[Any]) -> Grant:
    return Grant(
        renewed.user_id,
        renewed.id,
        renewed.role,
        renewed.authenticated_at,
        tuple(renewed.methods.split()),
        issue_time(tx.now, renewed.tokens_not_before),
        client_id=renewed.client_id,
        scope=renewed.scope,
        key_thumbprint=renewed.key_thumbprint,
    )


def _keep(tx: Transaction, session_id: UUID, token: str, expires_at: datetime) -> None:
    tx.execute(
        _add_refresh_token,
        {
            "id": ids.new_id(),
            "session_id": session_id,
            "token_hash": token_hash(token),
            "issued_at": tx.now,
            "expires_at": expires_at,
            "used_at": None,
            "successor_sealed": None,
        },
    )


def show_methods(tx: Transaction, session_id: UUID, methods: tuple[str, ...]) -> None:
    """Note with what the person of a session showed who they are; its next tokens say so."""
    tx.execute(_show, {"id_of_session": session_id, "shown": " ".join(methods)})


def authenticate_again(
    tx: Transaction, session_id: UUID, methods: tuple[str, ...], lifetimes: Lifetimes
) -> Credentials | RefreshRefused:
    """Renew when and with what the person of a session showed who they are; its refresh token is spent for a new one."""
    tx.execute(_spend_all, {"id_of_session": session_id, "now": tx.now})
    tx.execute(_authenticate, {"id_of_session": session_id, "now": tx.now, "shown": " ".join(methods)})
    renewed = _renewed(tx, session_id, lifetimes)
    if renewed is None:
        return _refused("session_ended", session_id=session_id)
    token = ids.random_token()
    _keep(tx, session_id, token, renewed.expires_at)
    return Credentials(_grant(tx, renewed), token)


def end_other_sessions(tx: Transaction, user_id: UUID, session_id: UUID, reason: EndReason) -> int:
    """End every session of this person but one, at once; returns how many."""
    queries.account_to_change(tx, user_id)  # none begins meanwhile by one that ends
    ended = tx.all(_end_others, {"owner": user_id, "id_of_session": session_id, "now": tx.now, "reason": reason})
    for each in ended:
        _tell(tx, user_id, each.id, reason)
    if ended:
        tx.audit("session.end_others", "user", user_id, details={"reason": reason, "sessions": len(ended)})
    return len(ended)


def end_session(tx: Transaction, user_id: UUID, session_id: UUID, reason: EndReason) -> None:
    """End one session of this person at once. Raises UnknownSession."""
    if not ended(tx, user_id, session_id, reason):
        raise UnknownSession("You have no such session.")
    tx.audit("session.end", "user", user_id, details={"session_id": session_id, "reason": reason})


def ended(tx: Transaction, user_id: UUID, session_id: UUID, reason: EndReason) -> bool:
    """End one session of this person at once, if it lives; whether it did."""
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
    tx.audit("session.end_all", "user", user_id, details={"reason": reason, "sessions": len(ended)})
    access_tokens.revoke_all(tx, user_id, reason)


def _tell(tx: Transaction, user_id: UUID, session_id: UUID, reason: EndReason) -> None:
    tx.publish(
        SessionRevoked(
            user_id=user_id, session_id=session_id, not_before=None, expires_at=revocation_expiry(tx.now), reason=reason
        )
    )
