"""What operators see of processes: logs, left-overs, what the gateway knows, the end of a story."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from libs.common.config import DOOR_SECRET_LENGTH_MIN, load
from ops.bootstrap import install_line, services_kept_stopped
from ops.cron import jobs, trigger
from ops.demo.report import Report, StepFailed, expect
from ops.door import addresses
from ops.errors import OperationError
from ops.layout import Layout
from ops.leftovers import MARKER, end_leftovers, leftovers
from ops.lifecycle import Platform
from ops.logs import chosen, show
from ops.settings import PlatformSettings

SERVERS_STATE = """1
# be_id be_name srv_id srv_name srv_addr srv_op_state and so on to srv_fqdn srv_port
5 tasks-web 1 r1 127.0.0.1 2 0 1 1 12 6 3 4 6 0 0 0 - 18196 - 0 0 - - 0
5 tasks-web 2 r2 127.0.0.1 0 0 1 1 12 6 3 4 6 0 0 0 - 18197 - 0 0 - - 0
5 tasks-web 3 r2-spare 127.0.0.1 2 0 1 1 12 6 3 4 6 0 0 0 - 18197 - 0 0 - - 0
"""


@pytest.fixture
def quiet_platform(tmp_path: Path) -> Platform:
    return Platform(Layout(load(PlatformSettings, {"LUMIERE_HOME": str(tmp_path / "state"), "LUMIERE_PORT_BASE": "23000"})))


def test_the_addresses_of_all_replicas_are_read_from_the_gateway() -> None:
    assert addresses(SERVERS_STATE) == {"127.0.0.1:18196", "127.0.0.1:18197"}
    assert addresses(SERVERS_STATE, serving=True) == {"127.0.0.1:18196"}
    assert addresses("") == set()


def test_processes_that_a_killed_supervisor_left_behind_are_found_and_ended(tmp_path: Path) -> None:
    ours = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env={MARKER: str(tmp_path)})
    others = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env={MARKER: f"{tmp_path}-other"})
    try:
        # Between fork and exec a child still has its parent's environment.
        while not leftovers(tmp_path):
            assert ours.poll() is None
        assert leftovers(tmp_path) == [ours.pid]
        assert leftovers(tmp_path, spare={ours.pid}) == []
        assert end_leftovers(tmp_path) == 1
        assert ours.wait(10) != 0
        assert others.poll() is None
    finally:
        for process in (ours, others):
            process.kill()
            process.communicate()


def test_a_platform_that_does_not_run_says_so(quiet_platform: Platform) -> None:
    assert quiet_platform.conditions() == []
    assert quiet_platform.down() == 0
    with pytest.raises(OperationError, match="make up"):
        quiet_platform.scale({("tasks", "web"): 2})


@pytest.mark.parametrize("moved", ["gateway", "auth-web-1"])
def test_a_platform_on_other_ports_keeps_its_secrets_as_they_are(
    quiet_platform: Platform, moved: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet_platform.layout.prepare()
    monkeypatch.setattr(type(quiet_platform.supervisor), "pid", lambda _: 1)
    (quiet_platform.layout.run / "ports.json").write_text(json.dumps({moved: [29999]}), encoding="utf-8")
    for command in (
        lambda: quiet_platform.create_admin("ada@example.org", "a password nobody guesses"),
        lambda: quiet_platform.scale({("tasks", "web"): 2}),
    ):
        with pytest.raises(OperationError, match="LUMIERE_PORT_BASE"):
            command()
    assert list(quiet_platform.layout.secrets.iterdir()) == []


def test_ends_of_processes_are_counted_from_the_supervisors_log(quiet_platform: Platform) -> None:
    quiet_platform.layout.prepare()
    (quiet_platform.layout.logs / "supervisor.log").write_text(
        "2026-01-01 INFO supervisord started with pid 1\n"
        "2026-01-01 INFO spawned: 'postgres' with pid 2\n"
        "2026-01-01 WARN exited: postgres (terminated by SIGKILL; not expected)\n"
        "2026-01-01 WARN exited: postgres (exit status 1; not expected)\n"
        "2026-01-01 INFO stopped: rabbitmq (exit status 0)\n"
        "2026-01-01 INFO supervisord started with pid 9\n"
    )
    assert quiet_platform.restarts() == {"postgres": 2}
    assert quiet_platform.supervisor_restarts() == 1


def test_logs_are_chosen_by_service_and_shown_under_their_names(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("tasks-web-1", "tasks-worker-1", "media-web-1"):
        (tmp_path / f"{name}.log").write_text("".join(f"{name} line {number}\n" for number in range(5)))
    assert [path.stem for path in chosen(tmp_path, ["tasks"])] == ["tasks-web-1", "tasks-worker-1"]
    assert len(chosen(tmp_path, [])) == 3
    with pytest.raises(OperationError, match="media-web-1, tasks-web-1, tasks-worker-1"):
        chosen(tmp_path, ["task"])
    show(tmp_path, ["tasks"], follow=False, lines=2)
    shown = capfd.readouterr().out.splitlines()
    assert shown[0] == "tasks-web-1    │ tasks-web-1 line 3"
    assert len(shown) == 4


def test_no_service_is_started_while_packages_are_installed_and_the_policy_comes_back(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 0\n")
    with services_kept_stopped(policy):
        assert subprocess.run(["/bin/sh", str(policy)], check=False).returncode == 101
        assert os.access(policy, os.X_OK)
    assert policy.read_text() == "#!/bin/sh\nexit 0\n"
    policy.unlink()
    with services_kept_stopped(policy):
        assert policy.exists()
    assert not policy.exists()


def test_a_normal_user_is_given_one_line_to_run() -> None:
    line = install_line(["postgresql", "haproxy"])
    assert "\n" not in line
    assert line.endswith("postgresql haproxy")
    assert "apt-get update" in line


def test_a_story_counts_what_passed_and_ends_with_what_failed() -> None:
    report = Report(quiet=True)
    with report.step("first"):
        expect(True, "never said")
    with pytest.raises(StepFailed, match="it rained"), report.step("second"):
        expect(False, "it rained")
    document = report.document()
    assert (document["passed"], document["failed"]) == (1, 1)
    assert [(step["title"], step["passed"], step["fault"]) for step in document["steps"]] == [
        ("first", True, ""),
        ("second", False, "it rained"),
    ]


def layout_with(secret: str) -> Layout:
    """A platform that is not there, told this cron secret."""
    return Layout(load(PlatformSettings, {"CRON_SECRET": secret, "LUMIERE_PORT": "1"}))


def test_the_jobs_that_schedulers_may_run_come_from_the_manifests() -> None:
    found = jobs(layout_with(""))

    assert (found["release_expired_claims"], found["seal"]) == ("tasks", "ledger")
    assert "purge_idempotency_keys" not in found


@pytest.mark.parametrize("job", ["purge_idempotency_keys", "../health", ""])
def test_a_job_that_is_none_is_not_asked_for(job: str) -> None:
    with pytest.raises(OperationError, match="`lumiere cron` lists them"):
        trigger(layout_with("s" * DOOR_SECRET_LENGTH_MIN), job)


@pytest.mark.parametrize(("length", "says"), [(0, "is shut"), (DOOR_SECRET_LENGTH_MIN - 1, "is shut"), (16, "does not answer")])
def test_a_shut_cron_door_says_how_to_open_it(length: int, says: str) -> None:
    with pytest.raises(OperationError, match=says):
        trigger(layout_with("s" * length), "seal")
