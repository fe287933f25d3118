"""Time-based one-time passwords (RFC 6238) and recovery codes: made, written for people, and recognised."""

import base64
import hashlib
import secrets
from datetime import datetime
from uuid import UUID

import pyotp
from pyotp.exceptions import OTPVerificationError

from services.auth.domain.secrets import MasterSecret, seal, unseal

STEP_SECONDS = 30
DIGITS = 6
DRIFT_STEPS = 1
"""A code of one step before or after the present one is taken: telephones' clocks are that far off (RFC 6238, section 6)."""
ISSUER = "Lumière"
RECOVERY_CODE_BYTES = 10
"""80 bits: 16 letters, beyond guessing even for whoever holds the table of hashes."""
_GROUP = 4


def new_secret() -> str:
    """Return a fresh shared secret in base32, 160 bits (RFC 4226, section 4)."""
    return pyotp.random_base32()


def seal_secret(secret: str, user_id: UUID, master: MasterSecret) -> bytes:
    """Return the shared secret sealed for the table; bound to its user."""
    return seal(master.derive("one-time password secrets"), secret.encode(), user_id.bytes)


def unseal_secret(sealed: bytes, user_id: UUID, master: MasterSecret) -> str:
    """Return the secret that `seal_secret` sealed; raises cryptography's InvalidTag."""
    return unseal(master.derive("one-time password secrets"), sealed, user_id.bytes).decode()


def otpauth_uri(secret: str, account: str) -> str:
    """Return the address that authenticator apps read from a picture (Key Uri Format)."""
    return _generator(secret).provisioning_uri(name=account, issuer_name=ISSUER)


def matching_step(secret: str, code: str, now: datetime) -> int | None:
    """Return the time step whose code this is, or None; comparisons take constant time.

    Whoever takes the code sees to it that no step counts twice (RFC 6238, section 5.2).
    """
    try:
        return _generator(secret).verify_and_get_timecode(code, for_time=now, valid_window=DRIFT_STEPS)
    except OTPVerificationError:
        return None


def _generator(secret: str) -> pyotp.TOTP:
    return pyotp.TOTP(secret, digits=DIGITS, interval=STEP_SECONDS)


def new_recovery_code() -> str:
    """Return a fresh recovery code as people write it down: `abcd-efgh-ijkl-mnop`."""
    letters = base64.b32encode(secrets.token_bytes(RECOVERY_CODE_BYTES)).decode().lower()
    return "-".join(letters[at : at + _GROUP] for at in range(0, len(letters), _GROUP))


def recovery_code_hash(code: str, user_id: UUID) -> bytes:
    """Return the form in which a recovery code is stored; capitals, spaces and dashes are as people type them."""
    letters = "".join(filter(str.isalnum, code)).lower()
    return hashlib.sha256(user_id.bytes + letters.encode()).digest()
