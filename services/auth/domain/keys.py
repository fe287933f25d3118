"""The life of a signing key: offered to verifiers, then signing, then only verifying; or withdrawn at once.

There is always one key that signs and one that comes next. The next has been in everybody's hands for long when its turn
comes, so that neither a rotation nor the loss of the key that signs costs anybody a token that is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from libs.common.errors import Conflict, NotFound
from services.auth.domain.sessions import REVOCATION_ALLOWANCE
from services.auth.domain.tokens import ACCESS_TOKEN_LIFE, KeyState

KEY_SET_AGE: Final = timedelta(seconds=60)
"""How long anybody may keep the key set before asking again; the platform's own verifiers ask every ten seconds or sooner."""
PUBLISHED_BEFORE_USE: Final = timedelta(minutes=5)
"""A key is in the key set for so long before it signs: longer than anybody keeps the set, with room for slow polls."""
VERIFIES_AFTER_USE: Final = ACCESS_TOKEN_LIFE + REVOCATION_ALLOWANCE
"""A key stays in the key set for so long after its last signature: no token of it is alive then."""
SIGNS_DAYS_MAXIMUM: Final = 90

TRANSITIONS: Final[Mapping[KeyState, frozenset[KeyState]]] = {
    # A next key that another secret seals can never sign: it retires unused.
    KeyState.PUBLISHED: frozenset({KeyState.ACTIVE, KeyState.RETIRED, KeyState.WITHDRAWN}),
    KeyState.ACTIVE: frozenset({KeyState.RETIRED, KeyState.WITHDRAWN}),
    KeyState.RETIRED: frozenset({KeyState.WITHDRAWN}),
    KeyState.WITHDRAWN: frozenset(),
}


@dataclass(frozen=True, slots=True)
class SigningPeriod:
    """How long one key signs before the next takes over."""

    duration: timedelta


class UnknownKey(NotFound):
    """No signing key has this id."""


class KeyTooYoung(Conflict):
    """The next key was published a moment ago, and somebody may not know it yet."""


def matured(published_at: datetime, now: datetime) -> bool:
    """Whether every verifier knows a key by now."""
    return now - published_at >= PUBLISHED_BEFORE_USE


def due(activated_at: datetime, now: datetime, signs_for: timedelta) -> bool:
    """Whether a key has signed for as long as one may."""
    return now - activated_at >= signs_for
