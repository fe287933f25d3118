"""A change of address: the owners of both confirm it, and the owner of the present one may stop it."""

from datetime import timedelta
from enum import StrEnum
from typing import Final

from libs.common.errors import Conflict, TooManyRequests

RECENT_SIGN_IN: Final = timedelta(minutes=15)
"""Who signed in within this time need not give the password again."""


class ChangeState(StrEnum):
    """Where a change of address stands after a confirmation."""

    WAITING = "WAITING"
    """For the other address."""
    CHANGED = "CHANGED"


class SameAddress(Conflict):
    """The account has this address already."""


class TooManyChanges(TooManyRequests):
    """Mails about a change of address were asked for too often."""
