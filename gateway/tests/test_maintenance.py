"""The door is shut for maintenance: who is turned away and how, whose word counts, and that no restart forgets it."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from fcntl import LOCK_EX, flock
from itertools import product
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
from click.testing import CliRunner

from gateway import limits, manifest
from gateway.__main__ import main as gateway_command
from gateway.containment import Containment, map_of
from gateway.containment_commands import KEPT_ONLY
from gateway.discovery import FileTargets
from gateway.folder import Folder
from gateway.maintenance import MAINTENANCE_FILE, SCOPE, Decision, Maintenance, Word
from gateway.manifest import ROOT
from gateway.revocations import SESSIONS_FILE
from gateway.state import Gateway
from gateway.tests.running import ROUTES, RunningGateway, route
from libs.common.auth.policy import Role
from libs.common.ids import new_id
from ops.cli import main as lumiere_command

ANSWERED = {"/api/v1/login", "/api/v1/admin/things"}
DETAIL = "The platform is being maintained; try again later."
NASTY = """<script>"%[src]\\' {"a": 1} é"""
OPERATOR = "somebody"
ON, OFF = Decision(enabled=True, reason="auth says so", revision=7), Decision(enabled=False, revision=7)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """One gateway for this file; its door stands open before each test."""
    routes = [{**each, "during_maintenance": each["path"] in ANSWERED} for each in ROUTES]
    gateway = RunningGateway(tmp_path_factory.mktemp("maintenance"), routes=routes)
    try:
        gateway.scale(1)
        gateway.publish_key()
        gateway.start()
        yield gateway
    finally:
        gateway.close()


@pytest.fixture
def door(running: RunningGateway) -> Iterator[RunningGateway]:
    """The gateway, its door open before and after."""
    yield running
    if running.process and running.process.poll() is not None:
        running.start()
    running.gateway.hear_operator(Word.FOLLOW, None, OPERATOR)
    running.gateway.hear_auth(Decision(enabled=False), running.gateway.maintenance.revision)


def shut(door: RunningGateway) -> bool:
    """Whether somebody who is nobody's administrator is turned away."""
    answer = httpx.get(f"{door.url}/api/v1/echo")
    assert answer.status_code in {200, 503}
    return answer.status_code == 503


def address(each: manifest.Route) -> str:
    """A path that the route takes."""
    values = {"uuid": str(new_id()), "int": "1", "string": "some", "path": "a/b"}
    return each.path.format(**{name: values[kind] for name, kind in each.parameters.items()})


class WholePlatform(RunningGateway):
    """Compiled from what the services really declare; none of them runs."""

    def another_gateway(self) -> Gateway:
        """With the committed manifests."""
        return Gateway(self.door, self.folder, FileTargets(self.targets))


def test_during_maintenance_the_declared_routes_are_answered_and_no_others(tmp_path: Path) -> None:
    whole = WholePlatform(tmp_path)
    exposed = [each for one in manifest.read(manifest.manifest_paths()) for each in one.routes if each.exposed]
    try:
        whole.targets.write_text("{}", encoding="utf-8")
        whole.publish_key()
        whole.start()
        whole.gateway.hear_operator(Word.ON, None, OPERATOR)
        with httpx.Client(base_url=whole.url) as client:
            turned_away = {each.operation for each in exposed if DETAIL in client.request(each.method, address(each)).text}
    finally:
        whole.close()

    assert turned_away == {each.operation for each in exposed if not each.during_maintenance}
    assert turned_away


def test_who_maintains_the_platform_can_sign_in_and_work() -> None:
    declared = [each for one in manifest.read(manifest.manifest_paths()) for each in one.routes]
    answered = {each.path for each in declared if each.during_maintenance}

    assert {each.path for each in declared if each.allow == (Role.ADMIN,)} <= answered
    assert {f"/api/v1/auth/{name}" for name in ("login", "refresh", "logout")} <= answered
    assert {"/health/live", "/health/ready", "/.well-known/jwks.json"} <= answered


def test_who_is_turned_away_learns_when_to_come_again_and_spends_nothing(door: RunningGateway) -> None:
    def remaining() -> int:
        return int(httpx.get(f"{door.url}/api/v1/echo").headers["ratelimit"].split("r=")[1].split(";")[0])

    before = remaining()
    door.gateway.hear_operator(Word.ON, NASTY, OPERATOR)
    answers = [httpx.get(f"{door.url}/api/v1/{name}") for name in ("echo", "mine", "films/some", "tiles/a/b")]
    door.gateway.hear_operator(Word.OFF, None, OPERATOR)

    for answer in answers:
        assert (answer.status_code, answer.headers["retry-after"]) == (503, str(limits.MAINTENANCE_RETRY_SECONDS))
        assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("application/problem+json", "no-store")
        assert (answer.json()["detail"], answer.json()["instance"]) == (DETAIL, answer.url.path)
        assert "ratelimit" not in answer.headers
        assert "script" not in answer.text
    assert remaining() == before - 1
    assert '"decision":"maintenance"' in door.log


def test_a_browser_is_told_too(door: RunningGateway) -> None:
    door.gateway.hear_operator(Word.ON, None, OPERATOR)
    answer = httpx.get(f"{door.url}/api/v1/echo", headers={"Accept": "text/html,application/xhtml+xml"})

    assert (answer.status_code, answer.headers["retry-after"]) == (503, str(limits.MAINTENANCE_RETRY_SECONDS))
    assert DETAIL in answer.text


def test_roles_and_addresses_are_judged_as_ever(door: RunningGateway) -> None:
    door.gateway.hear_operator(Word.ON, None, OPERATOR)

    def status(method: str, path: str, *roles: Role) -> int:
        return httpx.request(method, door.url + path, headers=door.bearer(*roles) if roles else None).status_code

    assert status("POST", "/api/v1/login") == 200
    assert status("GET", "/api/v1/admin/things", Role.ADMIN) == 200
    assert status("GET", "/api/v1/admin/things", Role.ARTIST) == 403
    assert status("GET", "/api/v1/admin/things") == 401
    assert status("GET", "/api/v1/mine", Role.ADMIN) == 503
    assert status("GET", "/health/ready") == 200
    assert status("GET", "/api/v1/nothing/here") == 404
    assert status("DELETE", "/api/v1/echo") == 405


def test_a_stream_that_is_open_stays_open(door: RunningGateway) -> None:
    with httpx.stream("GET", f"{door.url}/api/v1/notices/stream", headers=door.bearer()) as answer:
        chunks = answer.iter_raw()
        begun = next(chunks)
        door.gateway.hear_operator(Word.ON, None, OPERATOR)
        assert shut(door)
        text = begun + b"".join(chunks)

    assert b"data: 4" in text


@pytest.mark.parametrize(
    ("auth", "word"), list(product([None, ON, OFF], Word)), ids=lambda each: getattr(each, "enabled", each) and str(each)[:14]
)
def test_the_operators_word_counts_before_auths_until_it_is_taken_back(
    door: RunningGateway, auth: Decision | None, word: Word
) -> None:
    if auth:
        door.gateway.hear_auth(auth)
    door.gateway.hear_operator(word, None, OPERATOR)
    wanted = auth is ON if word is Word.FOLLOW else word is Word.ON

    assert (shut(door), door.gateway.maintenance.enabled) == (wanted, wanted)
    assert door.another_gateway().maintenance.document() == door.gateway.maintenance.document()


def test_maintenance_outlives_reloads_restarts_and_a_new_control_process(door: RunningGateway) -> None:
    door.gateway.hear_auth(ON)
    door.write_routes([*ROUTES, route("GET", "/api/v1/added", "public")])
    assert door.gateway.compile()
    assert shut(door)

    door.stop()
    door.start()
    assert shut(door)

    later = door.another_gateway()
    later.reconcile()
    assert shut(door)
    later.hear_auth(Decision(enabled=False, revision=8))
    assert not shut(door)
    door.stop()
    door.start()
    assert not shut(door)


def test_what_is_decided_while_haproxy_is_away_holds_from_its_start(door: RunningGateway) -> None:
    door.stop()
    door.gateway.hear_auth(ON)
    door.start()

    assert shut(door)


def test_a_late_broadcast_does_not_undo_a_newer_decision() -> None:
    said = Maintenance(auth=ON)

    assert not said.hear_auth(Decision(enabled=False, revision=6))
    assert not said.hear_auth(Decision(enabled=False, revision=7))
    assert said.hear_auth(Decision(enabled=False, revision=8))
    assert not said.enabled


def test_auths_answer_counts_after_a_restored_backup_but_not_when_it_was_asked_before_a_broadcast() -> None:
    said = Maintenance(auth=ON)

    assert not said.hear_auth(Decision(enabled=False, revision=6), instead_of=6)
    assert said.hear_auth(Decision(enabled=False, revision=2), instead_of=7)
    assert (said.enabled, said.revision) == (False, 2)


def test_both_words_are_read_back_as_they_were_written_and_nonsense_is_as_good_as_none() -> None:
    said = Maintenance(ON, Decision(enabled=False, reason=NASTY, changed_by=OPERATOR))

    assert Maintenance.parse(said.file()) == said
    assert Maintenance.parse(said.file().replace(b"auth {", b"auth ")).auth is None
    assert not Maintenance.parse(b"").enabled


WRITER = """
import sys
from pathlib import Path
from uuid import UUID
from gateway.containment import Containment
from gateway.folder import Folder

containment = Containment(Folder(Path(sys.argv[1])))
sys.stdin.readline()
for name in sys.argv[2:]:
    containment.revoke_session(UUID(name))
"""


def test_two_processes_and_a_reload_at_once_lose_nobodys_entry(door: RunningGateway) -> None:
    shares = [[str(new_id()) for _ in range(40)] for _ in range(3)]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(door.folder.root), *names], cwd=ROOT, stdin=subprocess.PIPE, text=True
        )
        for names in shares[:2]
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for number, name in enumerate(shares[2]):
        door.gateway.take_revocations({"sessions": {name: 2_000_000_000}})
        if number % 20 == 10:
            door.write_routes([*ROUTES, route("GET", f"/api/v1/meanwhile{number}", "public")])
            assert door.gateway.compile()
    assert [writer.wait(60) for writer in writers] == [0, 0]
    for writer in writers:
        writer.communicate()

    wanted = {name for names in shares for name in names}
    assert wanted <= set(door.another_gateway()._revocations.sessions)
    door.gateway.reconcile()  # as the watch does, several times a second
    assert wanted <= set(door.gateway.haproxy.entries(map_of(SESSIONS_FILE)))


def test_two_threads_of_two_processes_decide_and_disk_and_worker_agree(door: RunningGateway) -> None:
    other = door.another_gateway()
    deciding = [
        threading.Thread(target=lambda each=each, word=word: [each.hear_operator(word, str(n), OPERATOR) for n in range(20)])
        for each, word in ((door.gateway, Word.ON), (other, Word.OFF))
    ]
    for thread in deciding:
        thread.start()
    for thread in deciding:
        thread.join()

    on_disk = Maintenance.parse(door.folder.read_state(MAINTENANCE_FILE)).enabled
    assert (SCOPE in door.gateway.haproxy.entries(map_of(MAINTENANCE_FILE))) == on_disk == shut(door)


def test_a_process_that_died_between_disk_and_push_is_finished_by_the_watch(door: RunningGateway) -> None:
    door.folder.write_state(MAINTENANCE_FILE, Maintenance(operator=Decision(enabled=True)).file())
    assert not shut(door)

    door.gateway.reconcile()
    assert shut(door)


def test_a_process_that_hangs_with_the_locks_stops_nobody(door: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.containment.LOCK_SECONDS", 0.05)
    monkeypatch.setattr("gateway.haproxy.LOCK_SECONDS", 0.05)
    with (door.folder.root / "state.lock").open("w") as one, (door.folder.root / "haproxy.lock").open("w") as another:
        flock(one, LOCK_EX)
        flock(another, LOCK_EX)
        Containment(door.folder).hear_operator(Word.ON, None, OPERATOR)

    assert shut(door)


def test_a_full_disk_keeps_nobody_from_refusing(door: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    session = new_id()
    headers = door.bearer(sid=str(session))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as changes:
        changes.setattr(door.folder, "write_state", full)
        with pytest.raises(OSError, match="No space"):
            door.gateway.revoke_session(session)

    assert httpx.get(f"{door.url}/api/v1/mine", headers=headers).status_code == 401


def test_a_withdrawn_key_is_refused_at_once_whatever_auth_lists_until_the_withdrawal_is_undone(door: RunningGateway) -> None:
    headers = door.bearer()

    def status() -> int:
        return httpx.get(f"{door.url}/api/v1/mine", headers=headers).status_code

    assert status() == 200
    Containment(door.folder).withdraw_key("key-one")
    assert status() == 401
    door.stop()
    door.start()
    assert status() == 401
    door.gateway.take_keys({"keys": [door.key.as_dict(private=False), door.key_of_tests("key-two").as_dict(private=False)]})
    assert [key.key_id for key in door.gateway.keys] == ["key-two"]
    assert Containment(door.folder).restore_key("key-one")
    door.gateway.reconcile()
    assert door.gateway.compile()
    assert status() == 200


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
    assert shut(door)

    door.gateway.hear_auth(Decision(enabled=False, revision=8))
    code, answer = commands("maintenance", "status")
    assert (code, answer["enforced"], answer["operator"]["enabled"], answer["auth"]["revision"]) == (0, True, True, 8)
    assert shut(door)

    code, answer = commands("maintenance", "follow")
    assert (code, answer["enforced"], answer["operator"]) == (0, False, None)
    assert not shut(door)


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
    assert shut(door)


@pytest.mark.parametrize(
    "arguments",
    [
        ("maintenance", "perhaps"),
        ("maintenance", "on", "--reason", ""),
        ("maintenance", "on", "--reason", "two\nlines"),
        ("maintenance", "on", "--reason", "x" * (limits.MAINTENANCE_REASON_MAX + 1)),
        ("maintenance", "follow", "--reason", "why"),
        ("revoke",),
        ("revoke", "--session", str(new_id()), "--subject", str(new_id())),
        ("revoke", "--session", "nobody"),
        ("withdraw-key", "../keys"),
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
