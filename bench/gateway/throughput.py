"""Requests a second and processor time a request: the gateway, HAProxy that only carries, and other gateways, in turns."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Protocol

from bench.bus.stage import await_
from bench.figures import Figure, NothingMeasured, against, limit
from bench.gateway.load import Load, Outcome, turn, write_requests
from bench.gateway.peers import FAST, FLASK, Peer, bare_haproxy, place, started
from bench.gateway.processes import Running, tree
from bench.gateway.stage import Door, require
from bench.timing import MICROSECONDS, ROUNDS
from libs.common.auth import Role
from libs.common.ids import new_id

PEOPLE = 300
"""Tokens that are used again and again."""
FRESH_A_SECOND = 12_000
"""Tokens that are made for each second of the load that shows each once; more than the gateway can verify on a processor."""
PATIENCE_SECONDS = 5.0
WARM_UP_SECONDS = 1.0
MASTER_AND_WORKER = 2
USERS = "/api/v1/admin/users/{id}"
COUNT = "/api/v1/notifications/count"
BARE = "bare HAProxy: carries, checks nothing"
AGAIN = "the gateway, tokens seen before"
FRESH = "the gateway, each token new"
CONTROL = "the gateway's control process, which counts each request"
MEMORY, PYTHON_MEMORY = "HAProxy of the gateway, after the load", "its control process (Python)"


class Measured(Protocol):
    """What is asked, and what that costs."""

    @property
    def port(self) -> int:
        """Where it listens."""

    def cpu_seconds(self) -> float:
        """Processor time until now."""


Everybody = dict[str | Peer, Measured]


@dataclass(frozen=True)
class _Gateway:
    port: int
    haproxy: Running
    control: Running

    def cpu_seconds(self) -> float:
        """Of HAProxy, its master included."""
        return self.haproxy.cpu_seconds()


@dataclass
class Turns:
    """What one gateway did in each turn."""

    rates: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    """Microseconds a request of what works beside it, and that no request waits for."""

    @property
    def rate(self) -> float:
        """Requests a second, the median."""
        return median(self.rates)

    @property
    def cost(self) -> float:
        """Microseconds of processor time a request, the median."""
        return median(self.costs)


def measure(door: Door, service: str, real: str, folder: Path, seconds: float) -> list[Figure]:
    """Beside a service that answers at once, and beside a real one."""
    people = door.tokens(PEOPLE, Role.ADMIN)
    again = write_requests(folder / "again", ((USERS.format(id=new_id()), token) for token in people))
    counts = write_requests(folder / "counts", ((COUNT, token) for token in people))
    figures = []
    with _everybody(door, service) as (everybody, absent):
        _require_the_same_check(door, everybody)
        turns = _turns(door, everybody, again, folder, seconds)
        figures += _figures(turns, absent)
    door.send_to(door.with_notify("web", [real]))
    with _everybody(door, real) as (everybody, _):
        figures += _with_a_real_service(door, everybody, counts, seconds)
    return figures


@contextmanager
def _everybody(door: Door, service: str) -> Iterator[tuple[Everybody, dict[Peer, str]]]:
    """All that run, and why the others do not."""
    with place(door, service) as here, bare_haproxy(here) as bare, started(here) as peers:
        found: Everybody = {BARE: bare, AGAIN: _Gateway(door.port, door.haproxy, door.control)}
        found |= {peer: each for peer, each in peers.items() if not isinstance(each, str)}
        yield found, {peer: each for peer, each in peers.items() if isinstance(each, str)}


def _require_the_same_check(door: Door, everybody: Everybody) -> None:
    """All who claim to check do: a figure of one that lets everybody pass would mean nothing."""
    (admin,), (other,) = door.tokens(1, Role.ADMIN), door.tokens(1, Role.ARTIST)
    for name, measured in everybody.items():
        address = USERS.format(id=new_id())
        require(measured.port, address, admin)
        if name != BARE:
            require(measured.port, address, None, 401)
            require(measured.port, address, other, 403)


def _turns(door: Door, everybody: Everybody, again: Path, folder: Path, seconds: float) -> dict[str | Peer, Turns]:
    turns: dict[str | Peer, Turns] = {name: Turns() for name in [*everybody, FRESH]}
    _meet_everybody(everybody, again)
    for _ in range(ROUNDS):
        for name, measured in everybody.items():
            _take(turns[name], measured, again, turn(seconds))
        _take_fresh(turns[FRESH], door, everybody[AGAIN], folder, turn(seconds))
    return turns


def _meet_everybody(everybody: Everybody, requests: Path) -> None:
    """Let each see the tokens once: all remember them, and what is measured is tokens seen before."""
    for measured in everybody.values():
        Load(measured.port, requests).after(WARM_UP_SECONDS)


def _take(turns: Turns, measured: Measured, requests: Path, seconds: float) -> Outcome:
    control = measured.control if isinstance(measured, _Gateway) else None
    before, beside = measured.cpu_seconds(), control.cpu_seconds() if control else 0.0
    outcome = Load(measured.port, requests).after(seconds)
    used = measured.cpu_seconds() - before
    if not outcome.requests and not outcome.failed and seconds < PATIENCE_SECONDS:
        return _take(turns, measured, requests, 2 * seconds)  # on a busy machine a turn may pass before it begins
    if outcome.failed or not outcome.requests:
        raise NothingMeasured(f"Port {measured.port}: of {outcome.requests} requests {outcome.failed} failed: {outcome}")
    turns.rates.append(outcome.requests / outcome.seconds)
    turns.costs.append(used / outcome.requests * MICROSECONDS)
    if control:
        turns.beside.append((control.cpu_seconds() - beside) / outcome.requests * MICROSECONDS)
    return outcome


def _take_fresh(turns: Turns, door: Door, measured: Measured, folder: Path, seconds: float) -> None:
    tokens = door.tokens(int(FRESH_A_SECOND * seconds), Role.ADMIN)
    requests = write_requests(folder / "fresh", ((USERS.format(id=new_id()), token) for token in tokens))
    outcome = _take(turns, measured, requests, seconds)
    if outcome.requests > len(tokens):
        raise NothingMeasured(f"Only {len(tokens)} tokens were made for {outcome.requests} requests.")


def _figures(turns: dict[str | Peer, Turns], absent: dict[Peer, str]) -> list[Figure]:
    figures = []
    rate = limit(f"{BARE}; at once", turns[BARE].rate, "requests/s")
    figures += [rate, *(against(rate, f"{_title(name)}; at once", each.rate) for name, each in turns.items() if name != BARE)]
    figures += [Figure(f"{peer.name}: {why}", 0.0, "requests/s") for peer, why in absent.items()]
    for peer in (FLASK, FAST):
        if peer in turns:
            base = next(each for each in figures if each.name == f"{_title(peer)}; at once")
            figures.append(against(base, f"{AGAIN}; beside {peer.name}", turns[AGAIN].rate))
    cost = limit(f"{BARE}; cost", turns[BARE].cost, "CPU µs a request")
    figures += [cost, *(against(cost, f"{_title(name)}; cost", each.cost) for name, each in turns.items() if name != BARE)]
    return [*figures, against(cost, f"{CONTROL}; cost", median(turns[AGAIN].beside))]


def _with_a_real_service(door: Door, everybody: Everybody, counts: Path, seconds: float) -> list[Figure]:
    turns: dict[str | Peer, Turns] = {name: Turns() for name in everybody}
    require(door.port, COUNT, door.tokens(1)[0])
    _meet_everybody(everybody, counts)
    for _ in range(ROUNDS):
        for name, measured in everybody.items():
            _take(turns[name], measured, counts, turn(seconds))
    base = limit(f"{BARE}; a real service", turns[BARE].rate, "requests/s")
    return [
        base,
        *(against(base, f"{_title(name)}; a real service", each.rate) for name, each in turns.items() if name != BARE),
    ]


def memory(door: Door) -> list[Figure]:
    """Megabytes of both processes, after the load and before the streams."""
    await_("the former worker to end", lambda: len(tree(door.haproxy.pid)) == MASTER_AND_WORKER)
    return [
        Figure(MEMORY, door.haproxy.memory_mb(), "MB"),
        Figure(PYTHON_MEMORY, door.control.memory_mb(), "MB"),
    ]


def _title(name: str | Peer) -> str:
    return name if isinstance(name, str) else f"{name.name} ({name.less})"
