"""Forget what has run out: tokens, sessions, failures."""

from sqlalchemy import bindparam, delete, func, or_, update

from libs.common.db import Transaction
from services.auth.domain.factors import UNCONFIRMED_LIFE
from services.auth.domain.lockout import FAILURES_FORGOTTEN_AFTER
from services.auth.domain.sessions import REPEAT_WINDOW, REVOCATION_ALLOWANCE
from services.auth.domain.tokens import ACCESS_TOKEN_LIFE, MAILS_WINDOW
from services.auth.models import (
    federation_attempt,
    identity_offer,
    login_challenge,
    login_failure,
    mail_allowance,
    one_time_token,
    passkey_ceremony,
    personal_access_token,
    refresh_token,
    session,
    totp_credential,
)

_drop_sessions = delete(session).where(session.c.expires_at < bindparam("before"))
_drop_refresh_tokens = delete(refresh_token).where(refresh_token.c.expires_at < bindparam("before"))
_drop_one_time_tokens = delete(one_time_token).where(one_time_token.c.expires_at < bindparam("before"))
_drop_challenges = delete(login_challenge).where(login_challenge.c.expires_at < bindparam("before"))
_drop_ceremonies = delete(passkey_ceremony).where(passkey_ceremony.c.expires_at < bindparam("before"))
_drop_unconfirmed = delete(totp_credential).where(
    totp_credential.c.confirmed_at.is_(None), totp_credential.c.created_at < bindparam("before")
)
_drop_allowances = delete(mail_allowance).where(mail_allowance.c.began_at <= bindparam("before"))
_drop_failures = delete(login_failure).where(
    or_(login_failure.c.last_failed_at.is_(None), login_failure.c.last_failed_at < bindparam("before")),
    func.coalesce(login_failure.c.locked_until, bindparam("before")) <= bindparam("now"),
)
_drop_attempts = delete(federation_attempt).where(federation_attempt.c.expires_at <= bindparam("before"))
_drop_offers = delete(identity_offer).where(identity_offer.c.expires_at <= bindparam("before"))
_drop_access_tokens = delete(personal_access_token).where(
    or_(personal_access_token.c.expires_at < bindparam("before"), personal_access_token.c.revoked_at < bindparam("before"))
)
_drop_successors = (
    update(refresh_token)
    .where(refresh_token.c.successor_sealed.is_not(None), refresh_token.c.used_at < bindparam("before"))
    .values(successor_sealed=None)
)


def purge(tx: Transaction) -> int:
    """Delete what no decision can need any more; returns the rows deleted.

    A session stays until the last access token and the last revocation of it are dead; a spent refresh token for its whole
    life, so that its reuse is seen.
    """
    horizon = tx.now - ACCESS_TOKEN_LIFE - REVOCATION_ALLOWANCE
    results = (
        tx.execute(_drop_sessions, {"before": horizon}),
        tx.execute(_drop_refresh_tokens, {"before": tx.now}),
        tx.execute(_drop_one_time_tokens, {"before": tx.now}),
        tx.execute(_drop_access_tokens, {"before": horizon}),
        tx.execute(_drop_attempts, {"before": tx.now}),
        tx.execute(_drop_offers, {"before": tx.now}),
        tx.execute(_drop_challenges, {"before": tx.now}),
        tx.execute(_drop_ceremonies, {"before": tx.now}),
        tx.execute(_drop_unconfirmed, {"before": tx.now - UNCONFIRMED_LIFE}),
        tx.execute(_drop_allowances, {"before": tx.now - MAILS_WINDOW}),
        tx.execute(_drop_failures, {"before": tx.now - FAILURES_FORGOTTEN_AFTER, "now": tx.now}),
    )
    return sum(result.rowcount for result in results)


def forget_successors(tx: Transaction) -> int:
    """Erase sealed successors whose window is over; returns how many."""
    return tx.execute(_drop_successors, {"before": tx.now - REPEAT_WINDOW}).rowcount
