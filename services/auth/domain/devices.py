"""The device grant: a program without a browser shows a code, which a person types where they are signed in (RFC 8628)."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from libs.common.errors import NotFound

DEVICE_CODE_LIFE: Final = timedelta(minutes=10)
POLL_INTERVAL: Final = timedelta(seconds=5)
SLOWER_BY: Final = timedelta(seconds=5)
"""Each poll that comes too soon lengthens the interval by so much (RFC 8628 section 3.5)."""
INTERVAL_MAXIMUM: Final = timedelta(seconds=60)
USER_CODE_LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ"
"""No vowels, so that no words come of it (RFC 8628 section 6.1)."""
USER_CODE_LENGTH: Final = 8
"""20 letters to the power of 8: 34 bits, for ten minutes, and only signed-in people may guess."""
USER_CODE_SHOWN_AS: Final = 4
"""Letters between hyphens."""

_OTHER: Final = re.compile(r"[\s-]+")


class DeviceState(StrEnum):
    """What became of a device's request."""

    PENDING = "PENDING"
    APPROVED = "APPROVED"
    DENIED = "DENIED"
    SPENT = "SPENT"


class UnknownUserCode(NotFound):
    """No device waits under this code."""


class Poll(StrEnum):
    """What a device that asks is told."""

    PENDING = "PENDING"
    TOO_SOON = "TOO_SOON"
    EXPIRED = "EXPIRED"
    DENIED = "DENIED"
    GRANTED = "GRANTED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Polled:
    """What is known of a device's request when it asks."""

    state: DeviceState
    expires_at: datetime
    last_polled_at: datetime | None
    interval: timedelta


def judge_poll(known: Polled, now: datetime) -> Poll:
    """Decide what a device is told; impatience comes before the answer, so that it never pays."""
    if known.state is DeviceState.SPENT:
        return Poll.UNKNOWN
    if known.expires_at <= now:
        return Poll.EXPIRED
    if known.last_polled_at is not None and now - known.last_polled_at < known.interval:
        return Poll.TOO_SOON
    return {
        DeviceState.PENDING: Poll.PENDING,
        DeviceState.APPROVED: Poll.GRANTED,
        DeviceState.DENIED: Poll.DENIED,
    }[known.state]


def slower(interval: timedelta) -> timedelta:
    """Return the interval after a poll that came too soon."""
    return min(INTERVAL_MAXIMUM, interval + SLOWER_BY)


def shown(user_code: str) -> str:
    """Return a code as people read it: `BDFG-HJKL`."""
    return "-".join(user_code[at : at + USER_CODE_SHOWN_AS] for at in range(0, len(user_code), USER_CODE_SHOWN_AS))


def typed(text: str) -> str:
    """Return what a person typed as it is stored, however they wrote it."""
    return _OTHER.sub("", text).upper()
