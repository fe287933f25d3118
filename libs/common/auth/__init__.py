"""Access policy and token verification."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from libs.common.auth.revocations import Revocations
    from libs.common.auth.tokens import Admission, Claims, PublishedKeys, StaticKeys, TokenVerifier

# Loaded when somebody asks (PEP 562): verifying brings the cryptography along, and who reads policies alone need not hold it.
_LATE = {
    "Revocations": "revocations",
    **dict.fromkeys(("Admission", "Claims", "PublishedKeys", "StaticKeys", "TokenVerifier"), "tokens"),
}

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


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
