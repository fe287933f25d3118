"""Any container is killed: the engine starts it again, and the platform goes on as if nothing had been."""

from pathlib import Path

import httpx
import pytest
from ruamel.yaml import YAML

from libs.common.events.tests.live import eventually
from libs.common.ids import new_id
from ops.containers import DEPLOY, docker
from tests.containers.conftest import Running, Say
from tests.journeys.people import ONCE, Film, Person, Studio

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]

HEALED_SECONDS = 180.0


def stays(file: Path) -> list[str]:
    """The services of a compose file that run until they are stopped."""
    services = YAML(typ="safe").load(file)["services"]
    return [name for name, each in services.items() if each.get("restart") == "unless-stopped" and not each.get("profiles")]


def kill(running: Running, service: str) -> tuple[int, int]:
    """SIGKILL to a container's first process, as a crash would be: the engine is not told. The pid before, and after."""
    (container,) = running.operations.of(service)
    before = pid(container.id)
    image = docker("inspect", "--format", "{{.Image}}", running.operations.of("gateway")[0].id).strip()
    killer = ["--pid", "host", "--user", "0", "--cap-add", "KILL", "--entrypoint", "python", image]
    docker("run", "--rm", *killer, "-c", f"import os; os.kill({before}, 9)")
    eventually(lambda: pid(container.id) not in {0, before}, f"another process in {service}", HEALED_SECONDS)
    return before, pid(container.id)


def pid(container: str) -> int:
    """The first process of a container as the engine's machine counts; 0 when it does not run."""
    return int(docker("inspect", "--format", "{{.State.Pid}}", container))


@pytest.mark.parametrize("service", stays(DEPLOY / "compose.yml"))
def test_a_killed_container_comes_back_and_everything_is_well(running: Running, service: str) -> None:
    before, after = kill(running, service)
    assert before != after
    eventually(lambda: all(each.well for each in running.operations.states()), "all containers are well", HEALED_SECONDS)
    eventually(lambda: _ready(running.origin), "the gateway is ready", HEALED_SECONDS)


def _ready(origin: str) -> bool:
    try:
        return httpx.get(f"{origin}/health/ready", timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def test_after_all_of_it_work_is_done_and_counted_once(
    running: Running, people: Studio, contributor: Person, film: Film, say: Say
) -> None:
    work = people.finish(contributor, people.plan_task(film, f"After the kills {new_id()}"))
    people.wait_for_all_effects(contributor, [work.task], seconds=60)
    assert people.effects(contributor, work.task) == ONCE
    say(f"containers: {len(stays(DEPLOY / 'compose.yml'))} containers killed in turn, all healed")
