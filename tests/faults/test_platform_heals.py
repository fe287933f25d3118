"""Any process of the platform is killed: it comes back by itself, and the next task goes the whole way, once."""

import random
import secrets
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from libs.common.config import process_environment
from libs.common.ids import new_id
from ops.demo.client import wait_for
from ops.demo.report import StepFailed
from ops.testing import LivePlatform
from tests.faults.healing import descendants, is_alive, kill, pids, wait_until_healed
from tests.faults.report import tell
from tests.journeys.people import FRAME, ONCE, Film, Person, Studio, Work, listening, upload

pytestmark = [pytest.mark.faults, pytest.mark.platform]

VICTIMS = (
    "auth-web-1",
    "gateway",
    "rabbitmq",
    *(pytest.param(each, marks=pytest.mark.long) for each in ("tasks-worker-1", "ledger-worker-1", "notify-stream-1")),
    *(pytest.param(each, marks=pytest.mark.long) for each in ("gateway-control", "postgres")),
)
ROUNDS = 12
WORKERS = 2
POLL_SECONDS = 0.1
TASK_EVERY_SECONDS = 2.0
"""Administrators have 120 writing requests a minute like everybody, and each worker's task takes two of them."""
OUTAGE = (StepFailed, httpx.HTTPError)


@pytest.fixture(scope="module")
def contributor(studio: Studio) -> Person:
    return studio.newcomer("Brunnet")


@pytest.fixture(scope="module")
def film(studio: Studio) -> Film:
    return studio.film()


@pytest.fixture(scope="module")
def done(studio: Studio, contributor: Person) -> Iterator[list[Work]]:
    """Every task that was finished among the kills. At the end each must have had its effects once: what was delivered
    again in between has passed by then."""
    works: list[Work] = []
    yield works
    assert studio.effects_of(contributor, [work.task for work in works]) == [ONCE] * len(works)


@pytest.mark.parametrize("victim", VICTIMS)
def test_after_a_kill_of_any_process_the_platform_heals_and_a_task_goes_the_whole_way_once(
    studio: Studio, contributor: Person, film: Film, done: list[Work], victim: str
) -> None:
    below = descendants(pids(studio.platform)[victim])
    killed = wait_until_healed(studio.platform, victim, kill(studio.platform, victim))
    assert killed.old_pid != killed.new_pid
    assert [pid for pid in below if is_alive(pid)] == [], "a healthy platform with processes of the dead one in it"
    task = studio.plan_task(film, f"After the death of {victim} {new_id()}")
    with listening(contributor) as stream:
        done.append(studio.finish(contributor, task))
        studio.wait_for_effects(contributor, task)
        wait_for(
            "the notice on the stream",
            lambda: stream.find("notification", type="TASK_VALIDATED", task_id=task["id"]),
            every=POLL_SECONDS,
        )
    (sealed,) = studio.proofs_of(task)
    assert studio.verify_offline(sealed["event_id"]).subject == task["id"]
    assert studio.effects(contributor, task) == ONCE


class Resolute(threading.Thread):
    """Finishes tasks whatever happens: looks where a task stands, takes the next step, and asks again when that fails."""

    def __init__(self, studio: Studio, person: Person, film: Film, enough: threading.Event) -> None:
        super().__init__(name=f"resolute {person.email}")
        self.studio = studio
        self.person = person
        self.film = film
        self.enough = enough
        self.finished: list[dict[str, Any]] = []
        self.failures = 0
        self._pause = threading.Event()

    def run(self) -> None:
        while not self.enough.wait(TASK_EVERY_SECONDS):
            self.one_more()

    def one_more(self) -> dict[str, Any]:
        """Plan a task and finish it, through outages and while a rate asks for patience."""
        task: dict[str, Any] = self._insist(lambda: self.studio.plan_task(self.film, f"Resolutely {new_id()}"))
        self._finish(task)
        return task

    def _finish(self, task: dict[str, Any]) -> None:
        while self._insist(lambda: self._status(task)) != "VALIDATED":
            with suppress(*OUTAGE):
                self._step(task)
            self._pause.wait(POLL_SECONDS)
        self.finished.append(task)

    def _status(self, task: dict[str, Any]) -> str:
        return str(self.person.get(f"/tasks/{task['id']}")["status"])

    def _step(self, task: dict[str, Any]) -> None:
        status = self._status(task)
        if status in ("AVAILABLE", "CLAIMED"):
            lease = self.person.post(f"/tasks/{task['id']}/claim")
            media = upload(self.person, FRAME)
            body = {"lease_token": lease["lease_token"], "media_ids": [media["media_id"]], "notes": ""}
            wait_for("the submission", lambda: self._submitted(task, body), every=POLL_SECONDS)
        elif status == "HUMAN_REVIEW":
            items = self.person.get(f"/tasks/{task['id']}/submissions")["items"]
            path = f"/admin/submissions/{items[-1]['id']}/review"
            self.studio.administrator.post(path, {"verdict": "APPROVE", "feedback": ""})

    def _submitted(self, task: dict[str, Any], body: dict[str, Any]) -> bool:
        """Whether it got through, now or in an attempt whose answer was lost."""
        with suppress(*OUTAGE):
            if self._status(task) != "CLAIMED":
                return True
            self.person.post(f"/tasks/{task['id']}/submissions", body, status=201)
            return True
        return False

    def _insist(self, ask: Any) -> Any:
        while True:
            try:
                return ask()
            except OUTAGE:
                self.failures += 1
                self._pause.wait(POLL_SECONDS)


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_work_goes_on_while_processes_are_killed_at_random_and_every_effect_is_there_once(
    studio: Studio, platform: LivePlatform, film: Film
) -> None:
    given = process_environment().get("LUMIERE_FAULT_SEED")
    seed = int(given) if given else secrets.randbits(32)
    tell(f"random kills of the platform: LUMIERE_FAULT_SEED={seed}")
    chosen = random.Random(seed)  # noqa: S311 - a schedule that can be replayed
    enough = threading.Event()
    workers = [Resolute(studio, studio.newcomer(f"Worker {number}"), film, enough) for number in range(WORKERS)]
    for worker in workers:
        worker.start()
    try:
        for _ in range(ROUNDS):
            victim = chosen.choice(sorted(pids(platform)))
            wait_until_healed(platform, victim, kill(platform, victim))
    finally:
        enough.set()
        for worker in workers:
            worker.join(120)
    assert all(worker.finished for worker in workers)
    for worker in workers:
        studio.wait_for_all_effects(worker.person, worker.finished, seconds=90)
        # One more on a quiet platform: whatever was delivered again lies before it in every queue.
        studio.wait_for_effects(worker.person, worker.one_more())
        found = studio.effects_of(worker.person, worker.finished)
        assert found == [ONCE] * len(worker.finished), (seed, [task["title"] for task in worker.finished])
