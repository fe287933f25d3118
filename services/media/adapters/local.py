"""Bytes in a folder of this machine, behind signed addresses of this service."""

import errno
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlencode

from libs.common import ids
from services.media.domain.addresses import Door, Grant, Signer
from services.media.domain.storage import (
    BUCKET_SCHEME,
    Address,
    ContentOverrun,
    ContentShort,
    FileFacts,
    Landing,
    ObjectMissing,
    Receipt,
    StorageAway,
    StorageFull,
    StorageKey,
)

_KEY = re.compile(r"[A-Za-z0-9_-]{43}")
_PARTIAL = "partial"
_OBJECTS = "objects"
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class LocalStorage:
    """Files of mode 0600 under `objects/<first two characters>/<key>`; unfinished ones under `partial/`.

    Nothing a client says becomes part of a path. A finished file appears under its key in one step (link(2), which never
    overwrites) after its bytes have reached the disk.
    """

    def __init__(self, folder: Path, origin: str, signer: Signer) -> None:
        self._folder = folder
        self._base = f"{origin}/api/v1"
        self._signer = signer
        for name in (_PARTIAL, _OBJECTS):
            (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    def upload_address(self, file: FileFacts, expires_at: datetime) -> Address:
        """`PUT …/uploads/{media_id}/content?token=…`, good for one file."""
        token = self._signer.token(Grant(Door.UPLOAD, file.media_id, file.size, file.media_type), expires_at)
        url = f"{self._base}/uploads/{file.media_id}/content?{urlencode({'token': token})}"
        return Address("PUT", url, {"Content-Type": file.media_type}, expires_at)

    def landing(self, file: FileFacts) -> Landing | None:  # noqa: ARG002 - for no file is there any
        """None: bytes come through this service."""
        return None

    def collect(self, landing: Landing, file: FileFacts) -> None:  # noqa: ARG002 - there is nothing to collect
        """Nothing ever arrives past this service. Raises ObjectMissing."""
        raise ObjectMissing("No file has arrived.")

    def download_address(self, key: StorageKey, file: FileFacts, expires_at: datetime) -> Address:  # noqa: ARG002 - found by id
        """`GET …/media/{media_id}/download?token=…`."""
        token = self._signer.token(Grant(Door.DOWNLOAD, file.media_id, file.size, file.media_type), expires_at)
        url = f"{self._base}/media/{file.media_id}/download?{urlencode({'token': token})}"
        return Address("GET", url, {}, expires_at)

    def check(self, token: str, grant: Grant, now: datetime) -> None:
        """Pass when the token is of an address made here for this grant. Raises AddressRefused, AddressExpired."""
        self._signer.check(token, grant, now)

    def write(self, key: StorageKey, chunks: Iterable[bytes], size: int) -> Receipt:
        """Keep exactly `size` bytes under a new key, or leave nothing. Raises ContentOverrun, ContentShort, StorageFull."""
        final = self._path(key)
        partial = self._folder / _PARTIAL / f"{key}.{ids.random_token()}"
        try:
            receipt = _write_new(partial, chunks, size)
            _make_folder(final.parent)
            os.link(partial, final)
            _sync_folder(final.parent)
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise StorageFull("There is no room for files now. Try again later.", retry_after=60) from error
            raise
        finally:
            partial.unlink(missing_ok=True)
        return receipt

    def open(self, key: StorageKey) -> BinaryIO:
        """The bytes, to be read and closed by the caller. Raises ObjectMissing."""
        try:
            return self._path(key).open("rb")
        except FileNotFoundError:
            raise ObjectMissing("The file is no longer in storage.") from None

    def delete(self, key: StorageKey) -> None:
        """Remove the bytes; removing what is not there is no error."""
        self._path(key).unlink(missing_ok=True)

    def idle_since(self, moment: datetime) -> Iterator[StorageKey]:
        """Every key whose bytes have not changed since then. Partial files that old belong to nobody and go at once."""
        before = moment.timestamp()
        for path in _older(self._folder / _PARTIAL, before):
            path.unlink(missing_ok=True)
        for folder in sorted((self._folder / _OBJECTS).iterdir()):
            for path in _older(folder, before):
                if _KEY.fullmatch(path.name):
                    yield StorageKey(path.name)

    def _path(self, key: StorageKey) -> Path:
        if key.startswith(BUCKET_SCHEME):
            raise StorageAway("This file is in a bucket that is not configured here; its operator must set S3_BUCKET again.")
        if not _KEY.fullmatch(key):
            raise ValueError("not a storage key")
        return self._folder / _OBJECTS / key[:2] / key


def _write_new(path: Path, chunks: Iterable[bytes], size: int) -> Receipt:
    digest, written = hashlib.sha256(), 0
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for chunk in chunks:
            written += len(chunk)
            if written > size:
                raise ContentOverrun(f"This address takes {size} bytes, as declared.")
            digest.update(chunk)
            file.write(chunk)
        if written < size:
            raise ContentShort(f"Only {written} of {size} bytes came. Send the whole file again to the same address.")
        file.flush()
        os.fsync(file.fileno())
    return Receipt(written, digest.hexdigest())


def _make_folder(folder: Path) -> None:
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """A new name survives a power cut only once its folder is on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _older(folder: Path, before: float) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < before:
                yield path
