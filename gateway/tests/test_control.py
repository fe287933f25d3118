"""The control process as it runs in production: its own process, a real broker, a real HAProxy; auth alone is a fake."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from gateway.control import FIRST_SECONDS
from gateway.manifest import ROOT
from gateway.tests.controlled import Platform, child_of, ended, holding, started
from gateway.tests.running import AUDIENCE, ORIGIN, RunningGateway, eventually, free_port
from libs.common import clock
from libs.common.auth.policy import Role
from libs.common.ids import new_id
from tests.tokens import Forge


@pytest.fixture
def platform_of_one(tmp_path: Path) -> Iterator[Platform]:
    yield from started(Platform(tmp_path))


@pytest.fixture(scope="module")
def shared_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """For tests that leave it as it was. Its key has another name, for it too hears which keys are withdrawn."""
    yield from started(Platform(tmp_path_factory.mktemp("shared-platform"), "key-shared"))


def revoked(session: UUID | None, user: UUID) -> dict[str, Any]:
    """The data of `auth.session.revoked`."""
    now = clock.now().isoformat()
    return {
        "user_id": str(user),
        "session_id": str(session) if session else None,
        "not_before": None if session else now,
        "expires_at": now,
        "reason": "LOGOUT",
    }


def test_a_broadcast_ends_a_session_and_the_end_outlives_every_restart(platform_of_one: Platform) -> None:
    session = new_id()
    token, other = platform_of_one.forge().token(Role.ADMIN, sid=str(session)), platform_of_one.forge().token(Role.ADMIN)
    assert platform_of_one.status(token) == 200

    platform_of_one.broadcast("auth.session.revoked", str(new_id()), revoked(session, new_id()))
    eventually(lambda: platform_of_one.status(token) == 401, 1)

    assert platform_of_one.status(other) == 200
    for name in ("run", "control"):
        platform_of_one.end(name)
        platform_of_one.start(name)
        assert eventually(lambda: platform_of_one.status(other) == 200, 20)
        assert platform_of_one.status(token) == 401


def test_a_broadcast_ends_every_session_of_a_person(shared_platform: Platform) -> None:
    user, now = new_id(), int(clock.epoch())
    token = shared_platform.forge().token(Role.ADMIN, sub=str(user), iat=now - 5, nbf=now - 5)
    assert shared_platform.status(token) == 200

    shared_platform.broadcast("auth.session.revoked", str(user), revoked(None, user))

    assert eventually(lambda: shared_platform.status(token) == 401, 1)


def test_what_was_withdrawn_while_nobody_listened_is_caught_up_from_what_auth_says(platform_of_one: Platform) -> None:
    session, user, now = new_id(), new_id(), int(clock.epoch())
    second = RunningGateway.key_of_tests("key-two")
    kept = Forge(second, "key-two", ORIGIN, AUDIENCE).token(Role.ADMIN)
    forge = platform_of_one.forge()
    by_session = forge.token(Role.ADMIN, sid=str(session))
    by_age = forge.token(Role.ADMIN, sub=str(user), iat=now - 60, nbf=now - 60)
    by_key = forge.token(Role.ADMIN)
    platform_of_one.auth.keys.append(second.as_dict(private=False))
    assert eventually(lambda: platform_of_one.status(kept) == 200, 10)
    assert [platform_of_one.status(each) for each in (by_session, by_age, by_key)] == [200, 200, 200]

    platform_of_one.kill("control")
    platform_of_one.auth.revocations["sessions"][str(session)] = clock.epoch() + 600
    platform_of_one.auth.revocations["subjects"][str(user)] = now - 10
    platform_of_one.start("control")
    assert eventually(lambda: [platform_of_one.status(each) for each in (by_session, by_age)] == [401, 401], 20)
    assert platform_of_one.status(by_key) == 200

    platform_of_one.kill("control")
    platform_of_one.auth.keys.pop(0)
    platform_of_one.start("control")
    assert eventually(lambda: platform_of_one.status(by_key) == 401, 20)
    assert platform_of_one.status(kept) == 200


def test_without_a_broker_a_gateway_that_starts_knows_what_was_revoked(tmp_path: Path) -> None:
    platform = Platform(tmp_path)
    platform.environ["AMQP_URL"] = f"amqp://127.0.0.1:{free_port()}/"
    ended, other = new_id(), platform.forge().token(Role.ADMIN)
    token = platform.forge().token(Role.ADMIN, sid=str(ended))
    platform.auth.revocations["sessions"][str(ended)] = clock.epoch() + 600
    try:
        platform.start("run")
        platform.start("control")
        assert eventually(lambda: platform.status(other) == 200, 20)
        assert eventually(lambda: platform.status(token) == 401, 20)
        platform.auth.revocations["sessions"].clear()
        for name in ("run", "control"):
            platform.kill(name)
            platform.start(name)
        assert eventually(lambda: platform.status(other) == 200, 20)
        assert platform.status(token) == 401
    finally:
        platform.close()


def test_a_flood_of_unknown_key_ids_costs_auth_one_fetch_in_a_while(shared_platform: Platform) -> None:
    stranger = RunningGateway.key_of_tests("stranger")
    begun, before = clock.monotonic(), shared_platform.auth.fetched_keys

    for number in range(100):
        token = Forge(stranger, f"stranger-{number}", ORIGIN, AUDIENCE).token(Role.ADMIN)
        assert shared_platform.status(token) == 401

    asked = shared_platform.auth.fetched_keys - before
    assert 1 <= asked <= (clock.monotonic() - begun) / FIRST_SECONDS + 1


def maintained(platform: Platform) -> bool:
    """Whether the door is shut to somebody who does not maintain the platform."""
    answer = httpx.get(f"http://127.0.0.1:{platform.port}/dashboard", headers={"Accept": "application/json"})
    assert answer.status_code in {401, 503}
    return answer.status_code == 503


def decision(enabled: bool, revision: int) -> dict[str, Any]:
    """The data of `auth.maintenance.changed`, and what auth's list says from then on."""
    now = clock.now().isoformat()
    return {
        "scope": "platform",
        "enabled": enabled,
        "reason": "The database moves.",
        "changed_by": str(new_id()),
        "changed_at": now,
        "revision": revision,
    }


def test_maintenance_is_heard_at_once_outlives_every_restart_and_is_caught_up(platform_of_one: Platform) -> None:
    told = decision(True, 1)
    platform_of_one.auth.maintenance = told
    platform_of_one.broadcast("auth.maintenance.changed", "platform", told)
    eventually(lambda: maintained(platform_of_one), 1)

    platform_of_one.end("control")
    platform_of_one.end("run")
    platform_of_one.start("run")
    assert eventually(lambda: platform_of_one.status(platform_of_one.forge().token(Role.VIEWER)) == 403, 20)
    assert maintained(platform_of_one)

    platform_of_one.auth.maintenance = decision(False, 2)
    platform_of_one.start("control")
    assert eventually(lambda: not maintained(platform_of_one), 20)


def test_an_operators_word_is_obeyed_without_the_control_process_which_tells_it_later(platform_of_one: Platform) -> None:
    platform_of_one.end("control")

    def command(*arguments: str) -> int:
        words = [sys.executable, "-m", "gateway", *arguments]
        return subprocess.run(words, cwd=ROOT, env=platform_of_one.environ, check=False, capture_output=True).returncode

    session = new_id()
    assert command("maintenance", "on", "--reason", "auth is down") == 0
    assert command("revoke", "--session", str(session)) == 0
    assert maintained(platform_of_one)

    platform_of_one.start("control")
    log = platform_of_one.root / "control.log"
    assert eventually(lambda: log.read_text(encoding="utf-8").count("gateway.operator_acted") == 2, 20)
    assert '"reason":"auth is down"' in log.read_text(encoding="utf-8")
    assert maintained(platform_of_one)
    refused = platform_of_one.forge().token(Role.ADMIN, sid=str(session))
    assert eventually(lambda: platform_of_one.status(platform_of_one.forge().token(Role.ADMIN)) == 200, 20)
    assert platform_of_one.status(refused) == 401
    assert command("maintenance", "follow") == 0
    assert not maintained(platform_of_one)


def test_a_new_key_is_fetched_when_a_token_names_it_and_a_withdrawn_one_stops_at_once(platform_of_one: Platform) -> None:
    second = RunningGateway.key_of_tests("key-two")
    old = platform_of_one.forge().token(Role.ADMIN)
    new = Forge(second, "key-two", ORIGIN, AUDIENCE).token(Role.ADMIN)
    platform_of_one.auth.keys.append(second.as_dict(private=False))

    assert eventually(lambda: platform_of_one.status(new) == 200, 20)
    assert platform_of_one.status(old) == 200

    platform_of_one.auth.keys.pop(0)
    platform_of_one.broadcast("auth.key.changed", "key-one", {"key_id": "key-one", "action": "WITHDRAWN"})

    assert eventually(lambda: platform_of_one.status(old) == 401, 1)
    assert eventually(lambda: platform_of_one.status(new) == 200)


def test_the_openapi_document_is_merged_and_the_details_are_for_administrators(shared_platform: Platform) -> None:
    url = f"http://127.0.0.1:{shared_platform.port}"

    assert httpx.get(f"{url}/openapi.json").json()["openapi"] == "3.1.0"
    assert httpx.get(f"{url}/health").status_code == 401
    assert shared_platform.status(shared_platform.forge().token(Role.VIEWER)) == 403
    details = httpx.get(
        f"{url}/health", headers={"Authorization": f"Bearer {shared_platform.forge().token(Role.ADMIN)}"}
    ).json()
    assert details["keys"] == ["key-shared"]


def test_the_events_are_published_for_machines_and_may_be_kept_for_a_while(shared_platform: Platform) -> None:
    url = f"http://127.0.0.1:{shared_platform.port}"
    document = httpx.get(f"{url}/asyncapi.json")
    listed = httpx.get(f"{url}/events").json()["events"]
    schema = httpx.get(f"{url}/events/tasks.task.validated/1")

    assert document.json()["asyncapi"] == "3.0.0"
    assert {"type": "tasks.task.validated", "version": 1}.items() <= next(
        each for each in listed if each["type"] == "tasks.task.validated"
    ).items()
    assert schema.headers["content-type"] == "application/schema+json"
    assert schema.json()["$id"] == "https://lumiere.film/events/tasks.task.validated/1"
    assert schema.json()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    for answer in (document, schema):
        assert answer.headers["cache-control"] == "public, max-age=3600"
        again = httpx.get(answer.url, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["tasks.task.validated/2", "tasks.task.lost/1", "tasks.task.validated/one", "Money/1"])
def test_a_schema_that_nobody_published_is_a_problem(shared_platform: Platform, path: str) -> None:
    answer = httpx.get(f"http://127.0.0.1:{shared_platform.port}/events/{path}")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "max-age" not in answer.headers.get("cache-control", "")


def test_a_killed_control_process_takes_its_children_along_and_the_next_one_serves_again(shared_platform: Platform) -> None:
    administrator = shared_platform.forge().token(Role.ADMIN)
    assert shared_platform.status(administrator) == 200
    pid = shared_platform.processes["control"].pid
    serving = child_of(pid)
    assert serving
    assert holding(pid).isdisjoint({"cryptography", "gevent", "markupsafe", "sqlalchemy", "psycopg2"})
    assert "gevent" in holding(serving)

    shared_platform.kill("control")
    assert eventually(lambda: ended(serving))
    assert shared_platform.status(administrator) in {0, 503}

    shared_platform.start("control")
    assert eventually(lambda: shared_platform.status(administrator) == 200, 20)
