"""Every question that auth asks its tables."""

from services.auth.queries.accounts import (
    account,
    account_by_address,
    account_to_change,
    account_to_enter,
    accounts_page,
    administrators,
    failures,
    other_administrators,
    owner_of_token,
    passwords_to_confirm,
)
from services.auth.queries.email_changes import owner_of_email_change
from services.auth.queries.platform import (
    NeverMaintained,
    active_key,
    keys,
    maintenance_decision,
    next_key,
    signing_key_by_id,
    verification_keys,
)
from services.auth.queries.sessions import (
    revoked_sessions,
    revoked_subjects,
    sessions_page,
    signed_in_elsewhere_only,
    spent_token,
)

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
    "other_administrators",
    "owner_of_email_change",
    "owner_of_token",
    "passwords_to_confirm",
    "revoked_sessions",
    "revoked_subjects",
    "sessions_page",
    "signed_in_elsewhere_only",
    "signing_key_by_id",
    "spent_token",
    "verification_keys",
]
