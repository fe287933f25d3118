"""End the session that a browser brings, whatever has become of its access token."""

from libs.common.db import Transaction
from libs.common.errors import Problem
from services.auth.domain.sessions import OWN_CLIENT, EndReason, Lifetimes
from services.auth.use_cases import sessions


def end_presented(tx: Transaction, refresh_token: str | None, lifetimes: Lifetimes) -> None:
    """End the session of this refresh token. One that is good for nothing any more ends nothing."""
    if refresh_token is None:
        return
    outcome = sessions.refresh(tx, refresh_token, lifetimes, OWN_CLIENT)
    if not isinstance(outcome, Problem):
        sessions.end_session(tx, outcome.grant.user_id, outcome.grant.session_id, EndReason.LOGOUT)
