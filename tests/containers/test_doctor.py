"""The doctor tells the truth about containers, from beside them and from outside."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ops.containers import docker
from ops.doctor.box import Finding, State, Target, boxes
from ops.doctor.command import from_inside
from ops.doctor.engine import Engine
from ops.doctor.examination import ask
from ops.doctor.places import outside
from ops.doctor.settings import DoctorSettings
from tests.containers.conftest import Running, Say

pytestmark = [pytest.mark.containers, pytest.mark.timeout(600)]

BOXES = {each.name: each for each in boxes()}
SEEN_AROUND = sorted(name for name, each in BOXES.items() if each.group == "containers")
NOT_YET = {"containers-run"}
"""The intruder below has no health check, so nobody calls it ill."""


def from_beside(running: Running, *arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """What the operator's container answers: exit code, and each box by name."""
    done = running.operations.outcome("run", "--rm", "-T", "--no-deps", "operator", "doctor", "--json", *arguments)
    assert done.stdout.strip(), done.stderr
    return done.returncode, {each["name"]: each for each in json.loads(done.stdout)}


def seen(running: Running, name: str) -> Finding:
    """What is found from outside, now."""
    return ask(BOXES[name], outside(Engine(running.operations), DoctorSettings(), production=False))


def test_a_platform_in_containers_has_every_box_ticked_from_beside(running: Running, say: Say) -> None:
    code, answers = from_beside(running)
    assert {name: each["evidence"] for name, each in answers.items() if not each["ok"]} == {}
    assert code == 0
    say(f"containers: the doctor ticked {len(answers)} boxes from beside; {answers['versions']['evidence']}")


def test_what_production_asks_of_the_way_to_the_servers_holds_in_containers(running: Running) -> None:
    _, answers = from_beside(running, "--production", "--only", "database-tls", "--only", "no-root", "--only", "redis-password")
    assert {name: each["ok"] for name, each in answers.items()} == {
        "database-tls": True,
        "no-root": True,
        "redis-password": True,
    }
    assert "TLSv1.3" in answers["database-tls"]["evidence"]
    assert "1001" in answers["no-root"]["evidence"]


def test_a_worker_that_was_stopped_is_missed(running: Running) -> None:
    running.operations.run("stop", "media-worker")
    try:
        code, answers = from_beside(running, "--only", "processes-answer")
        assert code == 1
        assert "media-worker" in answers["processes-answer"]["evidence"]
    finally:
        running.operations.up("media-worker")
    assert from_beside(running, "--only", "processes-answer")[0] == 0


@contextmanager
def intruder(running: Running) -> Iterator[None]:
    """One more container of the project as nobody should run one: root, all rights, a published port, a secret to read."""
    engine = Engine(running.operations)
    ours = next(each for each in engine.running if engine.service(each) == "tasks")
    labels = {name: value for name, value in ours["Config"]["Labels"].items() if name.startswith("com.docker.compose.")}
    labels["com.docker.compose.container-number"] = "99"
    words = [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]
    loose = [
        "--user",
        "0",
        "--privileged",
        "--cap-add",
        "NET_ADMIN",
        "--env",
        "SENTRY_DSN=planted",
        "--publish",
        "127.0.0.1::8000",
    ]
    started = docker("run", "--detach", *words, *loose, "--entrypoint", "sleep", ours["Image"], "600").strip()
    try:
        yield
    finally:
        docker("rm", "--force", started)


def test_an_intruder_among_the_containers_is_seen_and_its_end_too(running: Running) -> None:
    assert {name: seen(running, name).evidence for name in SEEN_AROUND if seen(running, name).state is not State.OK} == {}
    with intruder(running):
        told = {name: seen(running, name) for name in SEEN_AROUND if name not in NOT_YET}
        assert {name: each.state for name, each in told.items()} == dict.fromkeys(told, State.FAILED)
        assert "tasks publishes 8000/tcp" in told["containers-ports"].evidence
        assert "tasks runs as root" in told["containers-user"].evidence
        assert "SENTRY_DSN" in told["containers-secrets"].evidence
        assert "planted" not in told["containers-secrets"].evidence
    assert {name: seen(running, name).evidence for name in SEEN_AROUND if seen(running, name).state is not State.OK} == {}


def test_no_image_holds_an_environment_file(running: Running) -> None:
    assert seen(running, "no-env-file").state is State.OK


def test_outside_and_beside_are_one_list(running: Running) -> None:
    asked = [each for each in BOXES.values() if each.group in ("clock", "containers") and not each.production]
    beside = [each for each in asked if Target.ENGINE not in each.targets]
    answers = from_inside(beside, Engine(running.operations), [])
    assert {each.box.name for each in answers} == {each.name for each in beside}
    assert all(each.finding.ok for each in answers)
