"""Security notices: what the owner of an account is told by mail of what happened to it."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType

NOTICE_LIFE = timedelta(days=7)
"""A notice that could not be sent within this time is given up."""


class Notice(StrEnum):
    """What happened to an account. The texts are notify's, one each in every language."""

    REFRESH_TOKEN_REUSED = "REFRESH_TOKEN_REUSED"  # noqa: S105  the name of a notice
    PASSWORD_CHANGED = "PASSWORD_CHANGED"  # noqa: S105  the name of a notice
    EMAIL_CHANGED = "EMAIL_CHANGED"
    SECOND_FACTOR_ADDED = "SECOND_FACTOR_ADDED"
    SECOND_FACTOR_REMOVED = "SECOND_FACTOR_REMOVED"
    RECOVERY_CODE_USED = "RECOVERY_CODE_USED"
    PASSKEY_ADDED = "PASSKEY_ADDED"
    PASSKEY_REMOVED = "PASSKEY_REMOVED"
    IDENTITY_LINKED = "IDENTITY_LINKED"
    IDENTITY_UNLINKED = "IDENTITY_UNLINKED"
    ACCESS_TOKEN_CREATED = "ACCESS_TOKEN_CREATED"  # noqa: S105  the name of a notice
    ROLE_CHANGED = "ROLE_CHANGED"
    WALLET_CHANGED = "WALLET_CHANGED"
    NEW_SIGN_IN = "NEW_SIGN_IN"
    DORMANT_ACCOUNT = "DORMANT_ACCOUNT"


FACTS: Mapping[Notice, frozenset[str]] = MappingProxyType(
    {
        Notice.REFRESH_TOKEN_REUSED: frozenset({"device"}),
        Notice.RECOVERY_CODE_USED: frozenset({"codes_left"}),
        Notice.PASSKEY_ADDED: frozenset({"name"}),
        Notice.PASSKEY_REMOVED: frozenset({"name"}),
        Notice.IDENTITY_LINKED: frozenset({"provider"}),
        Notice.IDENTITY_UNLINKED: frozenset({"provider"}),
        Notice.ACCESS_TOKEN_CREATED: frozenset({"name"}),
        Notice.ROLE_CHANGED: frozenset({"role"}),
        Notice.NEW_SIGN_IN: frozenset({"device"}),
        Notice.DORMANT_ACCOUNT: frozenset({"days"}),
    }
)
"""What a notice's text is filled in with; a notice that is not here needs nothing. Never a secret, never an address."""


def facts_of(notice: Notice, given: Mapping[str, object]) -> dict[str, str]:
    """Return the facts as text. Raises TypeError when they are not those that the notice's text needs."""
    needed = FACTS.get(notice, frozenset())
    if given.keys() != needed:
        raise TypeError(f"{notice} is told with {sorted(needed) or 'no facts'}, not with {sorted(given) or 'none'}")
    return {name: str(value) for name, value in given.items()}
