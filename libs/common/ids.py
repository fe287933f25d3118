"""Identifiers and unguessable tokens; the only place that makes either."""

import secrets
from datetime import datetime
from uuid import UUID

from uuid_utils.compat import uuid7

TOKEN_BYTES = 32


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562 section 5.7): sortable by time, random otherwise."""
    return uuid7()


def lowest_at(moment: datetime) -> UUID:
    """A bound for comparisons: no id made at this moment or later is lower, none made a millisecond before is higher."""
    return UUID(int=int(moment.timestamp() * 1_000) << 80)


def random_token() -> str:
    """A URL-safe token of 256 random bits."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def random_code(letters: str, length: int) -> str:
    """A code that a person can type: so many random letters out of these."""
    return "".join(secrets.choice(letters) for _ in range(length))
