"""Replicas join, leave, die, hang and fail under load: what is sent to whom, what is sent twice, what is answered at once."""

import json
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import httpx
import pytest

from gateway import limits
from gateway.servers import EJECTED, SPARE, joining, states
from gateway.tests.draining import WORK_SECONDS
from gateway.tests.running import ROUTES, RunningGateway, Upstream, eventually, route
from gateway.tests.test_changes import load

ECHO, MINE = "/api/v1/echo", "/api/v1/mine"
MORE = [
    *ROUTES,
    route("POST", "/api/v1/echo", "public", rate="public"),
    route("POST", "/api/v1/die", "public", rate="public"),
    route("POST", "/api/v1/work", "public", rate="public"),
]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[RunningGateway]:
    """Two replicas."""
    running = RunningGateway(tmp_path, routes=MORE)
    with running.serving(2):
        yield running


def state(gateway: RunningGateway, upstream: Upstream) -> str:
    """How HAProxy sees a replica."""
    found = gateway.gateway.haproxy.replicas()["echo-web"]
    return next((text for name, text in found.items() if name.endswith(f"_{upstream.port}")), "absent")


def serving(gateway: RunningGateway, requests: int = 20) -> Counter[str]:
    """Who answers, or with what status instead."""
    with httpx.Client(base_url=gateway.url) as client:
        answers = [client.get(ECHO) for _ in range(requests)]
    return Counter(each.json()["replica"] if each.status_code == 200 else str(each.status_code) for each in answers)


# -- leaving


def test_a_replica_that_leaves_finishes_what_it_has_in_hand_and_gets_nothing_more(gateway: RunningGateway) -> None:
    stays, leaves = gateway.upstreams
    kept = HTTPConnection("127.0.0.1", gateway.port)
    kept.request("GET", ECHO)
    kept.getresponse().read()
    gateway.send_to(leaves)
    assert gateway.gateway.compile()

    with httpx.stream("GET", f"{gateway.url}/api/v1/notices/stream", headers=gateway.bearer()) as answer:
        chunks = answer.iter_raw()
        next(chunks)
        gateway.send_to(stays)
        assert gateway.gateway.compile()
        assert eventually(lambda: serving(gateway, 5) == {str(stays.port): 5})
        text = b"".join(chunks)
    kept.request("GET", ECHO)
    assert json.loads(kept.getresponse().read())["replica"] in {str(stays.port), str(leaves.port)}
    kept.close()
    leaves.kill()

    assert b"data: 4" in text
    assert serving(gateway) == {str(stays.port): 20}


@pytest.mark.long
def test_a_replica_told_to_end_finishes_its_requests_and_the_gateway_looks_elsewhere(gateway: RunningGateway) -> None:
    leaves, stays = Upstream(program="draining.py"), gateway.upstreams[0]
    gateway.upstreams.append(leaves)
    eventually(leaves.ready)
    gateway.send_to(leaves)
    assert gateway.gateway.compile()
    eventually(lambda: state(gateway, leaves).startswith("UP"))
    answers: list[httpx.Response] = []
    work = threading.Thread(target=lambda: answers.append(httpx.post(f"{gateway.url}/api/v1/work", timeout=30)))
    work.start()
    eventually(lambda: f"server=127.0.0.1_{leaves.port} " in gateway.gateway.haproxy.command("show sess all"))
    gateway.send_to(leaves, stays)
    assert gateway.gateway.compile()

    with load(gateway, ECHO) as results:
        leaves.send(signal.SIGTERM)
        assert eventually(lambda: state(gateway, leaves).startswith("DOWN"))
        assert leaves.process.wait(10 * WORK_SECONDS) == 0
    work.join()

    assert set(results) == {"200"}, results
    assert [(each.status_code, each.text) for each in answers] == [(200, str(leaves.port))]


@pytest.mark.long
def test_the_gateway_told_to_end_softly_answers_everything_it_took(gateway: RunningGateway) -> None:
    assert gateway.process
    stream: list[bytes] = []

    def listen() -> None:
        with httpx.stream("GET", f"{gateway.url}/api/v1/notices/stream", headers=gateway.bearer()) as answer:
            stream.extend(answer.iter_raw())

    listener = threading.Thread(target=listen)
    listener.start()
    eventually(lambda: gateway.gateway.haproxy.command("show sess all").count("echo-stream"))
    with load(gateway, ECHO) as results:
        gateway.process.send_signal(signal.SIGUSR1)
        assert gateway.process.wait(20) == 0
    listener.join()

    assert set(results) == {"200", "ConnectError"}, results
    assert b"data: 4" in b"".join(stream)


# -- joining


def test_a_replica_that_joins_others_is_sent_nothing_before_it_is_ready(gateway: RunningGateway) -> None:
    late = Upstream("unready")
    gateway.upstreams.append(late)
    eventually(late.ready)
    with load(gateway, ECHO) as results:
        gateway.send_to(*gateway.upstreams)
        assert gateway.gateway.compile()
        assert state(gateway, late).startswith("DOWN")
        assert str(late.port) not in serving(gateway)
        late.send(signal.SIGUSR2)
        assert eventually(lambda: state(gateway, late).startswith("UP"))
        assert eventually(lambda: str(late.port) in serving(gateway))

    assert set(results) == {"200"}, results


STATE = """1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state and so on
10 echo-web 1 10.0.0.2_8000 10.0.0.2 2 0 1 1 6 15 3 5 6 0 0 0 - 8000 - 0 0 - - 0
11 echo-stream 1 10.0.0.9_8000 10.0.0.9 0 0 1 1 6 15 3 5 6 0 0 0 - 8000 - 0 0 - - 0

"""
CONFIGURED = """
backend echo-web
  server 10.0.0.2_8000 10.0.0.2:8000 observe layer7
  server 10.0.0.2_8000-spare 10.0.0.2:8000 backup
  server 10.0.0.3_8000 10.0.0.3:8000 observe layer7
  server 10.0.0.3_8000-spare 10.0.0.3:8000 backup
  server __1__8000 [::1]:8000
backend echo-stream
  server 10.0.0.9_8000 10.0.0.9:8000
  server 10.0.0.8_8000 10.0.0.8:8000
backend other-web
  server 10.0.0.4_8000 10.0.0.4:8000
"""


def test_only_those_that_join_a_replica_that_serves_begin_as_down() -> None:
    added = joining(CONFIGURED, STATE).removeprefix(STATE.rstrip("\n"))

    assert [(row.split()[1], row.split()[3], row.split()[4], row.split()[5]) for row in added.split("\n") if row] == [
        ("echo-web", "10.0.0.3_8000", "10.0.0.3", "0"),
        ("echo-web", f"10.0.0.3_8000{SPARE}", "10.0.0.3", "0"),
        ("echo-web", "__1__8000", "::1", "0"),
    ]
    assert joining("", STATE).strip() == STATE.strip()


# -- dying


def test_a_request_that_meets_a_dead_replica_goes_to_another_whatever_its_method(gateway: RunningGateway) -> None:
    gateway.upstreams[0].kill()

    assert {httpx.post(gateway.url + ECHO, content=b"x").status_code for _ in range(20)} == {200}
    assert {httpx.get(gateway.url + ECHO).status_code for _ in range(20)} == {200}


def test_a_post_that_a_replica_died_of_is_not_sent_to_the_next(gateway: RunningGateway) -> None:
    assert httpx.post(f"{gateway.url}/api/v1/die", content=b"x").status_code == 502

    def dead() -> int:
        return sum(each.process.poll() is not None for each in gateway.upstreams)

    assert eventually(dead)
    assert httpx.get(gateway.url + ECHO).status_code == 200
    assert dead() == 1


def nobody_is_left(gateway: RunningGateway) -> bool:
    """Whether HAProxy has given up every replica, and its spare."""
    rows = gateway.gateway.haproxy.statistics()
    return {row["status"] for row in rows if (row["pxname"], row["svname"]) == ("echo-web", "BACKEND")} == {"DOWN"}


def test_with_every_replica_gone_each_request_is_answered_at_once_without_waiting_in_a_queue(gateway: RunningGateway) -> None:
    for upstream in gateway.upstreams:
        upstream.kill()
    eventually(lambda: nobody_is_left(gateway))
    marker = {"X-Request-Id": "after-the-end"}

    answer = httpx.get(gateway.url + ECHO, headers=marker)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    line = eventually(lambda: [json.loads(each) for each in gateway.log.splitlines() if '"after-the-end"' in each])[0]
    # No connection was tried, and nothing waited for one.
    assert (line["queue_milliseconds"], line["upstream_milliseconds"], line["retries"]) == (-1, -1, "0")
    back = Upstream()
    gateway.upstreams.append(back)
    eventually(back.ready)
    gateway.send_to(back)
    assert gateway.gateway.compile()
    assert eventually(lambda: httpx.get(gateway.url + ECHO).status_code == 200)


# -- hanging and failing


@pytest.mark.long
def test_a_replica_that_takes_requests_and_never_answers_is_given_up_until_it_does(gateway: RunningGateway) -> None:
    hung, well = gateway.upstreams
    hung.send(signal.SIGSTOP)
    try:
        assert eventually(lambda: state(gateway, hung).startswith("DOWN"), 20)
        assert serving(gateway) == {str(well.port): 20}
    finally:
        hung.send(signal.SIGCONT)
    assert eventually(lambda: state(gateway, hung).startswith("UP"))
    assert eventually(lambda: str(hung.port) in serving(gateway))


def failures_until(gateway: RunningGateway, upstream: Upstream, wanted: str) -> int:
    """Ask on and on until a replica is in this state; how many were answered 500."""
    failures = 0

    def asked() -> bool:
        nonlocal failures
        failures += serving(gateway, 4 * limits.EJECTION_ERRORS)["500"]
        return state(gateway, upstream).startswith(wanted)

    assert eventually(asked)
    return failures


def test_a_replica_that_only_fails_is_ejected_and_comes_back_when_it_is_mended(gateway: RunningGateway) -> None:
    failing, well = gateway.upstreams
    failing.send(signal.SIGUSR1)

    assert failures_until(gateway, failing, EJECTED) >= limits.EJECTION_ERRORS
    assert eventually(lambda: serving(gateway, 10) == {str(well.port): 10})
    assert httpx.get(f"{gateway.url}/health/ready").status_code == 200
    failing.send(signal.SIGUSR2)
    assert eventually(lambda: state(gateway, failing).startswith("UP"))
    assert eventually(lambda: str(failing.port) in serving(gateway))


def test_when_every_replica_fails_none_is_withheld(gateway: RunningGateway) -> None:
    for upstream in gateway.upstreams:
        upstream.send(signal.SIGUSR1)
    for upstream in gateway.upstreams:
        failures_until(gateway, upstream, EJECTED)

    assert serving(gateway, 5) == {"500": 5}
    assert httpx.get(f"{gateway.url}/health/ready").status_code == 200
    for upstream in gateway.upstreams:
        upstream.send(signal.SIGUSR2)
    assert eventually(lambda: set(serving(gateway, 5)) <= {str(each.port) for each in gateway.upstreams})


def test_the_only_replica_is_never_ejected(gateway: RunningGateway) -> None:
    only = gateway.upstreams[0]
    gateway.send_to(only)
    assert gateway.gateway.compile()
    eventually(lambda: set(serving(gateway, 2)) == {str(only.port)})
    only.send(signal.SIGUSR1)

    assert serving(gateway, 3 * limits.EJECTION_ERRORS) == {"500": 3 * limits.EJECTION_ERRORS}
    assert state(gateway, only).startswith("UP")


def test_fewer_failures_in_a_row_eject_nobody(gateway: RunningGateway) -> None:
    failing = gateway.upstreams[0]
    failing.send(signal.SIGUSR1)
    failures = 0
    while failures < limits.EJECTION_ERRORS - 1:
        failures += serving(gateway, 1)["500"]

    assert state(gateway, failing).startswith("UP")


def test_a_replica_has_one_state_made_of_its_two() -> None:
    found = {"a": "UP", f"a{SPARE}": "UP", "b": "DOWN", f"b{SPARE}": "UP", "c": "DOWN 1/4", f"c{SPARE}": "DOWN", "d": "DOWN"}

    assert states(found) == {"a": "UP", "b": EJECTED, "c": "DOWN 1/4", "d": "DOWN"}
