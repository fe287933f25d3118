"""What a failed delivery means: try again later, give up, or stop because the database is away."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from libs.common.errors import Permanent, Problem
from libs.common.events.envelope import MalformedEvent
from libs.common.events.personal import CannotOpen
from libs.common.telemetry.redaction import redact_text

REASON_LENGTH_MAX: Final = 500

# SQLSTATE classes (PostgreSQL appendix A): 08 connection, 57P shutdown and start-up, 53 resources, 25 transaction state
# (idle too long, read-only standby); 55P03 is a lock that somebody keeps.
_DATABASE_GONE: Final = ("08", "57P", "53", "25", "55P03")


class DatabaseGone(Exception):
    """The database does not answer: no message is to blame, so none is settled."""


@dataclass(frozen=True)
class Failure:
    """Why a delivery failed, in words that hold no value of the event."""

    permanent: bool
    error: str
    """The error's class name."""
    reason: str


def is_database_gone(error: BaseException) -> bool:
    """Whether the database is at fault rather than the message."""
    if isinstance(error, PoolTimeout):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "pgcode", None)
    return error.connection_invalidated or (
        state.startswith(_DATABASE_GONE) if state else type(error).__name__ in {"OperationalError", "InterfaceError"}
    )


def classify(error: BaseException) -> Failure:
    """What to do with the message, and the reason that travels with it."""
    permanent = isinstance(error, Permanent | MalformedEvent | CannotOpen) or (
        isinstance(error, Problem) and error.status < 500
    )
    return Failure(permanent, type(error).__name__, redact_text(_reason(error))[:REASON_LENGTH_MAX])


def _reason(error: BaseException) -> str:
    if isinstance(error, StatementError):
        # The full text would quote the statement's parameters.
        diagnosis = getattr(error.orig, "diag", None)
        return str(getattr(diagnosis, "message_primary", None) or type(error.orig).__name__)
    return str(error) or type(error).__name__
