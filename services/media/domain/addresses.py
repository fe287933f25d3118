"""Signed addresses: the signature is the whole permission, so it is bound to all that it permits."""

import base64
import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from libs.common.errors import Forbidden, Gone

UPLOAD_ADDRESS_SECONDS = 3600
"""How long the address of an upload holds."""
DOWNLOAD_ADDRESS_SECONDS = 300
"""How long the address of a download holds: long enough to begin, too short to be passed around."""

# Twelve digits reach past the year 30000; no leading zero, so that each expiry has one spelling.
_TOKEN = re.compile(r"([1-9][0-9]{0,11})\.([A-Za-z0-9_-]{43})")


class AddressRefused(Forbidden):
    """The signature does not fit: the address was changed, cut short, or made for something else."""


class AddressExpired(Gone):
    """The address was good once; its time is over."""


class Door(StrEnum):
    """What an address opens. Part of what is signed: a download address never uploads."""

    UPLOAD = "upload"
    DOWNLOAD = "download"


@dataclass(frozen=True, slots=True)
class Grant:
    """What one address permits: this door, for these bytes."""

    door: Door
    media_id: UUID
    size: int
    media_type: str


class Signer:
    """Makes and checks the tokens of addresses: `<expiry, Unix seconds>.<base64url HMAC-SHA256>` (RFC 2104).

    The media id, size, type and expiry are signed; only the expiry travels. A token is compared whole, as text, in constant
    time, so one permission has exactly one spelling.
    """

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha256(b"lumiere media address v1\0" + secret.encode()).digest()

    def token(self, grant: Grant, expires_at: datetime) -> str:
        """The token for this grant until this moment (whole seconds; fractions are dropped)."""
        return self._token(grant, int(expires_at.timestamp()))

    def check(self, token: str, grant: Grant, now: datetime) -> None:
        """Pass when the token was made here for this grant and its time is not over.

        Raises AddressRefused, AddressExpired.
        """
        found = _TOKEN.fullmatch(token)
        expiry = int(found[1]) if found else 0
        if not hmac.compare_digest(self._token(grant, expiry).encode(), token.encode("utf-8", "replace")):
            raise AddressRefused("This address does not hold. Ask for a new one.")
        if now.timestamp() >= expiry:
            raise AddressExpired("The time of this address is over. Ask for a new one.")

    def _token(self, grant: Grant, expiry: int) -> str:
        message = json.dumps([grant.door, str(grant.media_id), grant.size, grant.media_type, expiry]).encode()
        signature = hmac.new(self._key, message, hashlib.sha256).digest()
        return f"{expiry}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
