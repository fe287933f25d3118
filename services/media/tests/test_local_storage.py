"""Bytes in a folder: whole or not at all, under keys of our own, for nobody else to read."""

import hashlib
import io
import os
import resource
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from libs.common import clock, ids
from libs.common.ids import new_id
from services.media.adapters.local import LocalStorage
from services.media.domain.addresses import Signer
from services.media.domain.ranges import FileSlice, Slice
from services.media.domain.storage import (
    CHUNK_BYTES,
    ContentOverrun,
    ContentShort,
    FileFacts,
    ObjectMissing,
    StorageFull,
    StorageKey,
)
from services.media.domain.transfers import Transfers

ORIGIN = "http://127.0.0.1:8080"


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "storage", ORIGIN, Signer("a secret only for this test, long enough"))


def new_key() -> StorageKey:
    return StorageKey(ids.random_token())


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_what_is_written_is_read_again(storage: LocalStorage, tmp_path: Path) -> None:
    key = new_key()
    receipt = storage.write(key, [b"Le Voyage ", b"dans la Lune"], 22)
    with storage.open(key) as file:
        assert file.read() == b"Le Voyage dans la Lune"
    assert receipt.size == 22
    assert receipt.sha256 == hashlib.sha256(b"Le Voyage dans la Lune").hexdigest()
    assert len(files(tmp_path)) == 1


def test_nobody_else_may_read_the_files(storage: LocalStorage, tmp_path: Path) -> None:
    storage.write(new_key(), [b"x"], 1)
    for path in tmp_path.joinpath("storage").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o600 if path.is_file() else 0o700)


def broken_line() -> Iterator[bytes]:
    yield b"12345"
    raise ConnectionResetError


@pytest.mark.parametrize(
    ("chunks", "error"),
    [([b"123"], ContentShort), ([b"1234567890", b"1"], ContentOverrun), (broken_line(), ConnectionResetError)],
)
def test_a_broken_upload_leaves_nothing_behind(
    storage: LocalStorage, tmp_path: Path, chunks: object, error: type[Exception]
) -> None:
    with pytest.raises(error):
        storage.write(new_key(), chunks, 10)  # type: ignore[arg-type]
    assert files(tmp_path) == []


def test_reading_stops_at_the_first_byte_too_many(storage: LocalStorage) -> None:
    asked = []

    def endless() -> Iterator[bytes]:
        while True:
            asked.append(1)
            yield b"x" * 4

    with pytest.raises(ContentOverrun):
        storage.write(new_key(), endless(), 10)
    assert len(asked) == 3


def test_a_key_is_never_written_twice(storage: LocalStorage) -> None:
    key = new_key()
    storage.write(key, [b"first"], 5)
    with pytest.raises(FileExistsError):
        storage.write(key, [b"again"], 5)
    with storage.open(key) as file:
        assert file.read() == b"first"


@pytest.mark.parametrize(
    "key", ["../../etc/passwd", "/etc/passwd", "a" * 42, "a" * 44, "a" * 42 + "/", "a" * 42 + "\n", "", ".." + "a" * 41]
)
def test_what_is_not_a_key_of_ours_is_never_a_path(storage: LocalStorage, key: str) -> None:
    for act in (storage.open, storage.delete, lambda bad: storage.write(bad, [b"x"], 1)):
        with pytest.raises(ValueError, match="not a storage key"):
            act(StorageKey(key))


def test_what_is_not_there_cannot_be_opened_and_need_not_be_deleted(storage: LocalStorage) -> None:
    key = new_key()
    storage.delete(key)
    with pytest.raises(ObjectMissing):
        storage.open(key)


def test_a_full_disk_is_said_and_leaves_nothing_behind(storage: LocalStorage, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(StorageFull) as refused:
            storage.write(new_key(), [b"x" * 4096, b"y" * 4096], 8192)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert refused.value.headers() == {"Retry-After": "60"}
    assert files(tmp_path) == []


def test_only_old_keys_are_idle_and_old_partial_files_go(storage: LocalStorage, tmp_path: Path) -> None:
    old, fresh = new_key(), new_key()
    for key in (old, fresh):
        storage.write(key, [b"x"], 1)
    partial = tmp_path / "storage" / "partial" / f"{new_key()}.abandoned"
    partial.write_bytes(b"half")
    long_ago = (clock.now() - timedelta(days=3)).timestamp()
    for path in (partial, tmp_path / "storage" / "objects" / old[:2] / old):
        os.utime(path, (long_ago, long_ago))
    assert list(storage.idle_since(clock.now() - timedelta(days=1))) == [old]
    assert not partial.exists()


def test_an_address_leads_through_the_gateway(storage: LocalStorage) -> None:
    facts = FileFacts(UUID(int=7), UUID(int=8), 3, "image/png", "../../a.png")
    address = storage.upload_address(facts, datetime(2030, 1, 1, tzinfo=UTC))
    assert address.url.startswith(f"{ORIGIN}/api/v1/uploads/{UUID(int=7)}/content?token=")
    assert (address.method, address.headers) == ("PUT", {"Content-Type": "image/png"})
    assert "a.png" not in address.url


def test_a_slice_is_read_in_bounded_pieces() -> None:
    data = bytes(range(256)) * 4096
    sliced = FileSlice(io.BytesIO(data), Slice(5, len(data) - 3, whole=False), Transfers(1).begin(new_id()))
    pieces = list(sliced)
    assert b"".join(pieces) == data[5:-3]
    assert max(map(len, pieces)) <= CHUNK_BYTES
