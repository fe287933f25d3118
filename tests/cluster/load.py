"""Load on a bus while its servers die, and how long nothing happened."""

import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Final
from uuid import UUID

from sqlalchemy import select

from libs.common import clock, ids
from libs.common.db import kernel_tables
from libs.common.events.broker import subscribe
from libs.common.events.tests.live import eventually, show, subscriptions
from libs.common.events.tests.platform import Platform, databases, forget
from tests.faults.commands import Commands
from tests.faults.counting import effects_made
from tests.faults.processes import Processes
from tests.faults.schedule import NAMES

PER_SECOND: Final = 100.0
"""Commands a second: each publishes one event."""
FLOWING_SECONDS: Final = 60.0
HANGING_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 1.5
"""How long events flow before something dies, and after all is well again."""


class TimedCommands(Commands):
    """Commands that remember when each was acknowledged."""

    def __init__(self, platform: Platform, per_second: float = PER_SECOND) -> None:
        super().__init__(platform, secrets.randbits(32), commands=0, per_second=per_second)
        self.moments: list[datetime] = []
        for thread in self._threads:  # a commit may wait for a standby that never comes
            thread.daemon = True

    def finish(self) -> None:
        """End. Raises AssertionError when a command hangs."""
        self._enough.set()
        for thread in self._threads:
            thread.join(HANGING_SECONDS)
            assert not thread.is_alive(), "a command hangs"

    def _succeed(self, reel: UUID, number: int) -> None:
        super()._succeed(reel, number)
        self.moments.append(clock.now())


@contextmanager
def loaded_bus(amqp_url: str, folder: Path) -> Iterator[tuple[Platform, Processes]]:
    """Two relays and two consumers at work on a database of their own; DATABASE_URL says on which server."""
    with databases() as (studio, cinema):
        platform = Platform(studio, cinema, amqp_url, f"cluster_{ids.new_id().hex[-10:]}")
        declared = subscriptions(platform.consumer, show)
        subscribe(amqp_url, declared)
        processes = Processes(platform, folder)
        try:
            for name in NAMES:
                processes.start(name)
            eventually(processes.all_started, "relays and consumers run", FLOWING_SECONDS)
            yield platform, processes
            assert processes.drain() == [0] * len(NAMES), "a process did not end in order"
        finally:
            processes.end()
            with suppress(OSError):  # a broker that is gone has nothing to forget
                forget(amqp_url, declared)


def queue_of(platform: Platform) -> str:
    """The queue that the load goes through."""
    return subscriptions(platform.consumer, show).queues[0].queue


def flow(platform: Platform, seconds: float = STEADY_SECONDS) -> None:
    """Wait until events take effect again and again for this long."""
    for _ in range(3):
        seen = effects_made(platform)
        eventually(lambda seen=seen: effects_made(platform) > seen, "events take effect", FLOWING_SECONDS)  # type: ignore[misc]
        threading.Event().wait(seconds / 3)


def applied_at(platform: Platform) -> list[datetime]:
    """When each event took effect, in order."""
    inbox = kernel_tables(platform.cinema.metadata).inbox
    with platform.cinema.reader() as reader:
        return [row.applied_at for row in reader.all(select(inbox.c.applied_at).order_by(inbox.c.applied_at))]


def pause_after(moments: Sequence[datetime], moment: datetime, *, within_seconds: float) -> float:
    """The longest time, in seconds, in which nothing happened, of those that ended within so long after a moment."""
    ordered = sorted(moments)
    gaps = [
        (later - earlier).total_seconds()
        for earlier, later in pairwise(ordered)
        if later > moment and (earlier - moment).total_seconds() < within_seconds
    ]
    assert gaps, "nothing happened after the moment"
    return max(gaps)


def timed(action: Callable[[], object]) -> float:
    """How long it took, in seconds."""
    begun = clock.monotonic()
    action()
    return clock.monotonic() - begun
