"""The gateway's folder: releases (one compiled configuration each), the sockets, and the state that outlives both.

releases/<digest>/haproxy.cfg, maps/, keys/, errors/     current → releases/<digest>
run/admin.sock, master.sock, pages.sock, peers.sock
state/jwks.json, withdrawn_keys.map, revoked_sessions.map, not_before.map, servers.state
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

RELEASES_KEPT = 3
STATE_FILES = ("revoked_sessions.map", "not_before.map", "withdrawn_keys.map", "servers.state")


class Folder:
    """Everything the gateway keeps on disk, readable by its own user only. Files appear whole or not at all."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.releases = self.root / "releases"
        self.run = self.root / "run"
        self.state = self.root / "state"
        self.current = self.root / "current"
        for folder in (self.root, self.releases, self.run, self.state):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in STATE_FILES:
            (self.state / name).touch(mode=0o600)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Held while a release is made: the two processes of the gateway share the folder."""
        with (self.root / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def write_state(self, name: str, content: bytes) -> None:
        """Replace one state file."""
        _write(self.state / name, content)

    def read_state(self, name: str) -> bytes:
        """One state file; empty when it was never written."""
        path = self.state / name
        return path.read_bytes() if path.exists() else b""

    def stage(self, files: Mapping[str, bytes]) -> str:
        """Write a release beside the current one and return its name, which is the digest of its content."""
        digest = sha256()
        for name, content in sorted(files.items()):
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
        release = digest.hexdigest()[:32]
        for name, content in files.items():
            path = self.releases / release / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(path, content)
        return release

    def current_release(self) -> str | None:
        """The name of the release in force."""
        return self.current.readlink().name if self.current.is_symlink() else None

    def promote(self, release: str) -> None:
        """Put a release in force for the next start or reload, and forget old ones."""
        draft = self.root / "current.draft"
        draft.unlink(missing_ok=True)
        draft.symlink_to(Path("releases") / release)
        draft.replace(self.current)
        os.utime(self.releases / release)
        old = sorted(self.releases.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)[RELEASES_KEPT:]
        for path in old:
            shutil.rmtree(path, ignore_errors=True)

    def discard(self, release: str) -> None:
        """Forget a release that was refused."""
        if release != self.current_release():
            shutil.rmtree(self.releases / release, ignore_errors=True)


def _write(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
