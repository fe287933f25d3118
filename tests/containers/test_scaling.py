"""Replicas come and go in containers while people work: no request fails, and everything happens once."""

import pytest

from libs.common.ids import new_id
from ops.demo.client import wait_for
from tests.containers.conftest import Running, Say
from tests.journeys.people import ONCE, Film, Person, Studio
from tests.journeys.traffic import traffic

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]

MORE = {"tasks": 3, "tasks-worker": 2}
AS_BEFORE = {"tasks": 1, "tasks-worker": 1}
NOTICED_SECONDS = 60


def gateway_sends_to(running: Running, service: str) -> set[str]:
    """The addresses among which the running gateway chooses."""
    states = running.operations.execute("gateway-control", "python", "-c", REPLICAS, f"{service}-web")
    return set(states.split())


REPLICAS = """
import sys
from gateway.folder import Folder
from gateway.haproxy import Haproxy
from pathlib import Path
known = Haproxy(Folder(Path("/run/lumiere"))).replicas().get(sys.argv[1], {})
print(*sorted(name for name, state in known.items() if state.startswith("UP")))
"""


def test_tasks_scales_up_and_down_under_load(
    running: Running, people: Studio, contributor: Person, film: Film, say: Say
) -> None:
    with traffic(people, contributor, film) as ongoing:
        running.operations.scale(MORE)
        wait_for("three replicas at the gateway", lambda: len(gateway_sends_to(running, "tasks")) == 3, seconds=NOTICED_SECONDS)
        ongoing.works.append(people.finish(contributor, people.plan_task(film, f"With three replicas {new_id()}")))
        running.operations.scale(AS_BEFORE)
        wait_for("one replica at the gateway", lambda: len(gateway_sends_to(running, "tasks")) == 1, seconds=NOTICED_SECONDS)
        ongoing.works.append(people.finish(contributor, people.plan_task(film, f"With one replica again {new_id()}")))
    done = f"{ongoing.requests} reads and {len(ongoing.works)} tasks, {len(ongoing.failures)} failed"
    say(f"containers: tasks scaled 1→3→1, its worker 1→2→1: {done}")
    assert [each.name for each in running.operations.of("tasks") + running.operations.of("tasks-worker") if each.well] == [
        f"{running.operations.project}-tasks-1",
        f"{running.operations.project}-tasks-worker-1",
    ]
    assert ongoing.failures == []
    assert ongoing.requests > 100
    tasks = [work.task for work in ongoing.works]
    people.wait_for_all_effects(contributor, tasks, seconds=60)
    assert people.effects_of(contributor, tasks) == [ONCE] * len(tasks)
