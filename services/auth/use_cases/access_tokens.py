"""Make, exchange and revoke personal access tokens. The id of one is the `sid` of what it is exchanged for."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, func, insert, or_, update

from libs.common import ids
from libs.common.db import Transaction
from libs.common.errors import Fault, Invalid
from libs.common.telemetry import logger
from services.auth import queries
from services.auth.domain.access_tokens import (
    CLIENT_ID,
    KEEPING,
    METHODS,
    TOKENS_MAXIMUM,
    AccessTokenRefused,
    TooManyAccessTokens,
    UnknownAccessToken,
    expiry_fault,
    new_token,
    well_formed,
)
from services.auth.domain.accounts import Status
from services.auth.domain.notices import Notice
from services.auth.domain.sessions import EndReason, revocation_expiry, token_hash
from services.auth.domain.tokens import Grant, issue_time
from services.auth.events import SessionRevoked
from services.auth.models import personal_access_token, user_account
from services.auth.use_cases.notices import tell

log = logger(__name__)

_add = insert(personal_access_token).returning(personal_access_token)
_use = (
    update(personal_access_token)
    .where(
        personal_access_token.c.token_hash == bindparam("presented"),
        personal_access_token.c.revoked_at.is_(None),
        personal_access_token.c.expires_at > bindparam("now"),
        user_account.c.id == personal_access_token.c.user_id,
        user_account.c.status == Status.ACTIVE,
    )
    .values(
        last_used_on=bindparam("today"),
        last_token_at=func.greatest(
            personal_access_token.c.last_token_at, bindparam("second"), user_account.c.tokens_not_before
        ),
    )
    .returning(
        personal_access_token.c.id,
        personal_access_token.c.user_id,
        personal_access_token.c.scope,
        personal_access_token.c.authenticated_at,
        user_account.c.role,
        user_account.c.tokens_not_before,
    )
)
_revoke = (
    update(personal_access_token)
    .where(
        personal_access_token.c.user_id == bindparam("owner"),
        or_(bindparam("all_of_them"), personal_access_token.c.id == bindparam("token_id")),
        personal_access_token.c.revoked_at.is_(None),
        personal_access_token.c.expires_at > bindparam("now"),
    )
    .values(revoked_at=bindparam("now"), revoke_reason=bindparam("reason"))
    .returning(personal_access_token.c.id, personal_access_token.c.name)
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants a token for; `authenticated_at` is when they signed in."""

    name: str
    scope: str
    expires_at: datetime
    authenticated_at: datetime


@dataclass(frozen=True, slots=True)
class Made:
    """A new token: what is kept of it, and itself, which nobody sees a second time."""

    row: Row[Any]
    token: str = field(repr=False)


def create(tx: Transaction, user_id: UUID, wish: Wish) -> Made | TooManyAccessTokens:
    """Make a token for a program of this person, or return the refusal, which is on record. Raises Invalid for its end."""
    fault = expiry_fault(wish.expires_at, tx.now)
    if fault is not None:
        raise Invalid([Fault("/expires_at", fault)])
    queries.account_to_change(tx, user_id)  # of two made at once, one sees the other
    if queries.access_token_count(tx, user_id, tx.now) >= TOKENS_MAXIMUM:
        refusal = TooManyAccessTokens(f"You have {TOKENS_MAXIMUM} tokens already; revoke one that you need no more.")
        tx.audit("access_token.create", "user", user_id, "refused", {"reason": type(refusal).__name__})
        return refusal
    token = new_token()
    row = tx.one(
        _add,
        {
            "id": ids.new_id(),
            "user_id": user_id,
            "name": wish.name,
            "token_hash": token_hash(token),
            "scope": wish.scope,
            "authenticated_at": wish.authenticated_at,
            "created_at": tx.now,
            "expires_at": wish.expires_at,
            "last_used_on": None,
            "last_token_at": None,
            "revoked_at": None,
            "revoke_reason": None,
        },
    )
    details = {"access_token_id": row.id, "scope": row.scope, "expires_at": row.expires_at}
    tx.audit("access_token.create", "user", user_id, details=details)
    tell(tx, user_id, Notice.ACCESS_TOKEN_CREATED, name=row.name)
    return Made(row, token)


def exchange(tx: Transaction, token: str) -> Grant | AccessTokenRefused:
    """Return what an access token for the bearer says. The day of the use is kept; each single use is for the log alone."""
    if not well_formed(token):
        return _refused("malformed")
    presented = {"presented": token_hash(token), "now": tx.now, "today": tx.now.date(), "second": issue_time(tx.now, None)}
    row = tx.first(_use, presented)
    if row is None:
        return _refused("unknown_expired_or_revoked")
    log.info("auth.access_token.exchanged", user_id=row.user_id, access_token_id=row.id)
    return Grant(
        row.user_id,
        row.id,
        row.role,
        row.authenticated_at,
        METHODS,
        issue_time(tx.now, row.tokens_not_before),
        client_id=CLIENT_ID,
        scope=row.scope,
    )


def _refused(reason: str) -> AccessTokenRefused:
    log.warning("auth.access_token.refused", reason=reason)
    return AccessTokenRefused("This personal access token does not hold; make a new one.", code=None)


def revoke(tx: Transaction, user_id: UUID, token_id: UUID) -> None:
    """Let a token of this person, and what it was exchanged for, be worth nothing from now on. Raises UnknownAccessToken."""
    if not _revoked(tx, user_id, EndReason.REVOKED_BY_USER, token_id):
        raise UnknownAccessToken("You have no such token.")
    tx.audit("access_token.revoke", "user", user_id, details={"access_token_id": token_id})


def revoke_all(tx: Transaction, user_id: UUID, reason: EndReason) -> None:
    """Revoke every token of this person where all their sessions end for a reason that touches programs too."""
    if reason in KEEPING:
        return
    revoked = _revoked(tx, user_id, reason, None)
    if revoked:
        tx.audit("access_token.revoke", "user", user_id, details={"access_token_ids": revoked, "reason": reason})


def _revoked(tx: Transaction, user_id: UUID, reason: EndReason, token_id: UUID | None) -> list[UUID]:
    parameters = {"owner": user_id, "all_of_them": token_id is None, "token_id": token_id, "now": tx.now, "reason": reason}
    revoked = [row.id for row in tx.all(_revoke, parameters)]
    for each in revoked:
        tx.publish(
            SessionRevoked(
                user_id=user_id, session_id=each, not_before=None, expires_at=revocation_expiry(tx.now), reason=reason
            )
        )
    return revoked
