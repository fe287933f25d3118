"""Processes that a killed supervisor left behind, recognised by a variable that only supervised processes carry."""

import os
import signal
from collections.abc import Collection
from pathlib import Path
from time import monotonic, sleep

# Set in every supervised process and nowhere else.
MARKER = "LUMIERE_SUPERVISED"
GRACE_SECONDS = 10
POLL_SECONDS = 0.1


def leftovers(state: Path, spare: Collection[int] = ()) -> list[int]:
    """Ids of running processes that belong to the platform with this state folder."""
    wanted = f"{MARKER}={state}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        if pid not in spare and pid != os.getpid() and wanted in _environment(folder):
            found.append(pid)
    return found


def _environment(folder: Path) -> list[bytes]:
    try:
        return (folder / "environ").read_bytes().split(b"\0")
    except OSError:
        return []  # gone meanwhile, or somebody else's


def end_leftovers(state: Path, spare: Collection[int] = ()) -> int:
    """Ask them to end, wait, and kill those that do not. Returns how many there were."""
    first = leftovers(state, spare)
    _signal(first, signal.SIGTERM)
    deadline = monotonic() + GRACE_SECONDS
    while remaining := leftovers(state, spare):
        if monotonic() > deadline:
            _signal(remaining, signal.SIGKILL)
        sleep(POLL_SECONDS)
    return len(first)


def _signal(pids: Collection[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
