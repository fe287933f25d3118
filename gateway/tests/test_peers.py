"""Gateways side by side count together, and each alone when nobody names the others."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from gateway import limits
from gateway.limits import LIMITS
from gateway.peers import Peer, Peers, Whereabouts, peers_of
from gateway.tests.running import ROUTES, RunningGateway, eventually, free_port, route
from libs.common.auth.policy import Rate

TWO = "one=127.0.0.1:10240,two=127.0.0.1:10241"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[RunningGateway, RunningGateway]]:
    """Two gateways that know each other, before the same replica."""
    given = f"one=127.0.0.1:{free_port()},two=127.0.0.1:{free_port()}"
    one, two = (RunningGateway(tmp_path / name, "production", peers=peers_of(given, name)) for name in ("one", "two"))
    two.key = one.key
    try:
        one.scale(1)
        two.send_to(*one.upstreams)
        for each in (one, two):
            each.publish_key()
            each.start()
        eventually(lambda: connected(one) and connected(two), 20)
        yield one, two
    finally:
        one.close()
        two.close()


def connected(gateway: RunningGateway) -> bool:
    """Whether it has told the other what it counted, and been told."""
    shown = str(gateway.gateway.haproxy.command("show peers"))
    return shown.count("last_status=ESTA") + shown.count("last_status=SUCC") >= 1


def settled(gateway: RunningGateway) -> bool:
    """Whether it has been told all that was counted before it came: until then it may be told a count that is old."""
    return "resync_timeout=<PAST>" in str(gateway.gateway.haproxy.command("show peers"))


def counted(gateway: RunningGateway) -> int:
    """What it knows of the requests of the one address that asks."""
    shown = str(gateway.gateway.haproxy.command("show table rate_address"))
    return max(map(int, re.findall(r"http_req_rate\(\d+\)=(\d+)", shown)), default=0)


def permitted(gateways: tuple[RunningGateway, ...], requests: int) -> int:
    """How many sign-ins, sent to the gateways in turns, are let through to the service."""
    clients = [httpx.Client(base_url=each.url) for each in gateways]
    try:
        answers = [clients[number % len(clients)].post("/api/v1/login").status_code for number in range(requests)]
    finally:
        for client in clients:
            client.close()
    assert set(answers) <= {200, 429}
    return answers.count(200)


QUOTA = LIMITS[Rate.CREDENTIALS].address


def test_what_one_gateway_counted_the_other_knows(pair: tuple[RunningGateway, RunningGateway]) -> None:
    one, two = pair
    eventually(lambda: settled(one) and settled(two), 20)

    assert permitted((one,), 2 * QUOTA) == QUOTA
    eventually(lambda: counted(two) >= QUOTA)
    assert permitted((two,), QUOTA) == 0
    assert httpx.get(f"{two.url}/api/v1/mine", headers=two.bearer()).status_code == 200


@pytest.mark.long
def test_requests_at_both_at_once_are_permitted_less_than_twice(pair: tuple[RunningGateway, RunningGateway]) -> None:
    quota, headers = LIMITS[Rate.READ].subject, pair[0].bearer()

    def answered(gateway: RunningGateway) -> int:
        with httpx.Client(base_url=gateway.url, headers=headers, timeout=30) as client:
            return [client.get("/api/v1/mine").status_code for _ in range(2 * quota)].count(200)

    with ThreadPoolExecutor(2) as pool:
        assert quota <= sum(pool.map(answered, pair)) < 2 * quota


def test_a_gateway_whose_peer_is_away_counts_alone_and_serves(tmp_path: Path) -> None:
    given = f"one=127.0.0.1:{free_port()},two=127.0.0.1:{free_port()}"
    alone = RunningGateway(tmp_path, "production", peers=peers_of(given, "one"))
    with alone.serving(1):
        assert permitted((alone,), QUOTA + 1) == QUOTA


@pytest.mark.long
def test_what_gateways_counted_outlives_a_reload(pair: tuple[RunningGateway, RunningGateway]) -> None:
    one, two = pair
    eventually(lambda: settled(one), 20)
    assert permitted((one,), QUOTA) == QUOTA
    eventually(lambda: counted(one) == QUOTA)
    two.stop()

    one.write_routes([*ROUTES, route("GET", "/api/v1/another", "public", rate="public")])
    assert one.gateway.compile()

    eventually(lambda: counted(one) == QUOTA)
    assert permitted((one,), 1) == 0


def test_the_list_names_everybody_and_this_one_first() -> None:
    assert peers_of(TWO, "two") == Peers(Peer("two", "127.0.0.1", 10241), (Peer("one", "127.0.0.1", 10240),))
    assert peers_of(TWO, "two").binds == "127.0.0.1:10241"
    assert peers_of("a=gateway-0.peers:10240,b=gateway-1.peers:10240", "a").binds == "*:10240"


@pytest.mark.parametrize("count", [1, 2, limits.GATEWAYS_MAX, limits.GATEWAYS_MAX + 1])
def test_two_to_eight_gateways_count_together(count: int) -> None:
    given = ",".join(f"g{number}=10.0.0.{number}:1024" for number in range(count))
    if 2 <= count <= limits.GATEWAYS_MAX:
        assert len(peers_of(given, "g0").others) == count - 1
    else:
        with pytest.raises(ValueError, match="2 to 8 gateways"):
            peers_of(given, "g0")


@pytest.mark.parametrize(
    ("given", "own", "sentence"),
    [
        ("one", "one", "name=host:port"),
        ("one=a:0,two=b:1", "one", "name=host:port"),
        ("one=a:65536,two=b:1", "one", "name=host:port"),
        ("o ne=a:1,two=b:1", "two", "name=host:port"),
        ("one=a:1,one=b:1", "one", "each gateway once"),
        ("one=a:1,two=a:1", "one", "each gateway once"),
        (TWO, "three", "GATEWAY_PEER is its name"),
        (TWO, None, "GATEWAY_PEER is its name"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(given: str, own: str | None, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        peers_of(given, own)


def test_a_peer_without_an_address_is_left_out_until_it_has_one() -> None:
    known = Whereabouts()
    by_name = peers_of("one=127.0.0.1:1,two=localhost:2,three=nobody.invalid:3", "one")

    assert known.now(by_name) == (Peer("two", "127.0.0.1", 2),)
    assert known.now(replace(by_name, others=())) == ()
    assert known.now(None) == ()
