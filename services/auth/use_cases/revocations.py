"""Tell verifiers what to refuse: the whole list, for those that start or missed a broadcast."""

from typing import Any

from libs.common.db import Transaction
from services.auth import queries
from services.auth.domain.sessions import REVOCATION_ALLOWANCE, revocation_expiry
from services.auth.domain.tokens import ACCESS_TOKEN_LIFE, epoch


def current(tx: Transaction) -> dict[str, Any]:
    """Return sessions and subjects that a living access token may still name, in seconds since 1970."""
    since = tx.now - ACCESS_TOKEN_LIFE - REVOCATION_ALLOWANCE
    sessions = [
        *queries.revoked_sessions(tx, since),
        *queries.revoked_client_tokens(tx, since),
        *queries.revoked_access_tokens(tx, since),
    ]
    subjects = [*queries.revoked_subjects(tx, since), *queries.revoked_clients(tx, since)]
    return {
        "sessions": {str(row.id): epoch(revocation_expiry(row.revoked_at)) for row in sessions},
        "subjects": {str(row.id): epoch(row.tokens_not_before) for row in subjects},
        "as_of": epoch(tx.now),
    }
