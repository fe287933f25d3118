"""Access policy and token verification."""

from libs.common.auth.policy import (
    CRON,
    PUBLIC,
    SERVICE,
    SIGNED_IN,
    Access,
    Allow,
    Assurance,
    Idempotency,
    Rate,
    Role,
    Scope,
    Subject,
)
from libs.common.auth.revocations import Revocations
from libs.common.auth.tokens import Admission, Claims, PublishedKeys, StaticKeys, TokenVerifier

__all__ = [
    "CRON",
    "PUBLIC",
    "SERVICE",
    "SIGNED_IN",
    "Access",
    "Admission",
    "Allow",
    "Assurance",
    "Claims",
    "Idempotency",
    "PublishedKeys",
    "Rate",
    "Revocations",
    "Role",
    "Scope",
    "StaticKeys",
    "Subject",
    "TokenVerifier",
]
