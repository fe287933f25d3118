"""The gateway's folder: releases (one compiled configuration each), the sockets, and the state that outlives both.

releases/<digest>/haproxy.cfg, maps/, keys/, errors/     current → releases/<digest>
run/admin.sock, master.sock, pages.sock, control.sock, measures.sock, lines.sock, peers.sock
state/jwks.json, revoked_sessions.map, not_before.map, withdrawn_keys.map, maintenance.map, servers.state
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from threading import Event

from libs.common import clock
from libs.common.telemetry import logger

RELEASES_KEPT = 3
STATE_FILES = ("revoked_sessions.map", "not_before.map", "withdrawn_keys.map", "maintenance.map", "servers.state")
LOCK_POLL_SECONDS = 0.01

log = logger(__name__)


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
        for path in (self.state / name for name in STATE_FILES):
            if not path.exists():  # touching it would look like a change
                path.touch(mode=0o600)

    @contextmanager
    def locked(self, name: str = "lock", seconds: float | None = None) -> Iterator[None]:
        """Held by one at a time, of all threads and processes that share the folder; by default while a release is made.

        Waits for ever, or for so many seconds and then goes on without: for what must not depend on a process that hangs.
        """
        with (self.root / name).open("w") as file:
            if seconds is None:
                fcntl.flock(file, fcntl.LOCK_EX)
            elif not _lock_within(file.fileno(), seconds):
                log.error("gateway.lock.ignored", lock=name, waited_seconds=seconds)
            yield

    def write_state(self, name: str, content: bytes) -> None:
        """Replace one state file."""
        _write(self.state / name, content)

    def read_state(self, name: str) -> bytes:
        """One state file; empty when it was never written."""
        path = self.state / name
        return path.read_bytes() if path.exists() else b""

    def append_state(self, name: str, line: bytes) -> None:
        """Add a line to one state file."""
        descriptor = os.open(self.state / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def drop_state(self, name: str) -> None:
        """Forget one state file."""
        (self.state / name).unlink(missing_ok=True)

    def stamp(self, name: str) -> object:
        """Changes whenever one state file is replaced."""
        path = self.state / name
        if not path.exists():
            return None
        facts = path.stat()
        return facts.st_ino, facts.st_mtime_ns, facts.st_size

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


def _lock_within(descriptor: int, seconds: float) -> bool:
    deadline, pause = clock.monotonic() + seconds, Event()
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if clock.monotonic() > deadline:
                return False
            pause.wait(LOCK_POLL_SECONDS)
        else:
            return True


def _write(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
