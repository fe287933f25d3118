"""What one client may ask, whatever account it names: exact in Redis, alone without it, and nowhere on disk."""

import secrets
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
import structlog
from flask import Flask
from sqlalchemy import text
from werkzeug.test import TestResponse

from libs.common import clock
from libs.common.config import ConfigurationError, load
from libs.common.events.tests.live import eventually
from libs.common.testing import Harness
from services.auth.adapters.client_limits import AWAY_SECONDS, CountedClients, MemoryWindows, RedisWindows, Windows
from services.auth.domain.limits import ALLOWANCES, CLIENT_HEADER, OTHER_ENVIRONMENTS_FACTOR, ClientLimited, Limit
from services.auth.domain.secrets import MasterSecret
from services.auth.settings import Settings
from services.auth.tests.conftest import PASSWORD, Person, Time, replica
from services.auth.tests.test_settings import COMPLETE

PARALLEL = 12
SECRET = MasterSecret("k3Jw-9vQ2_xT7rLm-Zp5sYd8hB4nC6aFg")
DAY = timedelta(hours=24)


@dataclass
class RedisServer:
    """A Redis of these tests' own, on a socket."""

    folder: Path
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"unix://{self.folder / 'redis.sock'}"

    @property
    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url)

    def start(self) -> None:
        socket = str(self.folder / "redis.sock")
        line = ["redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", str(self.folder)]
        self.process = subprocess.Popen(line, stdout=subprocess.DEVNULL)
        eventually(self.answers, "Redis answers")

    def answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait(timeout=10)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def server(running: RedisServer) -> RedisServer:
    """Redis, running and empty."""
    if not running.answers():
        running.start()
    running.client.flushall()
    return running


@pytest.fixture(params=["Redis", "memory"])
def windows(request: pytest.FixtureRequest, server: RedisServer) -> Windows:
    """Where counts are kept."""
    return RedisWindows(server.url) if request.param == "Redis" else MemoryWindows()


def a_client() -> str:
    """What the gateway would say of somebody new."""
    return secrets.token_hex(32)


class TestWindows:
    def test_counts_go_up_until_the_window_is_over(self, windows: Windows) -> None:
        assert windows.look("key").count == 0
        assert [windows.add("key", timedelta(seconds=0.2)).count for _ in range(3)] == [1, 2, 3]
        seen = windows.look("key")
        assert seen.count == 3
        assert timedelta() < seen.left <= timedelta(seconds=0.2)
        eventually(lambda: windows.look("key").count == 0, "the window is over")
        assert windows.add("key", timedelta(seconds=9)).count == 1

    def test_the_window_begins_with_the_first_and_is_not_prolonged(self, windows: Windows) -> None:
        first = windows.add("key", timedelta(seconds=60)).left
        assert windows.add("key", timedelta(seconds=600)).left <= first

    def test_of_many_at_once_each_is_counted(self, windows: Windows) -> None:
        with ThreadPoolExecutor(PARALLEL) as pool:
            counts = sorted(pool.map(lambda _: windows.add("key", timedelta(seconds=60)).count, range(100)))
        assert counts == list(range(1, 101))

    def test_keys_count_apart(self, windows: Windows) -> None:
        assert [windows.add(key, timedelta(seconds=60)).count for key in ("one", "other")] == [1, 1]

    @pytest.mark.parametrize(("kept", "count"), [(2, 1), (3, 2), (4, 2)])
    def test_memory_remembers_so_many_and_forgets_the_oldest(self, kept: int, count: int) -> None:
        windows = MemoryWindows(kept)
        for key in ("first", "second", "third"):
            windows.add(key, timedelta(seconds=60))
        assert windows.add("first", timedelta(seconds=60)).count == count


class TestLimits:
    @pytest.mark.parametrize("limit", Limit)
    def test_a_client_is_refused_above_its_allowance_until_the_window_is_over(self, limit: Limit, time: Time) -> None:
        limits, allowance = CountedClients(SECRET, 1, None), ALLOWANCES[limit]
        for _ in range(allowance.times):
            assert limits.refusal(limit, "a") is None
            assert limits.count(limit, "a") is None
        refused, over = limits.refusal(limit, "a"), limits.count(limit, "a")
        assert isinstance(refused, ClientLimited)
        assert isinstance(over, ClientLimited)
        assert refused.retry_after == int(allowance.window.total_seconds())
        assert limits.count(limit, "b") is None
        time.passes(allowance.window)
        assert limits.count(limit, "a") is None

    def test_outside_production_one_address_may_do_more(self) -> None:
        limits = CountedClients(SECRET, 2, None)
        assert [limits.count(Limit.REGISTER, "a") is None for _ in range(7)] == [True] * 6 + [False]
        assert load(Settings, COMPLETE).client_factor == OTHER_ENVIRONMENTS_FACTOR
        assert load(Settings, {**COMPLETE, "LUMIERE_ENV": "production"}).client_factor == 1
        for factor in ("0", str(OTHER_ENVIRONMENTS_FACTOR + 1)):
            with pytest.raises(ConfigurationError, match="CLIENT_LIMIT_FACTOR"):
                load(Settings, {**COMPLETE, "CLIENT_LIMIT_FACTOR": factor})

    def test_no_window_is_as_long_as_a_day(self) -> None:
        assert max(each.window for each in ALLOWANCES.values()) < DAY

    def test_while_redis_is_away_each_process_counts_for_itself_and_asks_again_later(
        self, server: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        limits, moment = CountedClients(SECRET, 1, RedisWindows(server.url)), [0.0]
        monkeypatch.setattr(clock, "monotonic", lambda: moment[0])
        assert limits.count(Limit.REGISTER, "a") is None
        server.stop()
        with structlog.testing.capture_logs() as entries:
            assert [limits.count(Limit.REGISTER, "a") is None for _ in range(4)] == [True] * 3 + [False]
        assert [each["event"] for each in entries] == ["auth.limits.redis_away"]
        server.start()
        assert limits.refusal(Limit.REGISTER, "a") is not None
        moment[0] = AWAY_SECONDS
        assert limits.refusal(Limit.REGISTER, "a") is None


ASKING: dict[Limit, tuple[str, Callable[[int], dict[str, Any]]]] = {
    Limit.LOGIN: ("/auth/login", lambda number: {"email": f"n{number}@example.org", "password": f"wrong {number}"}),
    Limit.REGISTER: (
        "/auth/register",
        lambda number: {"email": f"n{number}@example.org", "password": PASSWORD, "display_name": "Ada Lovelace"},
    ),
    Limit.RESET: ("/auth/password/forgot", lambda number: {"email": f"n{number}@example.org"}),
    Limit.RESEND: ("/auth/verify-email/resend", lambda number: {"email": f"n{number}@example.org"}),
}
"""What a client does to use up an allowance, for another account each time."""


def ask(application: Flask, limit: Limit, client: str, number: int) -> TestResponse:
    path, body = ASKING[limit]
    return application.test_client().post(f"/api/v1{path}", json=body(number), headers={CLIENT_HEADER: client})


class TestDoors:
    @pytest.mark.parametrize("limit", Limit)
    def test_a_client_is_refused_whatever_account_it_names_and_told_when_to_come_again(
        self, harness: Harness, limit: Limit
    ) -> None:
        client, allowed = a_client(), ALLOWANCES[limit].times
        answers = [ask(harness.application(), limit, client, number) for number in range(allowed + 1)]
        assert [each.status_code for each in answers] == [401 if limit is Limit.LOGIN else 202] * allowed + [429]
        assert answers[-1].get_json()["type"].endswith("/client-limited")
        assert int(answers[-1].headers["Retry-After"]) <= ALLOWANCES[limit].window.total_seconds()
        assert ask(harness.application(), limit, a_client(), allowed + 1).status_code != 429

    @pytest.mark.parametrize("limit", Limit)
    def test_two_replicas_with_one_redis_answer_no_more_than_one_would(
        self, harness: Harness, server: RedisServer, limit: Limit
    ) -> None:
        allowed, client = ALLOWANCES[limit].times, a_client()
        with replica(harness, REDIS_URL=server.url) as one, replica(harness, REDIS_URL=server.url) as other:

            def work(number: int) -> bool:
                return ask((one, other)[number % 2], limit, client, number).status_code != 429

            with ThreadPoolExecutor(PARALLEL) as pool:
                assert sum(pool.map(work, range(allowed + PARALLEL))) == allowed

    def test_a_client_that_guessed_too_often_is_refused_even_when_it_guesses_right(
        self, harness: Harness, person: Person
    ) -> None:
        client = {CLIENT_HEADER: a_client()}
        for number in range(ALLOWANCES[Limit.LOGIN].times):
            ask(harness.application(), Limit.LOGIN, client[CLIENT_HEADER], number)
        right = {"email": person.email, "password": PASSWORD}
        assert person.call("POST", "/auth/login", right, **client).status_code == 429

    def test_a_known_device_answers_for_nobody_else_at_its_address(self, harness: Harness, person: Person) -> None:
        device, client = person.signed_in()["device_token"], {CLIENT_HEADER: a_client()}
        for number in range(ALLOWANCES[Limit.LOGIN].times):
            ask(harness.application(), Limit.LOGIN, client[CLIENT_HEADER], number)
        right = {"email": person.email, "password": PASSWORD, "device_token": device}
        assert person.call("POST", "/auth/login", right, **client).status_code == 200

    def test_who_signs_in_is_not_counted(self, person: Person) -> None:
        right, client = {"email": person.email, "password": PASSWORD}, a_client()
        statuses = [
            person.call("POST", "/auth/login", right, **{CLIENT_HEADER: client}).status_code
            for _ in range(ALLOWANCES[Limit.LOGIN].times + 2)
        ]
        assert set(statuses) == {200}

    @pytest.mark.parametrize("header", ["", "x", "0" * 63, "0" * 65, "203.0.113.9", "g" * 64])
    def test_what_is_no_hash_counts_for_nothing(self, harness: Harness, header: str) -> None:
        statuses = [ask(harness.application(), Limit.RESET, header, number).status_code for number in range(5)]
        assert statuses == [202] * 5

    def test_the_hash_reaches_no_table_no_log_no_key_and_is_gone_within_a_day(
        self, harness: Harness, server: RedisServer
    ) -> None:
        client = a_client()
        with replica(harness, REDIS_URL=server.url) as one, structlog.testing.capture_logs() as entries:
            for limit in Limit:
                for number in range(ALLOWANCES[limit].times + 1):
                    ask(one, limit, client, number)
            harness.run_job("open_accounts")
            harness.run_job("mail_links")
        with harness.transaction() as tx:
            tables = tx.all(text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'auth'"))
            rows = [
                str(tx.all(text(f"SELECT row_to_json(t)::text FROM auth.{name} t")))  # noqa: S608  names from the catalogue
                for (name,) in tables
            ]
        keys = [bytes(key) for key in server.client.scan_iter()]
        assert len(keys) == len(Limit)
        assert not [key for key in keys if client.encode() in key]
        assert all(0 < int(server.client.ttl(key)) <= DAY.total_seconds() for key in keys)  # type: ignore[arg-type]
        assert client not in "".join(rows).replace("\\\\x", "")
        assert client not in str(entries)


class TestReadiness:
    @staticmethod
    def readiness(application: Flask) -> tuple[int, str, str]:
        """Status, the word for it, and what is said of Redis."""
        answer = application.test_client().get("/health/ready")
        document = answer.get_json()
        return answer.status_code, document["status"], document["checks"].get("redis", "")

    def test_a_service_that_starts_without_redis_is_ready_and_says_what_it_does_meanwhile(
        self, harness: Harness, tmp_path: Path
    ) -> None:
        with replica(harness, REDIS_URL=f"unix://{tmp_path}/none.sock") as one:
            eventually(lambda: self.readiness(one)[1] == "degraded", "the probe has noticed")
            status, _, detail = self.readiness(one)
            answers = [ask(one, Limit.RESET, a_client(), number).status_code for number in range(3)]
        assert (status, detail.partition(" (")[0]) == (200, "degraded: each process counts alone")
        assert answers == [202] * 3

    def test_redis_is_lost_and_comes_back_while_clients_are_counted_all_along(
        self, harness: Harness, server: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("libs.common.companions.PROBE_SECONDS", 0.05)
        monkeypatch.setattr("services.auth.adapters.client_limits.AWAY_SECONDS", 0.05)
        allowed, client = ALLOWANCES[Limit.RESET].times, a_client()
        with replica(harness, REDIS_URL=server.url) as one:
            assert self.readiness(one) == (200, "ready", "ok")
            server.stop()
            statuses = [ask(one, Limit.RESET, client, number).status_code for number in range(allowed + 1)]
            assert statuses == [202] * allowed + [429]  # by the process itself
            eventually(lambda: self.readiness(one)[1] == "degraded", "readiness tells")
            assert self.readiness(one)[0] == 200
            server.start()
            eventually(lambda: self.readiness(one) == (200, "ready", "ok"), "it is found again")
            assert ask(one, Limit.RESET, client, 9).status_code == 202  # Redis has counted none of those
            assert [int(server.client.get(key) or 0) for key in server.client.scan_iter()] == [1]  # type: ignore[arg-type]
