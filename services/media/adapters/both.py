"""A bucket for what comes, and the folder for what came before there was one."""

from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from typing import BinaryIO

from services.media.adapters.bucket import Bucket
from services.media.adapters.local import LocalStorage
from services.media.domain.storage import BUCKET_SCHEME, Address, FileFacts, Landing, StorageKey


class BucketBeforeFolder:
    """New files go to the bucket. A key says where its bytes are, so those in the folder stay where they are, and readable."""

    def __init__(self, bucket: Bucket, folder: LocalStorage) -> None:
        self._bucket = bucket
        self._folder = folder

    def make(self) -> bool:
        """Make the bucket where there is none; whether it was made. Raises StorageAway."""
        return self._bucket.make()

    def upload_address(self, file: FileFacts, expires_at: datetime) -> Address:
        """An address of the bucket. Raises StorageAway."""
        return self._bucket.upload_address(file, expires_at)

    def landing(self, file: FileFacts) -> Landing:
        """In the bucket."""
        return self._bucket.landing(file)

    def collect(self, landing: Landing, file: FileFacts) -> None:
        """In the bucket. Raises ObjectMissing, ContentOverrun, ContentShort, StorageAway."""
        self._bucket.collect(landing, file)

    def download_address(self, key: StorageKey, file: FileFacts, expires_at: datetime) -> Address:
        """An address of wherever the bytes are. Raises StorageAway."""
        return self._of(key).download_address(key, file, expires_at)

    def open(self, key: StorageKey) -> BinaryIO:
        """The bytes. Raises ObjectMissing, StorageAway."""
        return self._of(key).open(key)

    def delete(self, key: StorageKey) -> None:
        """Remove the bytes. Raises StorageAway."""
        self._of(key).delete(key)

    def idle_since(self, moment: datetime) -> Iterator[StorageKey]:
        """The keys of both; of the folder first, which needs no bucket. Raises StorageAway."""
        return chain(self._folder.idle_since(moment), self._bucket.idle_since(moment))

    def _of(self, key: StorageKey) -> Bucket | LocalStorage:
        return self._bucket if key.startswith(BUCKET_SCHEME) else self._folder
