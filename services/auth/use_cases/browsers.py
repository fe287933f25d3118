"""End the session that a browser brings, whatever has become of its access token, or all but that one."""

from uuid import UUID

from libs.common.db import Transaction
from libs.common.errors import Problem
from services.auth import queries
from services.auth.domain.sessions import OWN_CLIENT, EndReason, Lifetimes
from services.auth.use_cases import sessions

SESSIONS_AT_ONCE = 1_000


def end_presented(tx: Transaction, refresh_token: str | None, lifetimes: Lifetimes) -> None:
    """End the session of this refresh token. One that is good for nothing any more ends nothing."""
    if refresh_token is None:
        return
    outcome = sessions.refresh(tx, refresh_token, lifetimes, OWN_CLIENT)
    if not isinstance(outcome, Problem):
        sessions.end_session(tx, outcome.grant.user_id, outcome.grant.session_id, EndReason.LOGOUT)


def end_others(tx: Transaction, user_id: UUID, session_id: UUID) -> None:
    """End every session of this person but one, at once."""
    queries.account_to_change(tx, user_id)
    for each in queries.sessions_page(tx, user_id, tx.now, SESSIONS_AT_ONCE, None):
        if each.id != session_id:
            sessions.end_session(tx, user_id, each.id, EndReason.REVOKED_BY_USER)
