"""The door is shut for maintenance: who is turned away and how, whose word counts, and that no restart forgets it."""

from itertools import product
from pathlib import Path

import httpx
import pytest

from gateway import limits, manifest
from gateway.discovery import FileTargets
from gateway.maintenance import Decision, Maintenance, Word
from gateway.state import Gateway
from gateway.tests.running import ROUTES, RunningGateway, route
from libs.common.auth.policy import Access, Role
from libs.common.ids import new_id

DETAIL = "The platform is being maintained; try again later."
NASTY = """<script>"%[src]\\' {"a": 1} é"""
OPERATOR = "somebody"
ON, OFF = Decision(enabled=True, reason="auth says so", revision=7), Decision(enabled=False, revision=7)


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
    declared = [each for one in manifest.read(manifest.manifest_paths()) for each in one.routes]
    exposed = [each for each in declared if each.exposed and each.allow is not Access.CRON]  # no secret, no cron door
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
    answer = httpx.get(f"{door.url}/api/v1/echo", headers={"Accept": "text/html", "Accept-Language": "fr"})

    assert (answer.status_code, answer.headers["retry-after"]) == (503, str(limits.MAINTENANCE_RETRY_SECONDS))
    assert answer.headers["content-type"].startswith("text/html")
    assert "Maintenance en cours" in answer.text


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
        assert door.shut()
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

    assert (door.shut(), door.gateway.maintenance.enabled) == (wanted, wanted)
    assert door.another_gateway().maintenance.document() == door.gateway.maintenance.document()


def test_maintenance_outlives_reloads_restarts_and_a_new_control_process(door: RunningGateway) -> None:
    door.gateway.hear_auth(ON)
    door.write_routes([*ROUTES, route("GET", "/api/v1/added", "public")])
    assert door.gateway.compile()
    assert door.shut()

    door.stop()
    door.start()
    assert door.shut()

    later = door.another_gateway()
    later.reconcile()
    assert door.shut()
    later.hear_auth(Decision(enabled=False, revision=8))
    assert not door.shut()
    door.stop()
    door.start()
    assert not door.shut()


def test_what_is_decided_while_haproxy_is_away_holds_from_its_start(door: RunningGateway) -> None:
    door.stop()
    door.gateway.hear_auth(ON)
    door.start()

    assert door.shut()


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
