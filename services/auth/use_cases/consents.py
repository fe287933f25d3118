"""People see which clients act for them, and take that back."""

from uuid import UUID

from sqlalchemy import bindparam, delete

from libs.common.db import Transaction
from services.auth import queries
from services.auth.domain.authorization import UnknownConsent
from services.auth.domain.sessions import EndReason
from services.auth.models import consent
from services.auth.use_cases.delegation import end_sessions_of_client

_withdraw = (
    delete(consent)
    .where(consent.c.user_id == bindparam("owner"), consent.c.client_id == bindparam("client"))
    .returning(consent.c.scope)
)


def withdraw(tx: Transaction, user_id: UUID, client_id: UUID) -> None:
    """Let a client do nothing for this person any more: its sessions with them end, and the next time they are asked.

    Raises UnknownConsent.
    """
    queries.account_to_change(tx, user_id)  # whoever opens a session for the client holds it: either sees what the other did
    row = tx.first(_withdraw, {"owner": user_id, "client": client_id})
    if row is None:
        raise UnknownConsent("You let no such program act for you.")
    sessions = end_sessions_of_client(tx, client_id, EndReason.CONSENT_WITHDRAWN, user_id)
    details = {"client_id": client_id, "scope": row.scope, "sessions": sessions}
    tx.audit("consent.withdraw", "user", user_id, details=details)
