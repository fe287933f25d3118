"""Every question that auth asks its tables."""

from services.auth.queries.accounts import (
    account,
    account_by_address,
    account_to_change,
    account_to_enter,
    accounts_page,
    administrators,
    failures,
    one_time_token_holds,
    other_administrators,
)
from services.auth.queries.platform import (
    NeverMaintained,
    active_key,
    keys,
    maintenance_decision,
    next_key,
    roots,
    signing_key_by_id,
    verification_keys,
)
from services.auth.queries.sessions import revoked_sessions, revoked_subjects, sessions_page, spent_token

__all__ = [
    "NeverMaintained",
    "account",
    "account_by_address",
    "account_to_change",
    "account_to_enter",
    "accounts_page",
    "active_key",
    "administrators",
    "failures",
    "keys",
    "maintenance_decision",
    "next_key",
    "one_time_token_holds",
    "other_administrators",
    "revoked_sessions",
    "revoked_subjects",
    "roots",
    "sessions_page",
    "signing_key_by_id",
    "spent_token",
    "verification_keys",
]
