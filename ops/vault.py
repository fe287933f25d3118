"""Secrets of the local platform: generated once, a file each, readable by this user only, handed on as `NAME_FILE`."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from libs.common import clock
from ops.secrets import register

FILE_MODE = 0o600
SECRET_BYTES = 32


class Vault:
    """The folder of secret files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        """Where the secret stands."""
        return self.folder / name

    def ensure(self, name: str, generate: Callable[[], str] | None = None) -> str:
        """The secret's value; generated and kept when it is new."""
        path = self.path(name)
        if not path.exists():
            self.write(name, (generate or random_secret)())
        return path.read_text(encoding="utf-8")

    def write(self, name: str, value: str) -> Path:
        """Keep a value under a name. The file appears whole or not at all; an equal value leaves it untouched."""
        path = self.path(name)
        if path.exists() and path.read_text(encoding="utf-8") == value:
            return path
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(value)
        known = path.read_text(encoding="utf-8") if path.exists() else ""
        draft.replace(path)
        if _secret_part(value) != _secret_part(known):
            register.note(self.folder, [name], clock.now())
        return path

    def remove(self, name: str) -> None:
        """Let a secret go."""
        self.path(name).unlink(missing_ok=True)
        register.forget(self.folder, [name])


def _secret_part(value: str) -> str:
    """Of an address its password, which stays the same when a port changes; of anything else the whole."""
    try:
        return urlsplit(value).password or value
    except ValueError:
        return value


def random_secret() -> str:
    """256 bits, URL-safe."""
    return secrets.token_urlsafe(SECRET_BYTES)
