"""Replicas come and go while people work: nobody notices, and everything happens once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import pytest

from libs.common.ids import new_id
from ops.demo.client import API
from ops.demo.report import StepFailed
from tests.journeys.inside import Inside
from tests.journeys.people import ONCE, Film, Person, Studio, Work

pytestmark = [pytest.mark.platform, pytest.mark.timeout(240)]

READERS = 2
PAUSE_SECONDS = 0.02
TASK_EVERY_SECONDS = 1.5
"""A person's share is 120 writing requests a minute, and a task takes four."""
TWICE = {("tasks", "web"): 2, ("tasks", "worker"): 2}
ONCE_AGAIN = {("tasks", "web"): 1, ("tasks", "worker"): 1}


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


def requests_served(inside: Inside, number: int) -> float:
    """How many requests one replica of tasks has answered."""
    metrics = httpx.get(f"{inside.straight('tasks', number=number)}/metrics", trust_env=False).text
    counts = [line for line in metrics.splitlines() if line.startswith("lumiere_http_requests_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in counts)


def test_replicas_come_and_go_without_a_failed_request_and_every_effect_is_there_once(studio: Studio, inside: Inside) -> None:
    person, film = studio.newcomer("Kelm"), studio.film()
    operations = studio.platform.operations
    with traffic(studio, person, film) as ongoing:
        operations.scale(TWICE)
        before = requests_served(inside, number=2)
        ongoing.works.append(studio.finish(person, studio.plan_task(film, f"With two replicas {new_id()}")))
        assert requests_served(inside, number=2) > before
        names = {condition.program.name for condition in operations.conditions() if condition.healthy}
        assert {"tasks-web-2", "tasks-worker-2"} <= names
        operations.scale(ONCE_AGAIN)
        ongoing.works.append(studio.finish(person, studio.plan_task(film, f"With one replica again {new_id()}")))
    assert {condition.program.name for condition in operations.conditions()} & {"tasks-web-2", "tasks-worker-2"} == set()
    assert ongoing.failures == []
    assert ongoing.requests > 100
    tasks = [work.task for work in ongoing.works]
    studio.wait_for_all_effects(person, tasks, seconds=30)
    assert studio.effects_of(person, tasks) == [ONCE] * len(tasks)
