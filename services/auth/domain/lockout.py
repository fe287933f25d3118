"""Lockout: how many wrong passwords an account bears, and how quickly. The same for accounts that do not exist.

What a stranger tries is counted by the address alone. Who proves to be no stranger, by a session or by a device on which the
account was opened before, is counted apart: guessing strangers lock out strangers, not them (OWASP, "Slow Down Online
Guessing Attacks with Device Cookies"). Nobody waits in a thread: an attempt that comes too soon is refused unread.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from libs.common.errors import TooManyRequests, Unauthenticated

FAILURES_ALLOWED = 5
LOCK_DURATION = timedelta(minutes=15)
FAILURES_FORGOTTEN_AFTER = timedelta(minutes=15)
"""A failure this long after the one before starts a new count."""
DELAY_FIRST = timedelta(milliseconds=250)
DELAY_STEP = timedelta(milliseconds=250)
DELAY_MAXIMUM = timedelta(seconds=5)
"""After so many failures in a row the next attempt waits DELAY_FIRST and DELAY_STEP for each of them, at most this."""


class WrongCredentials(Unauthenticated):
    """No account has this address and this password."""


class AccountLocked(TooManyRequests):
    """Too many wrong passwords in a row."""


class AttemptTooSoon(TooManyRequests):
    """A wrong password was given a moment ago: this attempt was not looked at."""


@dataclass(frozen=True, slots=True)
class Counter:
    """Which wrong passwords count together: those for an address, from strangers or from one holder. Keyed hashes."""

    address_key: bytes
    holder_key: bytes = b""


@dataclass(frozen=True, slots=True)
class Failures:
    """Wrong passwords in a row on one counter."""

    count: int = 0
    last_at: datetime | None = None
    locked_until: datetime | None = None

    def refuse(self, now: datetime) -> AccountLocked | AttemptTooSoon | None:
        """Say why no attempt is taken now and for how many whole seconds, or None."""
        if self.locked_until is not None:
            if self.locked_until <= now:
                return None
            return AccountLocked(
                "Too many attempts. Wait, or reset the password.", retry_after=_seconds(self.locked_until - now)
            )
        wait = timedelta() if self.last_at is None else self.last_at + delay(self.count) - now
        if wait <= timedelta():
            return None
        return AttemptTooSoon("A wrong password was given just now. Wait a moment and try again.", retry_after=_seconds(wait))

    def one_more(self, now: datetime) -> "Failures":
        """Count a wrong password; the last one allowed locks the account."""
        forgotten = self.last_at is None or now - self.last_at >= FAILURES_FORGOTTEN_AFTER or self.locked_until is not None
        count = 1 if forgotten else self.count + 1
        return Failures(count, now, now + LOCK_DURATION if count >= FAILURES_ALLOWED else None)


def delay(failures: int) -> timedelta:
    """How long after so many failures in a row the next attempt is refused unread."""
    return min(DELAY_FIRST + failures * DELAY_STEP, DELAY_MAXIMUM) if failures else timedelta()


def _seconds(duration: timedelta) -> int:
    return -(-duration // timedelta(seconds=1))
