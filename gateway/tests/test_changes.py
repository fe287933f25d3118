"""Reloads, scaling, deaths and restarts under load: no request is lost, no revocation forgotten."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection

import httpx
import pytest

from gateway.door import TargetError
from gateway.haproxy import HaproxyError
from gateway.manifest import ManifestError
from gateway.revocations import SessionRevoked
from gateway.tests.running import ROUTES, RunningGateway, eventually, route
from libs.common import clock
from libs.common.auth.policy import Role
from libs.common.ids import new_id

CLIENTS = 4


@contextmanager
def load(gateway: RunningGateway, path: str = "/api/v1/mine") -> Iterator[Counter[str]]:
    """Several clients that ask without a pause; what they got, counted when the block ends."""
    results: Counter[str] = Counter()
    lock, done = threading.Lock(), threading.Event()
    headers = [gateway.bearer() for _ in range(CLIENTS)]

    def ask(own: dict[str, str]) -> None:
        with httpx.Client(base_url=gateway.url, headers=own, timeout=10) as client:
            while not done.is_set():
                try:
                    outcome = str(client.get(path).status_code)
                except httpx.TransportError as error:
                    outcome = type(error).__name__
                with lock:
                    results[outcome] += 1
                done.wait(0.002)

    threads = [threading.Thread(target=ask, args=(own,)) for own in headers]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: results.total() > 50)
        yield results
        seen = results.total()
        eventually(lambda: results.total() > seen + 50)
    finally:
        done.set()
        for thread in threads:
            thread.join()


def replicas_up(gateway: RunningGateway) -> list[str]:
    """Replicas that HAProxy sends requests to."""
    return [name for name, state in gateway.gateway.haproxy.replicas().get("echo-web", {}).items() if state.startswith("UP")]


def scaled_to(gateway: RunningGateway, count: int) -> bool:
    """Whether HAProxy sends requests to this many replicas."""
    return len(replicas_up(gateway)) == count


def test_five_reloads_under_load_lose_no_request(own: RunningGateway) -> None:
    with load(own, "/api/v1/echo") as results:
        for number in range(5):
            own.write_routes([*ROUTES, route("GET", f"/api/v1/added{number}", "public")])
            assert own.gateway.compile()
            assert httpx.get(f"{own.url}/api/v1/added{number}").status_code == 200

    assert set(results) == {"200"}, results


def test_a_connection_that_was_idle_during_a_reload_is_answered_once_more_and_told_to_close(own: RunningGateway) -> None:
    connection = HTTPConnection(httpx.URL(own.url).host, httpx.URL(own.url).port)
    connection.request("GET", "/api/v1/echo")
    first = connection.getresponse()
    assert (first.status, first.getheader("Connection")) == (200, None)
    first.read()

    own.write_routes([*ROUTES, route("GET", "/api/v1/added", "public")])
    assert own.gateway.compile()
    assert eventually(lambda: httpx.get(f"{own.url}/api/v1/added").status_code == 200)

    connection.request("GET", "/api/v1/echo")
    last = connection.getresponse()
    assert (last.status, last.getheader("Connection")) == (200, "close")
    connection.close()


def test_three_changes_of_scale_under_load_lose_no_request(own: RunningGateway) -> None:
    with load(own, "/api/v1/echo") as results:
        for count in (3, 1, 2):
            own.scale(count)
            assert own.gateway.compile()
            assert eventually(partial(scaled_to, own, count))

    assert set(results) == {"200"}, results


def test_a_replica_killed_under_load_loses_no_get(own: RunningGateway) -> None:
    with load(own, "/api/v1/echo") as results:
        own.upstreams[0].kill()
        assert eventually(lambda: len(replicas_up(own)) == 1)

    assert set(results) == {"200"}, results


def test_with_no_replica_left_the_platform_says_what_is_missing(own: RunningGateway) -> None:
    for upstream in own.upstreams:
        upstream.kill()

    def missing() -> list[str]:
        answer = httpx.get(f"{own.url}/health/ready")
        return answer.json().get("missing", []) if answer.status_code == 503 else []

    assert eventually(lambda: missing() == ["echo-web", "echo-stream"])
    busy = httpx.get(f"{own.url}/api/v1/echo")
    assert (busy.status_code, busy.headers["retry-after"], busy.json()["title"]) == (503, "2", "Service Unavailable")
    assert httpx.get(f"{own.url}/health/live").status_code == 200


def test_without_keys_nobody_is_let_in_and_it_says_so(own: RunningGateway) -> None:
    headers = own.bearer()
    own.gateway.take_keys({"keys": []})

    assert httpx.get(f"{own.url}/api/v1/mine", headers=headers).status_code == 503
    assert httpx.get(f"{own.url}/api/v1/mine").status_code == 401
    assert httpx.get(f"{own.url}/api/v1/echo").status_code == 200
    assert httpx.get(f"{own.url}/health/ready").json()["missing"] == ["keys"]


def test_revocations_survive_reloads_restarts_and_a_new_control_process(own: RunningGateway) -> None:
    session, subject, now = new_id(), new_id(), int(clock.epoch())
    by_session = own.bearer(Role.ADMIN, sid=str(session))
    by_subject = own.bearer(Role.ADMIN, sub=str(subject), iat=now - 60, nbf=now - 60)
    other = own.bearer(Role.ADMIN)

    def statuses() -> list[int]:
        return [
            httpx.get(f"{own.url}/api/v1/admin/things", headers=each).status_code for each in (by_session, by_subject, other)
        ]

    assert statuses() == [200, 200, 200]
    own.gateway.revoke(SessionRevoked(user_id=new_id(), session_id=session, expires_at=clock.now()))
    own.gateway.revoke(SessionRevoked(user_id=subject, not_before=clock.now(), expires_at=clock.now()))
    assert statuses() == [401, 401, 200]

    own.write_routes([*ROUTES, route("GET", "/api/v1/added", "public")])
    assert own.gateway.compile()
    assert statuses() == [401, 401, 200]

    own.stop()
    own.start()
    assert eventually(lambda: statuses()[2] == 200)
    assert statuses() == [401, 401, 200]

    again = own.another_gateway()
    again.reconcile()
    again.take_revocations({"sessions": {}, "subjects": {}})
    assert statuses() == [401, 401, 200]
    assert again.revocation_counts() == {"sessions": 1, "subjects": 1}


def test_what_is_revoked_during_reloads_is_refused_by_every_worker(own: RunningGateway) -> None:
    sessions = [new_id() for _ in range(30)]
    tokens = [own.bearer(Role.ADMIN, sid=str(session)) for session in sessions]
    reloaded = threading.Event()

    def reload() -> None:
        for number in range(3):
            own.write_routes([*ROUTES, route("GET", f"/api/v1/added{number}", "public")])
            own.gateway.compile()
        reloaded.set()

    reloading = threading.Thread(target=reload)
    reloading.start()
    for session, token in zip(sessions, tokens, strict=True):
        own.gateway.revoke(SessionRevoked(user_id=new_id(), session_id=session, expires_at=clock.now()))
        # A worker on its way out answers what it has; whoever connects now gets the one that knows.
        assert eventually(partial(refused, own, token), 1)
    reloading.join()

    assert reloaded.is_set()
    assert all(refused(own, token) for token in tokens)


def refused(gateway: RunningGateway, headers: dict[str, str]) -> bool:
    """Whether a token is worth nothing to somebody who connects anew."""
    return httpx.get(f"{gateway.url}/api/v1/admin/things", headers=headers).status_code == 401


def test_a_thousand_revocations_arrive_at_once(own: RunningGateway) -> None:
    session = new_id()
    token = own.bearer(Role.ADMIN, sid=str(session))
    until = clock.epoch() + 600

    own.gateway.take_revocations({"sessions": {str(each): until for each in [*(new_id() for _ in range(1_000)), session]}})

    assert httpx.get(f"{own.url}/api/v1/admin/things", headers=token).status_code == 401
    assert len(own.gateway.haproxy.command("show map ../../state/revoked_sessions.map").split("\n")) >= 1_001


def test_after_its_worker_was_killed_it_ends_and_the_next_one_knows_everything(own: RunningGateway) -> None:
    session, other = new_id(), own.bearer(Role.ADMIN)
    token = own.bearer(Role.ADMIN, sid=str(session))
    own.gateway.revoke(SessionRevoked(user_id=new_id(), session_id=session, expires_at=clock.now()))
    worker = own.gateway.haproxy.worker()
    assert worker
    assert own.process

    os.kill(worker, signal.SIGKILL)
    own.process.wait(10)
    own.start()

    assert httpx.get(f"{own.url}/api/v1/admin/things", headers=token).status_code == 401
    assert eventually(lambda: httpx.get(f"{own.url}/api/v1/admin/things", headers=other).status_code == 200)


@pytest.mark.parametrize("fault", ["manifest", "targets"])
def test_a_faulty_input_leaves_in_force_what_was(fault: str, own: RunningGateway) -> None:
    before = own.folder.current_release()
    if fault == "manifest":
        own.write_routes([route("GET", "/api/v1/mine", ["KING"])])
    else:
        own.targets.write_text('{"echo": {"web": ["127.0.0.1:1 backup"]}}', encoding="utf-8")

    with pytest.raises((ManifestError, TargetError)):
        own.gateway.compile()

    assert own.folder.current_release() == before
    assert httpx.get(f"{own.url}/api/v1/mine", headers=own.bearer()).status_code == 200


def test_a_configuration_that_haproxy_refuses_is_not_put_in_force(own: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    before = own.folder.current_release()
    monkeypatch.setattr("gateway.compiler._template", lambda *_: b"global\n  nonsense\n")

    with pytest.raises(HaproxyError, match="nonsense"):
        own.gateway.compile()

    assert own.folder.current_release() == before


def test_nothing_is_reloaded_when_nothing_changed(own: RunningGateway) -> None:
    worker = own.gateway.haproxy.worker()

    assert not own.gateway.compile()
    assert own.gateway.haproxy.worker() == worker


def test_a_deep_folder_is_no_hindrance(own: RunningGateway) -> None:
    deep = own.root / ("a" * 90) / ("b" * 90)
    other = RunningGateway(deep)
    other.upstreams = []
    try:
        other.targets.write_text("{}", encoding="utf-8")
        other.publish_key()
        other.start()
        assert len(str(other.folder.run / "admin.sock")) > 200
        assert other.gateway.haproxy.worker()
    finally:
        other.close()


def test_ending_it_politely_finishes_what_is_in_hand(own: RunningGateway) -> None:
    with httpx.stream("GET", f"{own.url}/api/v1/notices/stream", headers=own.bearer()) as answer:
        chunks = answer.iter_raw()
        next(chunks)
        own.write_routes([*ROUTES, route("GET", "/api/v1/added", "public")])
        assert own.gateway.compile()
        text = b"".join(chunks)

    assert b"data: 4" in text


def test_files_are_for_their_owner_alone(own: RunningGateway) -> None:
    for path in own.folder.root.rglob("*"):
        if not path.is_symlink() and not path.is_socket():
            assert path.stat().st_mode & 0o077 == 0 or path.parent.stat().st_mode & 0o077 == 0, path
    assert own.folder.root.stat().st_mode & 0o077 == 0
