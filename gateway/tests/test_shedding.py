"""A service that has more to do than it can: who waits, who goes first, who is refused, and who never notices."""

import json
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace

import httpx
import pytest

from gateway import limits
from gateway.limits import LIMITS
from gateway.tests.held import Crowd, crowd
from gateway.tests.running import ROUTES, UUID_TEXT, RunningGateway, eventually, route
from libs.common.auth.policy import Rate, Role

CLAIM = f"/api/v1/things/{UUID_TEXT}/claim"
QUEUES = {Rate.PUBLIC: 2, Rate.READ: 4, Rate.WRITE: 6, Rate.CREDENTIALS: 8, Rate.UPLOAD: 2}
FAIR = 2
ANOTHER = [route("POST", "/api/v1/received", "public", rate="upload", body_limit=1_000_000)]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    """A service with one place, and one for uploads."""
    with pytest.MonkeyPatch.context() as patched:
        changed = {rate: replace(limit, queue=QUEUES.get(rate, limit.queue)) for rate, limit in LIMITS.items()}
        patched.setattr(limits, "LIMITS", changed)
        patched.setattr(limits, "REPLICA_REQUESTS_MAX", 1)
        patched.setattr(limits, "BULK_REQUESTS_MAX", 1)
        patched.setattr(limits, "FAIR_SHARE_SUBJECT", FAIR)
        patched.setattr(limits, "FAIR_SHARE_ADDRESS", FAIR)
        patched.setattr(limits, "FAIR_FROM_PERCENT", 100)
        patched.setattr(limits, "QUEUE_SECONDS", 30)
        with crowd(RunningGateway(tmp_path_factory.mktemp("full"), "production", [*ROUTES, *ANOTHER])) as people:
            patched.undo()  # it runs with what it was compiled with
            yield people


def one_more(people: Crowd, method: str, path: str, headers: dict[str, str] | None = None) -> Future[httpx.Response]:
    """Somebody else who asks, and waits by now."""
    before = people.waiting()
    asked = people.begin(method, path, headers)
    eventually(lambda: people.waiting() == before + 1)
    return asked


def occupied(people: Crowd) -> Future[httpx.Response]:
    """Take the only place."""
    asked = people.begin("GET", "/api/v1/echo?hold")
    eventually(lambda: people.working() == 1)
    return asked


def refused(answer: httpx.Response, status: int, people: Crowd, decision: str) -> bool:
    """Whether an answer says no, as it should, and the log says why."""
    assert answer.status_code == status
    assert answer.headers["retry-after"] == str(limits.RETRY_SECONDS)
    assert answer.headers["content-type"] == "application/problem+json"
    assert "x-decision" not in answer.headers
    entry = eventually(
        lambda: next((line for line in people.gateway.log.splitlines() if answer.headers["x-request-id"] in line), None)
    )
    return bool(json.loads(entry)["decision"] == decision)


def test_public_reads_go_first_then_reads_then_writes_and_signing_in_last(full: Crowd) -> None:
    gateway = full.gateway
    asked: list[Future[httpx.Response]] = []
    with full.held():
        asked.append(occupied(full))
        asked += [one_more(full, "GET", "/api/v1/echo?public") for _ in range(2)]
        assert refused(full.ask("GET", "/api/v1/echo"), 503, full, "shed")
        asked += [one_more(full, "GET", "/api/v1/mine", gateway.bearer()) for _ in range(2)]
        assert refused(full.ask("GET", "/api/v1/mine", gateway.bearer()), 503, full, "shed")
        asked += [one_more(full, "POST", CLAIM, gateway.bearer(Role.CONTRIBUTOR)) for _ in range(2)]
        assert refused(full.ask("POST", CLAIM, gateway.bearer(Role.CONTRIBUTOR)), 503, full, "shed")
        assert refused(full.ask("GET", "/api/v1/mine", gateway.bearer()), 503, full, "shed")
        asked += [one_more(full, "POST", "/api/v1/login") for _ in range(2)]
        assert refused(full.ask("POST", "/api/v1/login"), 503, full, "queue_full")
        assert full.ask("GET", "/health/live").status_code == 200
        assert full.ask("GET", "/health/ready").status_code == 200

    assert [each.result().status_code for each in asked] == [200] * 9
    assert full.upstream.seen == [
        "/api/v1/echo?hold",
        *["/api/v1/login"] * 2,
        *[CLAIM] * 2,
        *["/api/v1/mine"] * 2,
        *["/api/v1/echo?public"] * 2,
    ]


def test_a_greedy_subject_is_refused_while_others_wait_and_another_one_passes(full: Crowd) -> None:
    greedy, other = full.gateway.bearer(), full.gateway.bearer()
    asked: list[Future[httpx.Response]] = []
    with full.held():
        asked.append(full.begin("GET", "/api/v1/mine?hold", greedy))
        eventually(lambda: full.working() == 1)
        asked += [one_more(full, "GET", "/api/v1/mine", greedy) for _ in range(FAIR - 1)]
        assert refused(full.ask("GET", "/api/v1/mine", greedy), 429, full, "fair_share")
        asked.append(one_more(full, "GET", "/api/v1/mine", other))

    assert [each.result().status_code for each in asked] == [200] * (FAIR + 1)
    assert full.ask("GET", "/api/v1/mine", greedy).status_code == 200


def test_a_greedy_address_is_refused_while_others_wait_and_another_one_passes(full: Crowd) -> None:
    greedy = "127.0.9.9"
    asked: list[Future[httpx.Response]] = []
    with full.held():
        asked.append(full.begin("GET", "/api/v1/echo?hold", address=greedy))
        eventually(lambda: full.working() == 1)
        asked.append(full.begin("GET", "/api/v1/echo", address=greedy))
        eventually(lambda: full.waiting() == 1)
        assert refused(full.ask("GET", "/api/v1/echo", address=greedy), 429, full, "fair_share")
        asked.append(one_more(full, "GET", "/api/v1/echo"))

    assert [each.result().status_code for each in asked] == [200] * 3


def test_uploads_have_places_of_their_own_and_take_nobodys(full: Crowd) -> None:
    lane = "echo-web-bulk"
    with full.held():
        first = full.begin("POST", "/api/v1/received?hold")
        eventually(lambda: full.working(lane) == 1)
        second = full.begin("POST", "/api/v1/received")
        eventually(lambda: full.waiting(lane) == 1)
        assert full.ask("GET", "/api/v1/echo").status_code == 200
        third = full.begin("POST", "/api/v1/received")
        eventually(lambda: full.waiting(lane) == 2)
        assert refused(full.ask("POST", "/api/v1/received"), 503, full, "shed")

    assert [each.result().status_code for each in (first, second, third)] == [200] * 3


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    """One replica, with the numbers of production."""
    with crowd(RunningGateway(tmp_path_factory.mktemp("shipped"), "production")) as people:
        yield people


def test_of_one_replica_a_subject_gets_three_quarters_and_somebody_else_the_rest(shipped: Crowd) -> None:
    kept = limits.REPLICA_REQUESTS_MAX * limits.FAIR_FROM_PERCENT // 100
    most, greedy = limits.REPLICA_REQUESTS_MAX - kept + 1, shipped.gateway.bearer()
    with shipped.held():
        asked: list[Future[httpx.Response]] = []
        while len(asked) < most:
            asked.append(shipped.begin("GET", "/api/v1/mine?hold", greedy))
            eventually(lambda: shipped.working() == len(asked))
        assert refused(shipped.ask("GET", "/api/v1/mine", greedy), 429, shipped, "fair_share")
        assert shipped.ask("GET", "/api/v1/mine", shipped.gateway.bearer()).status_code == 200

    assert [each.result().status_code for each in asked] == [200] * most


AT_ONCE = 3
PLACES = AT_ONCE + 2


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    """A service with room, and little patience for many requests of one."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            limits,
            "LIMITS",
            {rate: replace(limit, subject_at_once=AT_ONCE, address_at_once=AT_ONCE + 1) for rate, limit in LIMITS.items()},
        )
        patched.setattr(limits, "REPLICA_REQUESTS_MAX", PLACES)
        patched.setattr(limits, "QUEUE_SECONDS", 1)
        with crowd(RunningGateway(tmp_path_factory.mktemp("roomy"), "production")) as people:
            yield people


def test_a_subject_has_so_many_requests_at_once_and_no_more(roomy: Crowd) -> None:
    headers = roomy.gateway.bearer()
    with roomy.held():
        asked = [roomy.begin("GET", "/api/v1/mine?hold", headers) for _ in range(AT_ONCE)]
        eventually(lambda: roomy.working() == AT_ONCE)
        assert refused(roomy.ask("GET", "/api/v1/mine", headers), 429, roomy, "subject_at_once")
        assert roomy.ask("GET", "/api/v1/mine", roomy.gateway.bearer()).status_code == 200

    assert [each.result().status_code for each in asked] == [200] * AT_ONCE
    assert roomy.ask("GET", "/api/v1/mine", headers).status_code == 200


def test_an_address_has_so_many_requests_at_once_and_no_more(roomy: Crowd) -> None:
    address = "127.0.9.10"
    with roomy.held():
        asked = [roomy.begin("GET", "/api/v1/echo?hold", address=address) for _ in range(AT_ONCE + 1)]
        eventually(lambda: roomy.working() == AT_ONCE + 1)
        assert refused(roomy.ask("GET", "/api/v1/echo", address=address), 429, roomy, "address_at_once")
        assert roomy.ask("GET", "/api/v1/echo").status_code == 200

    assert [each.result().status_code for each in asked] == [200] * (AT_ONCE + 1)
    assert roomy.ask("GET", "/api/v1/echo", address=address).status_code == 200


def test_nobody_waits_for_ever(roomy: Crowd) -> None:
    with roomy.held():
        asked = [roomy.begin("GET", "/api/v1/echo?hold") for _ in range(PLACES)]
        eventually(lambda: roomy.working() == PLACES)
        late = roomy.ask("GET", "/api/v1/echo")

    assert (late.status_code, late.headers["retry-after"]) == (503, str(limits.RETRY_SECONDS))
    assert late.json()["title"] == "Service Unavailable"
    assert [each.result().status_code for each in asked] == [200] * PLACES


def test_counters_outlive_a_reload_and_what_is_under_way_is_counted_anew(roomy: Crowd) -> None:
    """A process hands its counters over once it has asked for those of its predecessor, five seconds after its start."""
    command, headers = roomy.gateway.gateway.haproxy.command, roomy.gateway.bearer()
    eventually(lambda: "resync_timeout=<PAST>" in command("show peers"))
    with roomy.held():
        asked = [roomy.begin("GET", "/api/v1/mine?hold", headers) for _ in range(AT_ONCE)]
        eventually(lambda: roomy.working() == AT_ONCE)
        roomy.gateway.write_routes([*ROUTES, route("GET", "/api/v1/added", "public")])
        assert roomy.gateway.gateway.compile()
        assert eventually(lambda: f"conn_cur=0 http_req_rate(60000)={AT_ONCE}" in command("show table rate_subject"))
        answer = roomy.ask("GET", "/api/v1/mine", headers)
        assert answer.status_code == 200
        assert f"r={LIMITS[Rate.READ].subject - AT_ONCE - 1};" in answer.headers["ratelimit"]

    assert [each.result().status_code for each in asked] == [200] * AT_ONCE
