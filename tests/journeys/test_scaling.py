"""Replicas come and go while people work: nobody notices, and everything happens once."""

import httpx
import pytest

from libs.common.ids import new_id
from tests.journeys.inside import Inside
from tests.journeys.people import ONCE, Studio
from tests.journeys.traffic import traffic

pytestmark = [pytest.mark.platform, pytest.mark.timeout(240)]

TWICE = {("tasks", "web"): 2, ("tasks", "worker"): 2}
ONCE_AGAIN = {("tasks", "web"): 1, ("tasks", "worker"): 1}


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
