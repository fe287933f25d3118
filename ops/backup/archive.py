"""The inside of a backup: a tar stream that standard tools can open too.

    age -d -i IDENTITY NAME.age | tar -x && cat database/* | pg_restore …

The roles that the database names come first, since it cannot be restored where one of them is unknown. The database is cut
into parts, since nobody knows its length before it has been written; the manifest is the last entry, so that its presence says
that everything before it is there.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Final

from pydantic import Field, TypeAdapter, ValidationError

from ops.age import Damaged
from ops.backup.manifest import FileFacts, Manifest

PART_BYTES: Final = 8 << 20
"""Bytes of the database's dump in one entry, and in memory."""
ROLES, DATABASE, FILES, MANIFEST = "roles.json", "database/", "files/", "manifest.json"
FILE_MODE: Final = 0o600
_ROLES: Final = TypeAdapter(list[Annotated[str, Field(min_length=1, max_length=63)]])
"""Names of Postgres: 63 bytes at most."""
TAR_FORMAT: Final = tarfile.PAX_FORMAT


class Writer:
    """Writes a backup from front to back."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._tar = tarfile.open(fileobj=stream, mode="w|", format=TAR_FORMAT)  # noqa: SIM115 - `close` writes its end

    def roles(self, names: list[str]) -> None:
        """Take in the names of the roles that own something in the database or have rights on it."""
        self._add(ROLES, json.dumps(names).encode())

    def database(self, dump: IO[bytes]) -> int:
        """Take the dump in; returns its bytes."""
        total, number = 0, 0
        while part := dump.read(PART_BYTES):
            self._add(f"{DATABASE}{number:08}", part)
            total, number = total + len(part), number + 1
        return total

    def file(self, place: str, path: Path) -> FileFacts:
        """Take a file in. Raises FileNotFoundError when it has gone, before anything of it was written."""
        with path.open("rb") as source:
            entry = tarfile.TarInfo(FILES + place)
            entry.size, entry.mode = path.stat().st_size, FILE_MODE
            digest = _Digested(source)
            self._tar.addfile(entry, digest)
        return FileFacts(size=entry.size, sha256=digest.sha256)

    def close(self, manifest: Manifest) -> None:
        """Write the manifest and the end."""
        self._add(MANIFEST, manifest.model_dump_json(indent=1).encode())
        self._tar.close()

    def _add(self, name: str, content: bytes) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(content), FILE_MODE
        self._tar.addfile(entry, io.BytesIO(content))


class _Digested(io.RawIOBase):
    """A file that is read once, and its hash."""

    def __init__(self, source: IO[bytes]) -> None:
        super().__init__()
        self._source = source
        self._digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self._digest.update(data)
        return data

    @property
    def sha256(self) -> str:
        """Of what was read."""
        return self._digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Part:
    """One entry of a backup: the roles, a part of the database's dump, a file, or the manifest."""

    name: str
    size: int
    content: IO[bytes]


@contextmanager
def reading(stream: IO[bytes]) -> Iterator[Iterator[Part]]:
    """The parts of a backup in their order; each must be read before the next is asked for. Raises Damaged."""
    try:
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            yield _parts(tar)
    except tarfile.TarError as error:
        raise Damaged(f"The backup is not whole: {error}.") from error


def _parts(tar: tarfile.TarFile) -> Iterator[Part]:
    for entry in tar:
        content = tar.extractfile(entry)
        if content is None or not _expected(entry.name):
            raise Damaged(f"The backup holds {entry.name!r}, which no backup of ours does.")
        yield Part(entry.name, entry.size, content)


def _expected(name: str) -> bool:
    """Whether an entry may have this name: nothing that leads out of the folder it is restored into.

    `files//etc/passwd` does: what stands behind the folder's name is a path of its own. So a name has one spelling.
    """
    path = Path(name)
    return name in {ROLES, MANIFEST} or (name.startswith((DATABASE, FILES)) and ".." not in path.parts and str(path) == name)


def read_roles(content: bytes) -> list[str]:
    """Raises Damaged for what is no list of names."""
    try:
        return _ROLES.validate_json(content)
    except ValidationError as error:
        raise Damaged(f"The roles cannot be read: {error.error_count()} faults.") from None


def read_manifest(content: bytes) -> Manifest:
    """Raises Damaged for what is no manifest, or one of a later format."""
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        raise Damaged(f"The manifest cannot be read; a later version may have made it: {error.error_count()} faults.") from None
