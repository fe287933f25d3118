"""The operator's commands at their two doors: `python -m gateway` and `lumiere gateway`."""

import json
import sys
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
from click.testing import CliRunner

from gateway import limits
from gateway.__main__ import main as gateway_command
from gateway.containment import Containment
from gateway.containment_commands import BEHIND, KEPT_ONLY
from gateway.folder import Folder
from gateway.maintenance import MAINTENANCE_FILE, Decision, Maintenance
from gateway.tests.running import UUID_TEXT, RunningGateway
from libs.common.ids import new_id
from ops.cli import main as lumiere_command

NASTY = """<script>"%[src]\\' {"a": 1} é"""
OFF = Decision(enabled=False, revision=7)


class Commands:
    """The operator's command, at either of its two doors."""

    def __init__(self, command: click.Group, before: list[str], environ: dict[str, str]) -> None:
        self._command = command
        self._before = before
        self._environ = environ

    def __call__(self, *arguments: str) -> tuple[int, Any]:
        """(Exit code, what `--json` answers)."""
        result = CliRunner().invoke(self._command, [*self._before, *arguments, "--json"], env=self._environ)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, json.loads(result.stdout) if result.stdout.strip() else result.stderr


@pytest.fixture(params=["python -m gateway", "lumiere gateway"])
def commands(request: pytest.FixtureRequest, door: RunningGateway) -> Commands:
    """In the gateway's container, and on a machine of its own."""
    if request.param == "lumiere gateway":
        return Commands(lumiere_command, ["gateway"], {"LUMIERE_HOME": str(door.root)})
    return Commands(gateway_command, [], {"GATEWAY_FOLDER": str(door.folder.root)})


def test_the_operators_command_shuts_and_opens_the_door_and_tells_both_words(door: RunningGateway, commands: Commands) -> None:
    door.gateway.hear_auth(OFF)
    code, answer = commands("maintenance", "on", "--reason", NASTY)
    assert (code, answer["enabled"], answer["enforced"], answer["operator"]["reason"]) == (0, True, True, NASTY)
    assert answer["operator"]["changed_by"]
    assert door.shut()

    door.gateway.hear_auth(Decision(enabled=False, revision=8))
    code, answer = commands("maintenance", "status")
    assert (code, answer["enforced"], answer["operator"]["enabled"], answer["auth"]["revision"]) == (0, True, True, 8)
    assert door.shut()

    code, answer = commands("maintenance", "follow")
    assert (code, answer["enforced"], answer["operator"]) == (0, False, None)
    assert not door.shut()


def test_the_operators_command_ends_sessions_and_persons(door: RunningGateway, commands: Commands) -> None:
    session, subject = new_id(), new_id()
    by_session, by_subject = door.bearer(sid=str(session)), door.bearer(sub=str(subject))

    assert commands("revoke", "--session", str(session)) == (0, {"session": str(session), "revoked": True, "enforced": True})
    assert commands("revoke", "--subject", str(subject)) == (0, {"subject": str(subject), "revoked": True, "enforced": True})
    door.gateway.take_revocations({"sessions": {str(new_id()): 2_000_000_000}})
    for headers in (by_session, by_subject, door.bearer()):
        status = httpx.get(f"{door.url}/api/v1/mine", headers=headers).status_code
        assert status == (401 if headers in (by_session, by_subject) else 200)
    assert str(session) in Containment(door.folder)._revocations.sessions


def test_the_command_withdraws_a_key_and_trusts_it_again(commands: Commands) -> None:
    assert commands("withdraw-key", "key-old") == (0, {"key_id": "key-old", "withdrawn": True, "enforced": True})
    assert commands("withdraw-key", "key-old", "--undo") == (0, {"key_id": "key-old", "withdrawn": False, "enforced": True})


def test_without_haproxy_the_command_keeps_it_for_the_next_start_and_says_so(door: RunningGateway, commands: Commands) -> None:
    door.stop()
    code, answer = commands("maintenance", "on")
    assert (code, answer["enabled"], answer["enforced"]) == (KEPT_ONLY, True, None)

    door.start()
    assert door.shut()


@pytest.mark.parametrize(
    "arguments",
    [
        ("maintenance", "perhaps"),
        ("maintenance", "on", "--reason", ""),
        ("maintenance", "on", "--reason", "two\nlines"),
        ("maintenance", "on", "--reason", "x" * (limits.MAINTENANCE_REASON_MAX + 1)),
        ("maintenance", "follow", "--reason", "why"),
        ("revoke",),
        ("revoke", "--session", UUID_TEXT, "--subject", UUID_TEXT),
        ("revoke", "--session", "nobody"),
        ("withdraw-key", "../keys"),
        ("withdraw-key", "key-one\n"),
    ],
    ids=lambda arguments: " ".join(arguments)[:40],
)
def test_what_the_command_does_not_understand_changes_nothing(
    door: RunningGateway, commands: Commands, arguments: tuple[str, ...]
) -> None:
    before = door.gateway.maintenance.document()
    code, _ = commands(*arguments)

    assert code == 2
    assert Containment(door.folder).maintenance.document() == before


def test_the_longest_reason_is_taken(commands: Commands) -> None:
    code, answer = commands("maintenance", "on", "--reason", "x" * limits.MAINTENANCE_REASON_MAX)
    assert (code, len(answer["operator"]["reason"])) == (0, limits.MAINTENANCE_REASON_MAX)


def test_where_no_gateway_ever_ran_the_command_says_what_to_do(tmp_path: Path) -> None:
    commands = Commands(lumiere_command, ["gateway"], {"LUMIERE_HOME": str(tmp_path / "none")})
    code, said = commands("maintenance", "on")

    assert (code, "make up" in said) == (1, True)
    assert not (tmp_path / "none").exists()


def test_on_a_full_disk_the_command_is_obeyed_and_says_what_is_missing(
    door: RunningGateway, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as changes:
        changes.setattr(Folder, "write_state", full)
        changes.setattr(Folder, "append_state", full)
        code, said = commands("maintenance", "on")

    assert (code, "a restart forgets it" in said) == (1, True)
    assert door.shut()
    assert commands("maintenance", "off")[0] == 0


def test_status_tells_when_the_running_haproxy_does_something_else(door: RunningGateway, commands: Commands) -> None:
    door.folder.write_state(MAINTENANCE_FILE, Maintenance(operator=Decision(enabled=True)).file())
    code, answer = commands("maintenance", "status")

    assert (code, answer["enabled"], answer["enforced"]) == (BEHIND, True, False)


def test_a_container_without_a_gateway_says_where_there_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "gateway.containment_commands", None)
    code, said = Commands(lumiere_command, ["gateway"], {"LUMIERE_HOME": str(tmp_path)})("maintenance", "on")

    assert (code, "exec gateway python -m gateway maintenance" in said) == (1, True)


def test_a_torn_line_of_what_operators_did_is_told_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = []
    monkeypatch.setattr("gateway.containment.log.warning", lambda _event, **members: told.append(members))
    folder = Folder(tmp_path)
    folder.append_state("acts.jsonl", b'{"by": "ada", "act"')
    Containment(folder).tell_acts()

    assert told == [{"unreadable": '{"by": "ada", "act"'}]
    assert folder.read_state("acts.jsonl") == b""


def test_what_operators_did_is_told_once_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = []
    monkeypatch.setattr("gateway.containment.log.warning", lambda event, **members: told.append({"event": event, **members}))
    containment = Containment(Folder(tmp_path))
    containment.note("ada", "maintenance on", reason=NASTY)
    containment.note("ada", "revoke session", session="some")
    for _ in range(2):
        Containment(Folder(tmp_path)).tell_acts()

    assert [(each["event"], each["by"], each["act"]) for each in told] == [
        ("gateway.operator_acted", "ada", "maintenance on"),
        ("gateway.operator_acted", "ada", "revoke session"),
    ]
    assert told[0]["reason"] == NASTY
