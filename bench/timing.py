"""How long things take: the same loop for the thing measured and for its limit, in turns."""

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from statistics import median
from threading import Barrier
from types import FrameType
from typing import TypeVar

from bench.figures import NothingMeasured
from libs.common import clock

ROUNDS = 5
"""Turns that each gets: a disturbance then strikes all alike, and the median leaves it out."""
CHUNK = 20
"""Calls between two looks at the clock."""
BENCHMARK_SECONDS = 60
"""The longest that one benchmark may take, once the servers that it needs are running."""
MICROSECONDS = 1e6
MILLISECONDS = 1e3

K = TypeVar("K")
Work = Callable[[], object]


def costs(works: Mapping[str, Work], seconds: float, read: Callable[[], float] = time.process_time) -> dict[str, float]:
    """Seconds that one call of each costs, the median of ROUNDS turns that last `seconds` together for each.

    `read` is the clock: by default the processor time of this process, the steadiest on a shared machine.
    """
    for work in works.values():
        work()
    return in_turns({name: partial(_turn, work, seconds / ROUNDS, read) for name, work in works.items()})


def _turn(work: Work, seconds: float, read: Callable[[], float]) -> float:
    deadline, begun, calls = clock.monotonic() + seconds, read(), 0
    while not calls or clock.monotonic() < deadline:
        for _ in range(CHUNK):
            work()
        calls += CHUNK
    return (read() - begun) / calls


def in_turns(measures: Mapping[K, Callable[[], float]]) -> dict[K, float]:
    """What each measure says: the median of ROUNDS turns."""
    turns: dict[K, list[float]] = {name: [] for name in measures}
    for _ in range(ROUNDS):
        for name, measure in measures.items():
            turns[name].append(measure())
    return {name: median(values) for name, values in turns.items()}


def rates(works: Mapping[str, Sequence[Work]], seconds: float) -> dict[str, float]:
    """Calls a second of each group, whose members each repeat in a thread of their own."""
    return in_turns({name: partial(_side_by_side, group, seconds / ROUNDS) for name, group in works.items()})


def _side_by_side(group: Sequence[Work], seconds: float) -> float:
    together = Barrier(len(group))

    def repeat(work: Work) -> float:
        together.wait()
        begun, calls = clock.monotonic(), 0
        while not calls or clock.monotonic() < begun + seconds:
            work()
            calls += 1
        return calls / (clock.monotonic() - begun)

    with ThreadPoolExecutor(len(group)) as pool:
        return sum(pool.map(repeat, group))


def timed(work: Work) -> float:
    """How many seconds a call takes."""
    begun = clock.monotonic()
    work()
    return clock.monotonic() - begun


@contextmanager
def bounded(seconds: float = BENCHMARK_SECONDS) -> Iterator[None]:
    """End what runs too long. Raises NothingMeasured."""

    def overdue(_number: int, _frame: FrameType | None) -> None:
        raise NothingMeasured(f"It was not done within {seconds:g} s: the machine is busy, or something hangs.")

    before = signal.signal(signal.SIGALRM, overdue)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
