"""Secrets in an editor: as a file in memory that only this user may read, and that is wiped afterwards."""

import os
import secrets
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from types import FrameType
from typing import Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import LiteralScalarString

from libs.common.config import process_environment
from ops.errors import OperationError

MEMORY: Final = (Path("/dev/shm"), Path("/run/user"))  # noqa: S108 - memory, and the file in it is of mode 0600 and made anew
EDITOR: Final = "vi"
ENDING: Final = (signal.SIGHUP, signal.SIGTERM)
NOTE: Final = (
    "# Name: value. What is unchanged stays sealed as it is; a line that is taken out is a secret that is taken out.\n"
)


def edited(values: Mapping[str, str]) -> dict[str, str]:
    """What an editor makes of these values. Raises OperationError when it fails or leaves something that is no such file."""
    with _in_memory(_written(values)) as path:
        _edit(path)
        text = path.read_text(encoding="utf-8")
    return _read(text)


def _edit(path: Path) -> None:
    environ = process_environment()
    editor = environ.get("VISUAL") or environ.get("EDITOR") or EDITOR
    try:
        done = subprocess.run([*shlex.split(editor), str(path)], check=False)
    except OSError as error:
        raise OperationError(f"The editor {editor} cannot be started ({error.strerror}). Set EDITOR.") from None
    if done.returncode != 0:
        raise OperationError(f"The editor {editor} failed (exit code {done.returncode}); nothing was changed.")


@contextmanager
def _in_memory(text: str) -> Iterator[Path]:
    """A file that no disk ever holds; overwritten and removed at the end, with what the editor left beside it."""
    base = next((folder for folder in MEMORY if folder.is_dir() and os.access(folder, os.W_OK) and _is_memory(folder)), None)
    if base is None:
        raise OperationError("There is no memory file system (/dev/shm) here: on a disk, secrets would leave traces.")
    folder = base / f"lumiere-{secrets.token_hex(8)}"
    folder.mkdir(mode=0o700)
    path = folder / "secrets.yaml"
    with _ending_in_order():
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            yield path
        finally:
            _wipe_folder(folder)


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """A terminal that closes, or an operator's `kill`, unwinds what is open instead of leaving it behind."""

    def end(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = {number: signal.signal(number, end) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_memory(folder: Path) -> bool:
    mounts = [line.split() for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    return any(fields[1] == str(folder) and fields[2] in {"tmpfs", "ramfs"} for fields in mounts)


def _wipe_folder(folder: Path) -> None:
    """Of what editors leave: files in folders of their own, and locks that are links to nothing."""
    for place, folders, names in os.walk(folder, topdown=False):
        for path in (Path(place, name) for name in names):
            if path.is_file() and not path.is_symlink():
                _overwrite(path)
            path.unlink()
        for path in (Path(place, name) for name in folders):
            path.unlink() if path.is_symlink() else path.rmdir()
    folder.rmdir()


def _overwrite(path: Path) -> None:
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
        file.flush()
        os.fsync(file.fileno())


def _written(values: Mapping[str, str]) -> str:
    stream = StringIO()
    shown = {name: LiteralScalarString(value) if "\n" in value else value for name, value in values.items()}
    yaml = YAML()
    yaml.width = 1 << 20
    yaml.dump(shown, stream)
    return NOTE + (stream.getvalue() if shown else "")


def _read(text: str) -> dict[str, str]:
    try:
        found = YAML(typ="safe").load(text) or {}
    except YAMLError:
        raise OperationError("What the editor left is not `NAME: value` in YAML; nothing was changed.") from None
    if not isinstance(found, dict) or not all(isinstance(each, str) for pair in found.items() for each in pair):
        raise OperationError(
            "Every line must be NAME: value, with quotes around what looks like a number; nothing was changed."
        )
    return found
