"""Passwords: what is accepted, and the form in which they are kept.

A password is normalised (RFC 8265, OpaqueString: NFC), keyed and compressed by HMAC-SHA-256, then hashed by bcrypt. bcrypt
reads 72 bytes at most and stops at a zero byte: 44 characters of base64 avoid both. A stolen table alone is worthless.
"""

import base64
import hashlib
import hmac
import unicodedata
from dataclasses import dataclass
from typing import Protocol

from libs.common.errors import Forbidden
from services.auth.domain.secrets import MasterSecret

PASSWORD_MINIMUM = 8
PASSWORD_MAXIMUM = 128
BCRYPT_ROUNDS_MINIMUM = 12
"""bcrypt's cost outside of tests: 2**12 rounds."""
PREHASH_VERSION = 1


class WrongPassword(Forbidden):
    """The current password given with a change is wrong."""


class PasswordHasher(Protocol):
    """Slow hashing in a bounded pool; never called inside a transaction. Raises Unavailable when the pool is full."""

    def hash(self, password: str) -> str:
        """Return the form to store."""
        ...

    def verify(self, password: str, stored: str | None) -> bool:
        """Tell whether the password is the stored one; None costs the same work and is never it."""
        ...

    def outdated(self, stored: str) -> bool:
        """Tell whether the stored form is one that `hash` would not make any more: too cheap, or keyed by another secret."""
        ...


def normalised(text: str) -> str:
    """Return the one form of the same characters, however they were typed."""
    return unicodedata.normalize("NFC", text)


def normal_password(text: str) -> str:
    """Return the password as it is hashed; raises ValueError when it is too short or too long (characters, normalised)."""
    normal = normalised(text)
    if not PASSWORD_MINIMUM <= len(normal) <= PASSWORD_MAXIMUM:
        raise ValueError(f"must have {PASSWORD_MINIMUM} to {PASSWORD_MAXIMUM} characters")
    return normal


def prehash(password: str, secret: MasterSecret, version: int = PREHASH_VERSION) -> bytes:
    """Return what bcrypt is given: 44 characters without a zero byte."""
    key = secret.derive(f"password pre-hash v{version}")
    return base64.b64encode(hmac.digest(key, normalised(password).encode(), hashlib.sha256))


@dataclass(frozen=True, slots=True)
class StoredPassword:
    """A password hash with all that is needed to check it later: pre-hash version, the secret's id, bcrypt's own string."""

    version: int
    secret_id: str
    bcrypt: str

    def __str__(self) -> str:
        """Return the one text column's form."""
        return f"{self.version}:{self.secret_id}:{self.bcrypt}"

    @classmethod
    def parse(cls, text: str) -> "StoredPassword":
        """Read the column's form; raises ValueError."""
        version, secret_id, hashed = text.split(":", 2)
        return cls(int(version), secret_id, hashed)

    @property
    def rounds(self) -> int:
        """bcrypt's cost, the exponent of two."""
        return int(self.bcrypt.split("$")[2])

    def outdated(self, version: int, secret_id: str, rounds: int) -> bool:
        """Tell whether it lags behind: another pre-hash, another secret, or fewer rounds than now."""
        return (self.version, self.secret_id) != (version, secret_id) or self.rounds < rounds


def unmatchable(rounds: int) -> str:
    """Return a bcrypt string of this cost that no password matches in practice: checking it costs what a real one costs."""
    return f"$2b${rounds:02d}$" + "." * 53
