"""The numbers of production, counted on a real HAProxy: the last permitted request passes, the next does not."""

import httpx
import pytest

from gateway import limits
from gateway.compiler import compile_configuration
from gateway.limits import LIMITS
from gateway.manifest import ROOT, read
from gateway.tests.running import UUID_TEXT, RunningGateway
from libs.common import clock
from libs.common.auth.policy import Rate, Role


def spend(client: httpx.Client, method: str, path: str, count: int, headers: dict[str, str]) -> list[int]:
    """So many requests, one after another."""
    return [client.request(method, path, headers=headers).status_code for _ in range(count)]


def test_a_subject_has_its_number_of_writes_and_everybody_else_theirs(production: RunningGateway) -> None:
    quota, path = LIMITS[Rate.WRITE].subject, f"/api/v1/things/{UUID_TEXT}/claim"
    headers, other = production.bearer(Role.CONTRIBUTOR), production.bearer(Role.CONTRIBUTOR)
    with httpx.Client(base_url=production.url) as client:
        assert set(spend(client, "POST", path, quota, headers)) == {200}
        refused = client.post(path, headers=headers)

        assert refused.status_code == 429
        assert refused.headers["retry-after"] == str(limits.WINDOW_SECONDS)
        assert refused.headers["ratelimit"] == f'"write";r=0;t={limits.WINDOW_SECONDS}'
        assert refused.headers["ratelimit-policy"] == f'"write";q={quota};w={limits.WINDOW_SECONDS}'
        assert refused.json()["type"] == "https://lumiere.film/problems/too-many-requests"
        assert client.post(path, headers=other).status_code == 200
        assert client.get("/api/v1/mine", headers=headers).status_code == 200


def test_an_address_has_its_number_of_credentials_whoever_it_says_it_is(production: RunningGateway) -> None:
    quota = LIMITS[Rate.CREDENTIALS].address
    assert set(spend_anew(production, quota)) == {200}

    assert spend_anew(production, 1) == [429]
    assert httpx.get(f"{production.url}/api/v1/echo").status_code == 200


def spend_anew(gateway: RunningGateway, count: int) -> list[int]:
    """Each from a new connection with another forwarded address: neither makes a new person."""
    headers = [{"X-Forwarded-For": f"203.0.113.{number}"} for number in range(count)]
    return [httpx.post(f"{gateway.url}/api/v1/login", headers=each).status_code for each in headers]


def test_tokens_that_do_not_hold_are_counted_against_the_address(production: RunningGateway) -> None:
    before = remaining(httpx.get(f"{production.url}/api/v1/mine"))

    for _ in range(5):
        httpx.get(f"{production.url}/api/v1/mine", headers={"Authorization": "Bearer a.b.c"})

    assert remaining(httpx.get(f"{production.url}/api/v1/mine")) <= before - 5


def remaining(answer: httpx.Response) -> int:
    """What is left, by the RateLimit header."""
    return int(answer.headers["ratelimit"].split("r=")[1].split(";")[0])


def test_no_address_is_kept_only_its_keyed_hash(production: RunningGateway) -> None:
    httpx.get(f"{production.url}/api/v1/echo")
    table = production.gateway.haproxy.command("show table rate_address")

    assert "public:" in table
    assert "127.0.0.1" not in table
    assert "7f000001" not in table.lower()


def test_every_class_has_a_limit_and_only_addresses_are_raised_for_development() -> None:
    raised = limits.limits("development")

    assert set(limits.limits("production")) == set(raised) == set(Rate)
    assert limits.limits("production") == LIMITS
    for rate, limit in raised.items():
        assert limit.subject == LIMITS[rate].subject
        assert limit.address == LIMITS[rate].address * limits.DEVELOPMENT_ADDRESS_FACTOR


def test_address_keys_change_with_the_day_and_come_from_the_secret(shared: RunningGateway) -> None:
    manifests = read([ROOT / "gateway" / "policy.json"])
    today = clock.now().date()

    def keys(door: object) -> dict[str, str]:
        files = compile_configuration(manifests, door, (), {}, today)  # type: ignore[arg-type]
        return dict(line.split() for line in files["maps/address_keys.map"].decode().splitlines())

    from dataclasses import replace

    ours, again, others = keys(shared.door), keys(shared.door), keys(replace(shared.door, secret=b"another"))
    assert ours == again
    assert len(set(ours.values())) == len(ours) == 4
    assert not set(ours.values()) & set(others.values())


@pytest.mark.parametrize("rate", list(Rate))
def test_the_production_numbers_are_what_is_compiled(rate: Rate, production: RunningGateway) -> None:
    maps = production.folder.current / "maps"

    assert f"{rate} {LIMITS[rate].subject}\n" in (maps / "subject_limits.map").read_text(encoding="utf-8")
    assert f"{rate} {LIMITS[rate].address}\n" in (maps / "address_limits.map").read_text(encoding="utf-8")


def test_the_classes_leave_in_the_order_that_is_written_down() -> None:
    order = sorted(Rate, key=limits.priority)

    assert order[0] is Rate.CREDENTIALS
    assert order.index(Rate.WRITE) < order.index(Rate.READ) < order.index(Rate.PUBLIC)
    assert [LIMITS[rate].queue for rate in order] == sorted((limit.queue for limit in LIMITS.values()), reverse=True)


def test_one_caller_cannot_fill_a_service() -> None:
    assert limits.FAIR_SHARE_SUBJECT < limits.FAIR_SHARE_ADDRESS < limits.REPLICA_REQUESTS_MAX
