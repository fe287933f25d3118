"""Personal access tokens: what a program holds instead of a person's password, limited and easy to take back."""

import secrets
from base64 import b32decode, b32encode
from binascii import Error as NotBase32
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from zlib import crc32

from libs.common.auth.policy import Scope
from libs.common.errors import Conflict, NotFound, Unauthenticated
from services.auth.domain.sessions import EndReason

PREFIX: Final = "lumiere_pat_"
TOKEN_LENGTH: Final = len(PREFIX) + 58
"""Prefix, then 32 random bytes and four of their CRC-32 in base 32: `lumiere_pat_[a-z2-7]{58}`, as secret scanners look for."""
LIFE_MAXIMUM: Final = timedelta(days=365)
NAME_MAXIMUM: Final = 100
"""Characters of the name by which a person knows a token again."""
TOKENS_MAXIMUM: Final = 20
"""Live tokens of a person."""
CLIENT_ID: Final = "personal-access-token"
"""What tokens that came of an exchange say of their client."""
METHODS: Final = ("pat",)
"""Authentication method of a personal access token; RFC 8176 has no name for it."""
SCOPES: Final = tuple(each for each in Scope if each not in {Scope.OPENID, Scope.OFFLINE_ACCESS})
"""What a personal access token may be for: it signs nobody in, and it is itself what lasts."""
KEEPING: Final = frozenset({EndReason.LOGOUT, EndReason.REVOKED_BY_USER, EndReason.REFRESH_TOKEN_REUSED})
"""Ends of sessions that leave a person's programs alone. Whatever else ends every session ends them too."""
_RANDOM_BYTES: Final = 32


class UnknownAccessToken(NotFound):
    """No live personal access token of this person has this identifier."""


class AccessTokenRefused(Unauthenticated):
    """The personal access token is none, expired, revoked, or its owner is not active."""


class TooManyAccessTokens(Conflict):
    """The person has as many live tokens as anybody may."""


def new_token() -> str:
    """Return a fresh token of 256 random bits."""
    value = secrets.token_bytes(_RANDOM_BYTES)
    return PREFIX + b32encode(value + _checksum(value)).decode().rstrip("=").lower()


def well_formed(token: str) -> bool:
    """Whether this can be a token at all: no table is asked for what a typing error made."""
    spelled = token.removeprefix(PREFIX)
    if len(token) != TOKEN_LENGTH or spelled == token or spelled != spelled.lower():
        return False
    try:
        value = b32decode(spelled.upper() + "=" * (-len(spelled) % 8))
    except (NotBase32, ValueError):
        return False
    return _checksum(value[:_RANDOM_BYTES]) == value[_RANDOM_BYTES:]


def scope_of(scopes: Sequence[Scope]) -> str:
    """Return the scopes as tokens carry them: each once, in one order (RFC 6749, section 3.3)."""
    return " ".join(sorted(set(scopes)))


def name(text: str) -> str:
    """Return the name of a token when it may be shown; raises ValueError."""
    if text != text.strip() or not 1 <= len(text) <= NAME_MAXIMUM or not text.isprintable():
        raise ValueError(f"must have 1 to {NAME_MAXIMUM} printable characters, and no space at its ends")
    return text


def expiry_fault(expires_at: datetime, now: datetime) -> str | None:
    """Say what is wrong with the end of a token made now, or None."""
    if expires_at <= now:
        return "must be in the future"
    return f"must be within {LIFE_MAXIMUM.days} days" if expires_at > now + LIFE_MAXIMUM else None


def _checksum(value: bytes) -> bytes:
    return crc32(value).to_bytes(4, "big")
