"""The whole story in containers, told by the operator's own command."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.containers.conftest import PROJECT, Say
from tests.journeys.people import Studio

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]


def test_the_demo_is_green_against_containers(
    people: Studio, variables: dict[str, str], say: Say, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text(people.administrator.password, encoding="utf-8")
    for name, value in {**variables, "COMPOSE_PROJECT_NAME": PROJECT}.items():
        monkeypatch.setenv(name, value)
    # Two administrators are as many as an operator makes: the story takes one of those that are there.
    known = ["--admin", people.administrator.email, "--admin-password-file", str(password)]
    command = [sys.executable, "-m", "ops.cli", "demo", "--compose", "--json", *known]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told = json.loads(done.stdout)
    assert [step["fault"] for step in told["steps"] if step["fault"]] == []
    assert (done.returncode, told["failed"]) == (0, 0)
    figures = ", ".join(f"{name} p50 {each['p50_ms']:.0f} ms" for name, each in told["figures"].items())
    say(f"containers: demo {told['passed']} passed; validated → {figures}")
