"""Identifiers and unguessable tokens; the only place that makes either."""

import secrets
from uuid import UUID

from uuid_utils.compat import uuid7

TOKEN_BYTES = 32


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562 section 5.7): sortable by time, random otherwise."""
    return uuid7()


def random_token() -> str:
    """A URL-safe token of 256 random bits."""
    return secrets.token_urlsafe(TOKEN_BYTES)
