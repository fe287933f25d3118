"""Lockout: how many wrong passwords an account bears. The same for accounts that do not exist."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from libs.common.errors import TooManyRequests, Unauthenticated

FAILURES_ALLOWED = 5
LOCK_DURATION = timedelta(minutes=15)
FAILURES_FORGOTTEN_AFTER = timedelta(minutes=15)
"""A failure this long after the one before starts a new count."""


class WrongCredentials(Unauthenticated):
    """No account has this address and this password."""


class AccountLocked(TooManyRequests):
    """Too many wrong passwords in a row."""


@dataclass(frozen=True, slots=True)
class Failures:
    """Wrong passwords in a row for one address."""

    count: int = 0
    last_at: datetime | None = None
    locked_until: datetime | None = None

    def locked(self, now: datetime) -> AccountLocked | None:
        """Say that the account is locked and for how many whole seconds, or None."""
        if self.locked_until is None or self.locked_until <= now:
            return None
        seconds = -((now - self.locked_until) // timedelta(seconds=1))
        return AccountLocked("Too many attempts. Wait, or reset the password.", retry_after=seconds)

    def one_more(self, now: datetime) -> "Failures":
        """Count a wrong password; the last one allowed locks the account."""
        forgotten = self.last_at is None or now - self.last_at >= FAILURES_FORGOTTEN_AFTER or self.locked_until is not None
        count = 1 if forgotten else self.count + 1
        return Failures(count, now, now + LOCK_DURATION if count >= FAILURES_ALLOWED else None)
