"""Look into every layer of an image for what must never be in one: keys, files and values of secrets, ways to become root.

A file that a later layer removes still travels with the earlier one, so layers are read one by one, from `docker save`.
"""

import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Final

from ops.errors import OperationError
from ops.images.engine import Built

FILE_BYTES_MAX: Final = 32 * 1024 * 1024
"""Larger files are lists and libraries; they are read only so far."""
VALUE_BYTES_MIN: Final = 8
"""Shorter values are words that stand everywhere."""
_KEY: Final = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----\s[A-Za-z0-9+/=\s]{56,}-----END")
_NAMES: Final = re.compile(
    r"(?:^|/)(?:\.env(?:\.[^/]*)?|\.git|\.netrc|\.pgpass|\.docker|id_(?:rsa|ed25519|ecdsa)|[^/]+\.(?:key|pfx|p12|jks))$"
)
_FOLDERS: Final = ("run/secrets/", "opt/lumiere/deploy/")
_BECOMES_ROOT: Final = 0o6000
_PROGRAM: Final = b"\x7fELF"


@dataclass(frozen=True)
class Found:
    """Something that must not be there, and the layer that brings it."""

    layer: str
    path: str
    what: str


def scan(built: Built, values: Collection[bytes] = ()) -> list[Found]:
    """Everything found. `values` are secrets themselves; they are never repeated.

    Raises OperationError when the engine does not give the image out.
    """
    with _saved(built) as layers:
        return in_layers(layers, values)


def in_layers(layers: Iterable[tuple[str, IO[bytes]]], values: Collection[bytes] = ()) -> list[Found]:
    """What layers, named tars in their order, must not hold. A right counts as the last layer that has the file gives it."""
    wanted = [value for value in values if len(value) >= VALUE_BYTES_MIN]
    found: list[Found] = []
    rights: dict[str, Found | None] = {}
    for layer, stream in layers:
        with tarfile.open(fileobj=stream, mode="r|*") as archive:
            for member in archive:
                path = str(PurePosixPath(member.name))
                becomes = member.isfile() and member.mode & _BECOMES_ROOT
                rights[path] = Found(layer, path, "runs with the rights of its owner or group") if becomes else None
                reader = archive.extractfile(member) if member.isfile() else None
                content = reader.read(FILE_BYTES_MAX) if reader else b""
                found += [Found(layer, path, what) for what in _faults(path, content, wanted)]
    return found + [each for each in rights.values() if each]


def _faults(path: str, content: bytes, values: Collection[bytes]) -> Iterator[str]:
    if _NAMES.search(path) or path.startswith(_FOLDERS):
        yield "a file that secrets stand in"
    # Libraries of cryptography carry keys for their own self-tests.
    if not content.startswith(_PROGRAM) and _KEY.search(content):
        yield "a private key"
    if any(value in content for value in values):
        yield "the value of a secret"


@contextmanager
def _saved(built: Built) -> Iterator[Iterator[tuple[str, IO[bytes]]]]:
    """The layers of an image in their order, each with its digest."""
    with tempfile.TemporaryFile() as kept:
        done = subprocess.run(
            [shutil.which("docker") or "docker", "save", built.reference], stdout=kept, stderr=subprocess.PIPE, check=False
        )
        if done.returncode != 0:
            raise OperationError(f"docker save {built.reference} failed.", details=done.stderr.decode(errors="replace").strip())
        kept.seek(0)
        with tarfile.open(fileobj=kept) as archive:
            yield _layers(archive)


def _layers(archive: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    read: Callable[[str], IO[bytes] | None] = archive.extractfile
    listed = read("manifest.json")
    if listed is None:
        raise OperationError("The engine gave out an image without a manifest.")
    manifest = json.loads(listed.read())[0]
    configuration = read(manifest["Config"])
    digests = json.loads(configuration.read())["rootfs"]["diff_ids"] if configuration else manifest["Layers"]
    for digest, name in zip(digests, manifest["Layers"], strict=True):
        if stream := read(name):
            yield digest, stream
