"""People at work while something happens to the platform, and what they met."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from libs.common.ids import new_id
from ops.demo.client import API
from ops.demo.report import StepFailed
from tests.journeys.people import Film, Person, Studio, Work

READERS = 2
PAUSE_SECONDS = 0.02
TASK_EVERY_SECONDS = 1.5
"""A person's share is 120 writing requests a minute, and a task takes four."""


@dataclass
class Traffic:
    """What people did meanwhile, and what went wrong."""

    requests: int = 0
    failures: list[str] = field(default_factory=list)
    works: list[Work] = field(default_factory=list)
    enough: threading.Event = field(default_factory=threading.Event)

    def read(self, origin: str, film: Film) -> None:
        """Read a film over and over on one connection."""
        with httpx.Client(base_url=origin, timeout=20, trust_env=False) as client:
            while not self.enough.wait(PAUSE_SECONDS):
                self.requests += 1
                try:
                    status = client.get(f"{API}/films/{film.id}").status_code
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                    continue
                if status != 200:
                    self.failures.append(f"GET answered {status}")

    def work(self, studio: Studio, person: Person, film: Film) -> None:
        """Finish task after task; every request of it must succeed at once."""
        while not self.enough.wait(TASK_EVERY_SECONDS):
            try:
                self.works.append(studio.finish(person, studio.plan_task(film, f"While replicas come and go {new_id()}")))
            except StepFailed as failure:
                self.failures.append(str(failure))


@contextmanager
def traffic(studio: Studio, person: Person, film: Film) -> Iterator[Traffic]:
    """People at work for the length of a block."""
    ongoing = Traffic()
    threads = [threading.Thread(target=ongoing.read, args=(studio.platform.origin, film)) for _ in range(READERS)]
    threads.append(threading.Thread(target=ongoing.work, args=(studio, person, film)))
    for thread in threads:
        thread.start()
    try:
        yield ongoing
    finally:
        ongoing.enough.set()
        for thread in threads:
            thread.join(60)
