"""What the service asks of whatever keeps the bytes."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Final, NewType, Protocol
from uuid import UUID

from libs.common.errors import BadRequest, ContentTooLarge, NotFound, Unavailable
from services.media.domain.addresses import Grant

StorageKey = NewType("StorageKey", str)
"""Where the bytes are: made by the server from random bits, never from anything a client said."""

BUCKET_SCHEME: Final = "s3:"
"""Begins every key whose bytes are in the bucket; the rest is the name of the object."""

CHUNK_BYTES = 256 * 1024
"""How much of a file is in memory at once."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a client sends or fetches bytes, and what it must say with the request."""

    method: str
    url: str
    headers: Mapping[str, str]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What an address is made for."""

    media_id: UUID
    owner_id: UUID
    size: int
    media_type: str
    filename: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What arrived, measured on the way in."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Landing:
    """Where a file that is sent past this service comes down, and where it is kept from then on.

    Whoever has the address of the upload may write to `arrival` until it expires, and to `key` never.
    """

    arrival: StorageKey
    key: StorageKey


class ObjectMissing(NotFound):
    """The bytes are not where they were put."""


class ContentOverrun(ContentTooLarge):
    """More bytes came than were declared."""


class ContentShort(BadRequest):
    """The bytes ended, or the line broke, before all that were declared had come."""


class StorageFull(Unavailable):
    """There is no room for the bytes now."""


class StorageAway(Unavailable):
    """Whatever keeps the bytes does not answer now. Nothing is lost: the same request does it once it is back."""


class Storage(Protocol):
    """Keeps bytes under keys. Clients reach it only by signed addresses."""

    def upload_address(self, file: FileFacts, expires_at: datetime) -> Address:
        """A one-time address that takes exactly this file until then. Raises StorageAway."""

    def landing(self, file: FileFacts) -> Landing | None:
        """Where this file is to be collected, its key a new one; None where bytes come through this service."""

    def collect(self, landing: Landing, file: FileFacts) -> None:
        """Take a file that has arrived into keeping. Raises ObjectMissing, ContentOverrun, ContentShort, StorageAway."""

    def download_address(self, key: StorageKey, file: FileFacts, expires_at: datetime) -> Address:
        """An address that gives this file until then. Raises StorageAway."""

    def open(self, key: StorageKey) -> BinaryIO:
        """The bytes, to be read and closed by the caller; reading may raise StorageAway. Raises ObjectMissing, StorageAway."""

    def delete(self, key: StorageKey) -> None:
        """Remove the bytes; removing what is not there is no error. Raises StorageAway."""

    def idle_since(self, moment: datetime) -> Iterator[StorageKey]:
        """Every key whose bytes, whole or partial, have not changed since then."""


class ReceivingStorage(Storage, Protocol):
    """A storage without an address of its own: its bytes pass through this service."""

    def check(self, token: str, grant: Grant, now: datetime) -> None:
        """Pass when the token is of an address made here for this grant. Raises AddressRefused, AddressExpired."""

    def write(self, key: StorageKey, chunks: Iterable[bytes], size: int) -> Receipt:
        """Keep exactly `size` bytes under a new key, durably, or leave nothing behind.

        Raises ContentOverrun, ContentShort, StorageFull.
        """
