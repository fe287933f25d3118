"""Commands that publish, at a steady pace, whatever happens to the servers meanwhile."""

import random
import threading
from typing import Final
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from libs.common import ids
from libs.common.events.tests.live import Cut
from libs.common.events.tests.platform import Platform

REELS: Final = 12
FAILS_EVERY: Final = 10
THREADS: Final = 2


class Commands:
    """Threads that run commands side by side; one in ten fails and must leave nothing behind.

    A command whose commit nobody answered is in doubt: it may have happened or not, but not by halves.
    """

    def __init__(self, platform: Platform, seed: int, *, commands: int, per_second: float) -> None:
        self._platform = platform
        self._wanted = commands
        self._pause_seconds = THREADS / per_second
        self._reels = [ids.new_id() for _ in range(REELS)]
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(f"{seed} {each}"),), name=f"commands {each}")  # noqa: S311 - to be replayed
            for each in range(THREADS)
        ]
        self.acknowledged: set[UUID] = set()
        self.taken_back: set[UUID] = set()
        self.in_doubt = 0
        self._enough = threading.Event()
        self._pause = threading.Event()

    @property
    def answered(self) -> int:
        """Commands that came to an end, good or bad."""
        return len(self.acknowledged) + len(self.taken_back)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """The faults are over: end as soon as there were enough commands."""
        self._enough.set()
        for thread in self._threads:
            thread.join()

    def __str__(self) -> str:
        return (
            f"{self.answered:,} commands answered ({len(self.acknowledged):,} acknowledged, "
            f"{len(self.taken_back):,} taken back), {self.in_doubt} without an answer"
        )

    def _run(self, chosen: random.Random) -> None:
        number = 0
        while self.answered < self._wanted or not self._enough.is_set():
            number += 1
            reel = chosen.choice(self._reels)
            try:
                if number % FAILS_EVERY == 0:
                    self._fail(reel, number)
                else:
                    self._succeed(reel, number)
            except SQLAlchemyError:
                with self._lock:
                    self.in_doubt += 1
            self._pause.wait(self._pause_seconds)

    def _succeed(self, reel: UUID, number: int) -> None:
        with self._platform.studio.transaction() as tx:
            event_id = tx.publish(Cut(reel_id=reel, number=number))
        with self._lock:
            self.acknowledged.add(event_id)

    def _fail(self, reel: UUID, number: int) -> None:
        try:
            with self._platform.studio.transaction() as tx:
                event_id = tx.publish(Cut(reel_id=reel, number=number))
                raise InterruptedError
        except InterruptedError:
            with self._lock:
                self.taken_back.add(event_id)
