"""A candidate policy on trial before a real HAProxy: it decides nothing; what it would decide is logged and counted."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from gateway.control import guarded
from gateway.dry_run import CANDIDATE_FILE, DryRun, Finding, Trial
from gateway.manifest import ROOT, Manifest, read
from gateway.measures import Measures
from gateway.policy_commands import COMMANDS
from gateway.telling import ControlAway
from gateway.tests.running import ROUTES, UUID_TEXT, RunningGateway, eventually, route
from gateway.tests.test_access_log import line_of
from libs.common.auth.browser import SESSION_COOKIE
from libs.common.auth.policy import Role
from libs.common.ids import new_id

CHANGED: dict[str, dict[str, Any]] = {
    "/api/v1/echo": {"allow": "signed_in"},
    "/api/v1/mine": {"allow": ["ADMIN"]},
    "/api/v1/admin/things": {"allow": ["ADMIN", "VIEWER"]},
    "/api/v1/small": {"body_limit": 3},
}
CANDIDATE = [
    *({**each, **CHANGED.get(each["path"], {})} for each in ROUTES if each["path"] != "/api/v1/login"),
    route("GET", "/api/v1/new/{name}", "public", parameters={"name": "string"}),
]


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningGateway, DryRun, Measures]]:
    """A gateway that tries a candidate, and what counts for it."""
    running = RunningGateway(tmp_path_factory.mktemp("tried"))
    stopped = threading.Event()
    try:
        running.scale(1)
        running.publish_key()
        running.start()
        measures = Measures(running.folder, lambda: iter(()))
        threading.Thread(target=measures.run, args=(stopped,), daemon=True).start()
        trying = DryRun(running.folder)
        trying.start(candidate(running), "a folder")
        assert running.gateway.compile()
        yield running, trying, measures
    finally:
        stopped.set()
        running.close()


def candidate(running: RunningGateway) -> tuple[Manifest, ...]:
    """The candidate's manifests."""
    path = running.root / "proposed" / "services" / "echo" / "policy.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"service": "echo", "processes": ["web", "stream"], "routes": CANDIDATE}), encoding="utf-8")
    return read([ROOT / "gateway" / "policy.json", path])


@pytest.mark.parametrize(
    ("method", "path", "roles", "status", "verdict"),
    [
        ("GET", "/api/v1/echo", None, 200, "token_missing"),
        ("GET", "/api/v1/echo", (), 200, "permitted"),
        ("GET", "/api/v1/mine", (Role.VIEWER,), 200, "role_missing"),
        ("GET", "/api/v1/mine", (Role.ADMIN, Role.VIEWER), 200, "permitted"),
        ("GET", "/api/v1/admin/things", (Role.VIEWER,), 403, "permitted"),
        ("GET", "/api/v1/admin/things", (Role.ARTIST,), 403, "role_missing"),
        ("GET", f"/api/v1/things/{UUID_TEXT}", (Role.ARTIST,), 200, "permitted"),
        ("POST", "/api/v1/login", None, 200, "not_found"),
        ("POST", "/api/v1/small", None, 200, "body_too_large"),
        ("GET", "/api/v1/new/one", None, 404, "public"),
        ("GET", "/api/v1/nowhere", None, 404, "not_found"),
        ("GET", "/api/v1/films/one", None, 200, "public"),
        ("GET", "/health/live", None, 200, "public"),
    ],
)
def test_a_candidate_decides_nothing_and_its_verdict_is_logged(
    method: str, path: str, roles: Any, status: int, verdict: str, tried: tuple[RunningGateway, DryRun, Measures]
) -> None:
    running, _, _ = tried
    request_id = new_id().hex
    headers = {"X-Request-Id": request_id, **({} if roles is None else running.bearer(*roles))}

    answer = httpx.request(method, running.url + path, headers=headers, content=b"12345" if method == "POST" else None)

    assert answer.status_code == status
    assert line_of(running, request_id)["candidate"] == verdict


def test_a_candidate_reads_the_roles_of_a_browsers_session_too(tried: tuple[RunningGateway, DryRun, Measures]) -> None:
    running, _, _ = tried
    request_id = new_id().hex
    token = running.forge.token(Role.VIEWER)

    httpx.get(f"{running.url}/api/v1/mine", headers={"X-Request-Id": request_id, "Cookie": f"{SESSION_COOKIE}={token}"})

    line = line_of(running, request_id)
    assert (line["decision"], line["candidate"]) == ("permitted", "role_missing")


def test_what_a_candidate_would_turn_round_is_counted_by_who_may_today(
    tried: tuple[RunningGateway, DryRun, Measures],
) -> None:
    running, _, measures = tried
    before = dict(measures.tally.candidates)
    with httpx.Client(base_url=running.url) as client:
        for _ in range(3):
            client.get("/api/v1/echo")
        client.get("/api/v1/admin/things", headers=running.bearer(Role.VIEWER))
        client.get("/api/v1/mine", headers={"Authorization": "Bearer a.b.c"})
    refused = ("echo.get_echo", "public", "refuse", "token_missing")
    permitted = ("echo.get_admin_things", "ADMIN", "permit", "permitted")

    eventually(lambda: measures.tally.candidates[refused] - before.get(refused, 0) == 3)
    eventually(lambda: measures.tally.candidates[permitted] - before.get(permitted, 0) == 1)
    # A token that does not hold is no question of policy.
    assert not [key for key in measures.tally.candidates if key[0] == "echo.get_mine" and key[2] == "permit"]


def test_nothing_is_judged_twice_once_a_trial_has_ended(own: RunningGateway) -> None:
    trying = DryRun(own.folder)
    first = own.folder.current_release()
    trying.start(candidate(own), "a folder")
    own.gateway.compile()
    assert trying.compiled()
    assert own.folder.current_release() != first

    assert trying.stop()
    own.gateway.compile()

    assert not trying.compiled()
    assert not trying.stop()
    assert own.folder.current_release() == first
    assert "candidate" not in (own.folder.current / "haproxy.cfg").read_text(encoding="utf-8")


def test_a_candidate_that_cannot_be_read_or_compiled_never_stands_in_the_way(own: RunningGateway) -> None:
    spoilt = Trial.model_validate(
        {"source": "x", "started_at": "2026-01-01T00:00:00Z", "before": [], "manifests": [*candidate(own), *candidate(own)]}
    )
    for content in (b"{", b'{"source": 1}', spoilt.model_dump_json().encode()):
        own.folder.write_state(CANDIDATE_FILE, content)

        assert guarded("compile", own.gateway.compile)
        assert not DryRun(own.folder).compiled()


def counted(monkeypatch: pytest.MonkeyPatch, *counts: dict[tuple[str, str, str, str], float]) -> None:
    """Let the control process have counted this, one after the other."""
    left = list(counts)
    monkeypatch.setattr(DryRun, "counted", lambda _: left.pop(0))


def test_a_report_leaves_out_what_was_counted_before_the_trial(own: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    some, other = ("echo.a", "public", "refuse", "token_missing"), ("echo.b", "ADMIN", "permit", "permitted")
    counted(monkeypatch, {some: 5}, {some: 7, other: 3}, {some: 1})
    trial = DryRun(own.folder).start(candidate(own), "a folder")

    assert DryRun(own.folder).report(trial) == [Finding(*other, requests=3), Finding(*some, requests=2)]
    assert DryRun(own.folder).report(trial) == [Finding(*some, requests=1)]  # the control process was started again


def test_the_commands_start_report_and_stop(own: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    candidate(own)
    counted(monkeypatch, {}, {("echo.a", "public", "refuse", "token_missing"): 4})
    monkeypatch.setattr("gateway.policy_commands.TAKEN_SECONDS", 0)

    def typed(*words: str) -> str:
        result = CliRunner().invoke(COMMANDS["dry-run"], list(words), obj=lambda: own.folder)
        assert result.exit_code == 0, result.output
        return result.output

    assert "judges beside the one in force; no control process has taken it yet" in typed("start", str(own.root / "proposed"))
    assert "4 × would refuse echo.a (for public today; token_missing)" in typed("report")
    assert typed("stop") == "The trial has ended.\n"
    assert json.loads(typed("stop", "--json")) == {"stopped": False}


def test_who_asks_a_control_process_that_is_away_is_told(own: RunningGateway) -> None:
    with pytest.raises(ControlAway, match="does not answer"):
        DryRun(own.folder).counted()
