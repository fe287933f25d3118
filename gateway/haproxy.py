"""The running HAProxy: its command line, its sockets, its reload."""

import csv
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext

from gateway import servers
from gateway.folder import Folder
from gateway.sockets import short_path
from libs.common import clock

SOCKET_TIMEOUT_SECONDS = 2
RELOAD_SECONDS = 5
LOCK_SECONDS = 2 * RELOAD_SECONDS
"""A process that hangs while it pushes or reloads keeps others from it for so long and no longer."""
ANSWER_MAX = 64 * 1024 * 1024
LINES_PER_COMMAND = 200
POOLS = "-dMglobal,no-tag,no-poison"
"""Memory that a thread does not keep stays with the process: by default it goes back to the system, with each request anew.
The marks for whoever debugs HAProxy itself are left out (management guide, section 3)."""
CONFIGURATION = "haproxy.cfg"


class HaproxyError(Exception):
    """HAProxy refused a configuration or a command."""


class HaproxyAway(HaproxyError):
    """HAProxy does not run, or does not answer on its socket."""


def executable() -> str:
    """Where HAProxy is. Raises HaproxyError that says what to install."""
    found = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/local/sbin:/usr/sbin:/sbin")
    if not found:
        raise HaproxyError("haproxy is not installed; on Debian and Ubuntu: apt-get install haproxy")
    return found


def command_line(folder: Folder) -> list[str]:
    """HAProxy in the foreground: a master that survives reloads, and its worker."""
    return [
        executable(),
        "-W",
        POOLS,
        "-S",
        "unix@../../run/master.sock,mode,600,level,admin",
        "-C",
        str(folder.current),
        "-f",
        CONFIGURATION,
    ]


def validate(folder: Folder, release: str) -> None:
    """Let HAProxy read a release. Raises HaproxyError with what it says."""
    command = [executable(), "-c", "-C", str(folder.releases / release), "-f", CONFIGURATION]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise HaproxyError(f"haproxy refuses the compiled configuration:\n{done.stderr.strip()}")


class Haproxy:
    """Commands to the running HAProxy.

    Pushes and reloads exclude each other, also those of other processes, so that no entry falls between two workers.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._lock = threading.RLock()
        self._depth = 0

    def command(self, text: str, name: str = "admin.sock") -> str:
        """One command on a socket of ours. Raises HaproxyAway."""
        try:
            with short_path(self._folder.run / name) as path, socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(SOCKET_TIMEOUT_SECONDS)
                connection.connect(path)
                connection.sendall(f"{text}\n".encode())
                return _read(connection)
        except OSError as error:
            raise HaproxyAway(f"haproxy does not answer on {name}: {error.strerror or error}") from None

    def worker(self) -> int | None:
        """The process id of the worker that takes new connections; None when there is none."""
        try:
            found = re.search(r"^Pid: (\d+)$", self.command("show info"), re.MULTILINE)
        except HaproxyAway:
            return None
        return int(found[1]) if found else None

    def unknown_keys(self) -> int:
        """How often, lately, a token named a key that nobody here knows. Raises HaproxyAway."""
        found = re.search(r"http_req_cnt=(\d+)", self.command("show table unknown_keys"))
        return int(found[1]) if found else 0

    def statistics(self) -> list[dict[str, str]]:
        """HAProxy's figures, a row a proxy or server (management guide, section 9.1). Raises HaproxyAway."""
        return list(csv.DictReader(self.command("show stat").removeprefix("# ").splitlines()))

    def replicas(self) -> dict[str, dict[str, str]]:
        """Backend → replica → its state: UP or DOWN as the health checks see it, or EJECTED. Raises HaproxyAway."""
        found: dict[str, dict[str, str]] = {}
        for row in self.statistics():
            if row["svname"] not in {"FRONTEND", "BACKEND"} and row["check_status"]:
                found.setdefault(row["pxname"], {})[row["svname"]] = row["status"]
        return {backend: servers.states(states) for backend, states in found.items()}

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """Nobody else pushes or reloads meanwhile."""
        with self._lock:
            self._depth += 1
            try:
                with self._folder.locked("haproxy.lock", LOCK_SECONDS) if self._depth == 1 else nullcontext():
                    yield
            finally:
                self._depth -= 1

    def entries(self, file: str) -> dict[str, str]:
        """A map of the running worker. Raises HaproxyAway, HaproxyError."""
        answer = self.command(f"show map {file}")
        found = [re.fullmatch(r"0x[0-9a-f]+ (\S+) (.*)", line) for line in answer.splitlines() if line]
        if not all(found):
            raise HaproxyError(f"show map {file}: {answer.strip()}")
        return {each[1]: each[2] for each in found if each}

    def add(self, file: str, entries: Mapping[str, str]) -> None:
        """Add entries to a map of the running worker. Raises HaproxyAway, HaproxyError."""
        with self.exclusively():
            self._load(file, "", list(entries.items()))

    def replace(self, file: str, entries: Mapping[str, str]) -> None:
        """Replace a whole map at once. Raises HaproxyAway, HaproxyError."""
        with self.exclusively():
            answer = self.command(f"prepare map {file}")
            version = re.search(r"New version created: (\d+)", answer)
            if not version:
                raise HaproxyError(f"prepare map {file}: {answer.strip()}")
            self._load(file, f"@{version[1]} ", list(entries.items()))
            self._expect_silence(f"commit map @{version[1]} {file}")

    def _load(self, file: str, version: str, entries: Sequence[tuple[str, str]]) -> None:
        for start in range(0, len(entries), LINES_PER_COMMAND):
            lines = "".join(f"{key} {value}\n" for key, value in entries[start : start + LINES_PER_COMMAND])
            self._expect_silence(f"add map {version}{file} <<\n{lines}")

    def _expect_silence(self, command: str) -> None:
        answer = self.command(command).strip()
        if answer:
            raise HaproxyError(f"{command.splitlines()[0]}: {answer}")

    @contextmanager
    def reloading(self, configuration: str) -> Iterator[None]:
        """Around the switch to another release with this configuration: reload on leaving, return once the new worker answers.

        Raises HaproxyError.
        """
        with self.exclusively():
            before = self.worker()
            if before is not None:
                state = servers.joining(configuration, self.command("show servers state"))
                self._folder.write_state("servers.state", state.encode())
            yield
            if before is not None:
                self.command("reload", "master.sock")
                self._await_other_worker(before)

    def _await_other_worker(self, before: int) -> None:
        deadline = clock.monotonic() + RELOAD_SECONDS
        pause = threading.Event()
        while clock.monotonic() < deadline:
            if self.worker() not in {None, before}:
                return
            pause.wait(0.02)
        raise HaproxyError("haproxy did not start a new worker; the old one serves on")


def _read(connection: socket.socket) -> str:
    parts: list[bytes] = []
    size = 0
    while part := connection.recv(65_536):
        parts.append(part)
        size += len(part)
        if size > ANSWER_MAX:
            raise HaproxyError("haproxy's answer is longer than it can be")
    return b"".join(parts).decode("utf-8", "replace")
