"""Reloads and changes of scale under load: nobody notices."""

import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench.bus.stage import await_
from bench.figures import Figure
from bench.gateway.load import Load, Outcome, write_requests
from bench.gateway.notify import Notify, Replica
from bench.gateway.stage import Door
from bench.gateway.throughput import COUNT, PEOPLE

RELOADS = 5
SCALES = (2, 3, 1)
"""Replicas after each change of scale; there is one before."""
RELOADED = f"{RELOADS} reloads under load"
SCALED = f"{len(SCALES)} changes of scale under load"


def measure(door: Door, real: Notify, folder: Path, seconds: float) -> list[Figure]:
    """Requests that failed while five configurations and three scales followed each other."""
    requests = write_requests(folder / "changes", ((COUNT, token) for token in door.tokens(PEOPLE)))
    before = door.targets
    # Compiling would share a processor with a load that leaves nothing of it, and take as long as the load.
    door.control.run_anywhere()
    with ExitStack() as stack:
        replicas = _Replicas(door, real, stack)
        replicas.scale(1)
        calm = seconds / 5
        reloaded = _under_load(door, requests, calm, [partial(_reload, door)] * RELOADS)
        scaled = _under_load(door, requests, calm, [partial(replicas.scale, count) for count in SCALES])
        door.send_to(before)
    return [
        *_figures(RELOADED, reloaded),
        *_figures(SCALED, scaled),
    ]


def _figures(title: str, outcome: Outcome) -> list[Figure]:
    statuses = ", ".join(f"{number} × {status}" for status, number in sorted(outcome.statuses.items()))
    broken = ", ".join(f"{number} × {what}" for what, number in outcome.broken.items()) or "none"
    return [
        Figure(f"{title}: answered ({statuses})", outcome.requests, "requests"),
        Figure(f"{title}: failed (connections broken: {broken})", outcome.failed, "requests"),
    ]


def _under_load(door: Door, requests: Path, calm_seconds: float, changes: list[Callable[[], None]]) -> Outcome:
    load, pause = Load(door.port, requests, count=True), threading.Event()
    try:
        for change in changes:
            pause.wait(calm_seconds)
            change()
        pause.wait(calm_seconds)
        return load.outcome()
    except BaseException:
        load.break_off()
        raise


def _reload(door: Door) -> None:
    """Another worker takes over; what is in force stays the same."""
    before = door.admin.worker()
    door.admin.command("reload", "master.sock")
    await_("another worker", lambda: door.admin.worker() not in {None, before})


class _Replicas:
    """Replicas of notify come and go as `lumiere scale` lets them: the gateway first lets go of those that leave."""

    def __init__(self, door: Door, real: Notify, stack: ExitStack) -> None:
        self._door = door
        self._real = real
        self._stack = stack
        self._running: list[tuple[Replica, ExitStack]] = []

    def scale(self, count: int) -> None:
        """Returns when the gateway sends requests to exactly so many."""
        while len(self._running) < count:
            place = self._stack.enter_context(ExitStack())
            self._running.append((place.enter_context(self._real.replica("web")), place))
        self._running, leaving = self._running[:count], self._running[count:]
        self._door.send_to(self._door.with_notify("web", [replica.address for replica, _ in self._running]))
        for _, place in leaving:
            place.close()
