"""A device on which an account was opened before proves so by a token that it was given then.

The token opens nothing. It tells the owner of an account from strangers who guess its password, so that their failures are
counted apart. It is not kept anywhere: a keyed digest shows that it is ours.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from services.auth.domain.secrets import MasterSecret

DEVICE_TOKEN_LIFE: Final = timedelta(days=180)
_NUMBER_LENGTH = 16
_TIME_LENGTH = 8
_BODY_LENGTH = 16 + _TIME_LENGTH + _NUMBER_LENGTH


@dataclass(frozen=True, slots=True)
class KnownDevice:
    """What a device token says: whose account was opened there, and when; `number` tells devices apart."""

    user_id: UUID
    issued_at: datetime
    number: bytes

    def vouches_for(self, user_id: UUID, password_changed_at: datetime | None, now: datetime) -> bool:
        """Whether this device is known to the account still. A new password makes strangers of all devices."""
        whole = password_changed_at and password_changed_at.replace(microsecond=0)
        return self.user_id == user_id and (not whole or whole <= self.issued_at) and now - self.issued_at < DEVICE_TOKEN_LIFE


def device_token(secret: MasterSecret, user_id: UUID, now: datetime) -> str:
    """Return the token for a device on which the account was opened just now."""
    seconds = int(now.timestamp()).to_bytes(_TIME_LENGTH, "big")
    body = user_id.bytes + seconds + secrets.token_bytes(_NUMBER_LENGTH)
    return base64.urlsafe_b64encode(body + _digest(secret, body)).rstrip(b"=").decode()


def known_device(secret: MasterSecret, token: str | None) -> KnownDevice | None:
    """Return what the token says, or None when it is none of ours."""
    try:
        given = base64.urlsafe_b64decode((token or "") + "==")
    except (binascii.Error, ValueError):
        return None
    body, digest = given[:_BODY_LENGTH], given[_BODY_LENGTH:]
    if len(body) != _BODY_LENGTH or not hmac.compare_digest(digest, _digest(secret, body)):
        return None
    issued_at = datetime.fromtimestamp(int.from_bytes(body[16:-_NUMBER_LENGTH], "big"), UTC)
    return KnownDevice(UUID(bytes=body[:16]), issued_at, body[-_NUMBER_LENGTH:])


def _digest(secret: MasterSecret, body: bytes) -> bytes:
    return hmac.digest(secret.derive("known devices"), body, hashlib.sha256)
