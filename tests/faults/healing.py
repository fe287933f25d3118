"""Processes of the platform by name: killing them, and waiting until all is well again."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from ops.demo.client import wait_for
from ops.errors import OperationError
from ops.testing import LivePlatform

HEALED_WITHIN_SECONDS = 60.0
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Killed:
    """A process that was ended with SIGKILL, and the one that took its place."""

    name: str
    old_pid: int
    new_pid: int


def pids(platform: LivePlatform) -> dict[str, int]:
    """The process ids of everything that `make status` names."""
    return {each.program.name: each.state.pid for each in platform.operations.conditions() if each.state and each.state.pid}


def descendants(pid: int) -> set[int]:
    """Every process below this one (proc(5))."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return set()
    return {int(child) for child in children}.union(*(descendants(int(child)) for child in children))


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that ended and was not collected yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


def kill(platform: LivePlatform, name: str) -> int:
    """Kill -9; returns the id of the process that is no more."""
    pid = pids(platform)[name]
    os.kill(pid, signal.SIGKILL)
    return pid


def wait_until_healed(platform: LivePlatform, name: str, old_pid: int) -> Killed:
    """Until another process stands in the place of the killed one and every process is healthy."""
    new_pid = wait_for(f"another {name}", lambda: _successor(platform, name, old_pid), HEALED_WITHIN_SECONDS, POLL_SECONDS)
    wait_for("a healthy platform", lambda: healthy(platform), HEALED_WITHIN_SECONDS, POLL_SECONDS)
    return Killed(name, old_pid, new_pid)


def healthy(platform: LivePlatform) -> bool:
    """Whether everything that `make status` names is healthy."""
    conditions = platform.operations.conditions()
    return bool(conditions) and all(each.healthy for each in conditions)


def _successor(platform: LivePlatform, name: str, old_pid: int) -> int | None:
    try:
        pid = pids(platform).get(name)
    except OperationError:
        return None
    return pid if pid and pid != old_pid else None
