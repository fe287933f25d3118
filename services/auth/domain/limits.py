"""What one client may ask of auth, whatever account it names. Limits of accounts stand in `lockout` and `tokens`.

A client is known by the keyed hash that the gateway makes of its address each day, and by nothing else. The hash is counted in
Redis, or without Redis in the memory of each process, until its window is over: it never reaches Postgres, a log or a disk.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Protocol

from libs.common.errors import TooManyRequests

CLIENT_HEADER: Final = "X-Auth-Client"
"""Where the gateway puts the hash; it takes the header from nobody."""
OTHER_ENVIRONMENTS_FACTOR: Final = 1_000
"""How many times a client may do more outside production, where a whole platform and its tests come from one address."""


class Limit(StrEnum):
    """What is limited."""

    LOGIN = "LOGIN"
    """Wrong passwords, for whatever accounts."""
    REGISTER = "REGISTER"
    RESET = "RESET"
    """Reset links asked for."""
    RESEND = "RESEND"
    """Verification mails asked for again."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """So many times within a window that begins with the first."""

    times: int
    window: timedelta


ALLOWANCES: Final[Mapping[Limit, Allowance]] = MappingProxyType(
    {
        # Four accounts' worth: a household or an office shares an address.
        Limit.LOGIN: Allowance(20, timedelta(minutes=15)),
        Limit.REGISTER: Allowance(3, timedelta(hours=1)),
        Limit.RESET: Allowance(3, timedelta(minutes=15)),
        Limit.RESEND: Allowance(3, timedelta(hours=1)),
    }
)


class ClientLimited(TooManyRequests):
    """So much was asked from one client that nothing more of the kind is taken for a while."""


class ClientLimits(Protocol):
    """Counts what clients ask."""

    def refusal(self, limit: Limit, client: str) -> ClientLimited | None:
        """Say why nothing more is taken from this client now, or None."""
        ...

    def count(self, limit: Limit, client: str) -> ClientLimited | None:
        """Count one; the refusal when it is one too many."""
        ...


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as far as limits care; nobody in particular where no gateway stands in front."""

    limits: ClientLimits | None = None
    client: str | None = None

    def refusal(self, limit: Limit) -> ClientLimited | None:
        """Say why nothing more is taken from here now, or None."""
        return self.limits.refusal(limit, self.client) if self.limits and self.client else None

    def count(self, limit: Limit) -> ClientLimited | None:
        """Count one; the refusal when it is one too many."""
        return self.limits.count(limit, self.client) if self.limits and self.client else None
