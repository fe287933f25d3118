"""Processes that are measured: each on the processors that it is told, and what it and its children used of them."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.bus.stage import await_
from bench.figures import NothingMeasured
from libs.common.config import process_environment
from ops.settings import ROOT

LOG = ROOT / ".local" / "bench" / "log"
LOOPBACK = "127.0.0.1"
STOP_SECONDS = 10.0
NANOSECONDS = 1e9
KIB_A_MB = 1_024
PROC = Path("/proc")


class NotInstalled(NothingMeasured):
    """A program to compare with is not here; the message says how it comes."""


class Running:
    """A process and its children."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """The process that was started."""
        return self._process.pid

    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def cpu_seconds(self) -> float:
        """Processor time of all that live now, since each began."""
        return sum(_cpu_nanoseconds(pid) for pid in tree(self.pid)) / NANOSECONDS

    def memory_mb(self) -> float:
        """Resident memory of all, pages that they share counted once for each."""
        return sum(_resident_kib(pid) for pid in tree(self.pid)) / KIB_A_MB

    def run_anywhere(self) -> None:
        """Let all its threads, and what it starts from now on, use every processor."""
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), cores())

    def stop(self) -> None:
        """Ask it to stop, insist after STOP_SECONDS; nothing of it is left."""
        everybody = tree(self.pid)
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pid in everybody[1:]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def cores() -> tuple[int, int]:
    """One processor for what is measured, another for who asks and answers. Raises NothingMeasured when there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise NothingMeasured("The gateway is measured on a processor of its own, and this machine has one only.")
    return usable[0], usable[1]


def program(name: str, package: str) -> str:
    """Where a program is. Raises NotInstalled that says what to install."""
    found = shutil.which(name) or shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin:/usr/bin")
    if not found:
        raise NotInstalled(f"not installed: apt-get install {package}")
    return found


@contextmanager
def running(
    command: Sequence[str],
    core: int | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    output: Path = LOG,
) -> Iterator[Running]:
    """A process, on one processor when that is named, and gone afterwards. It goes too when this process dies."""
    pinned = ["taskset", "--cpu-list", str(core)] if core is not None else []
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("ab") as log:
        process = subprocess.Popen(
            [program("setpriv", "util-linux"), "--pdeathsig", "TERM", *pinned, *command],
            cwd=cwd,
            env=process_environment() | dict(environ or {}),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    found = Running(process)
    try:
        yield found
    finally:
        found.stop()


def await_answers(port: int, what: str, process: Running, seconds: float = 30.0) -> None:
    """Wait until somebody takes connections there. Raises NothingMeasured when nobody does, or the process ended."""

    def answers() -> bool:
        if not process.alive():
            raise NothingMeasured(f"{what} ended as soon as it began; what it said is in .local/bench/log.")
        with socket.socket() as probe:
            return probe.connect_ex((LOOPBACK, port)) == 0

    await_(what, answers, seconds)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def tree(root: int) -> list[int]:
    """A process and all its descendants that live now, itself first."""
    parents: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdecimal():
            parents.setdefault(_parent(entry), []).append(int(entry.name))
    found, waiting = list[int](), [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += parents.get(pid, [])
    return found


def _parent(entry: Path) -> int:
    # The name in brackets may hold spaces: what follows the last bracket counts (proc(5)).
    return _read(entry / "stat", lambda text: int(text.rpartition(")")[2].split()[1]), missing=-1)


def _cpu_nanoseconds(pid: int) -> int:
    tasks = list((PROC / str(pid) / "task").glob("*/schedstat")) if (PROC / str(pid)).exists() else []
    return sum(_read(each, lambda text: int(text.split()[0]), missing=0) for each in tasks)


def _resident_kib(pid: int) -> int:
    def resident(text: str) -> int:
        return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS:")), 0)

    return _read(PROC / str(pid) / "status", resident, missing=0)


def _read(path: Path, take: Callable[[str], int], *, missing: int) -> int:
    try:
        return take(path.read_text(encoding="utf-8", errors="replace"))
    except (FileNotFoundError, ProcessLookupError):
        return missing
