"""Clients that take their time are cut off before they cost anybody else anything; uploads and event streams go on."""

import json
import re
import select
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Self

import h2.connection
import httpx
import pytest

from gateway import limits
from gateway.haproxy import Haproxy
from gateway.sweep import Held, Sweeper, held
from gateway.tests.running import ROUTES, RunningGateway, eventually, route
from libs.common import clock

MANY = 200


@pytest.fixture(scope="module")
def brisk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway with little patience; each replica has one place for plain requests and one for downloads."""
    with pytest.MonkeyPatch.context() as patched:
        for name in ("HEAD_SECONDS", "BODY_WAIT_SECONDS", "CLIENT_IDLE_SECONDS", "GOODBYE_SECONDS"):
            patched.setattr(limits, name, 1)
        patched.setattr(limits, "REPLICA_REQUESTS_MAX", 2)
        patched.setattr(limits, "BULK_REQUESTS_MAX", 2)
        routes = [
            *ROUTES,
            route("GET", "/api/v1/large", "public", rate="public"),
            route("GET", "/api/v1/patient/slow", "public", rate="public"),
            route("GET", "/api/v1/download/large", "public", rate="public", timeout=600),
        ]
        running = RunningGateway(tmp_path_factory.mktemp("brisk"), routes=routes)
        with running.serving(1):
            yield running


def connected(gateway: RunningGateway, sent: bytes) -> socket.socket:
    """Say this and nothing more."""
    wire = socket.socket()
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    wire.settimeout(20)
    wire.connect(("127.0.0.1", gateway.port))
    wire.sendall(sent)
    return wire


def rest(wire: socket.socket) -> bytes:
    """All that comes until the other side ends the connection."""
    answer = b""
    try:
        while part := wire.recv(1_048_576):
            answer += part
    except ConnectionResetError:
        pass
    return answer


@contextmanager
def many(gateway: RunningGateway, sent: bytes) -> Iterator[list[socket.socket]]:
    """Many clients that all say this and nothing more."""
    with ExitStack() as stack:
        yield [stack.enter_context(connected(gateway, sent)) for _ in range(MANY)]


def test_slow_heads_are_cut_off_and_others_are_served_meanwhile(brisk: RunningGateway) -> None:
    with many(brisk, b"GET /api/v1/echo HTTP/1.1\r\nHost: x\r\nX-Slow: a") as slow:
        assert httpx.get(f"{brisk.url}/api/v1/echo").status_code == 200
        heads = {rest(wire)[:13] for wire in slow}

    assert heads == {b"HTTP/1.1 408 "}


def test_a_head_that_trickles_is_cut_off_all_the_same(brisk: RunningGateway) -> None:
    done = threading.Event()
    with connected(brisk, b"GET /api/v1/echo HTTP/1.1\r\n") as wire:

        def trickle() -> None:
            while not done.wait(0.1):
                try:
                    wire.sendall(b"X: y\r\n")
                except OSError:
                    return

        thread = threading.Thread(target=trickle)
        thread.start()
        answer = rest(wire)
        done.set()
        thread.join()

    assert answer.startswith(b"HTTP/1.1 408 ")


def test_silence_before_the_first_byte_ends_without_a_word(brisk: RunningGateway) -> None:
    with connected(brisk, b"") as wire:
        assert rest(wire)[:13] in {b"", b"HTTP/1.1 408 "}


def test_slow_bodies_take_no_place_and_are_cut_off(brisk: RunningGateway) -> None:
    with many(brisk, b"POST /api/v1/small HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nx") as slow:
        assert httpx.get(f"{brisk.url}/api/v1/echo").status_code == 200
        answers = [rest(wire) for wire in slow]

    assert {answer[:13] for answer in answers} == {b"HTTP/1.1 408 "}
    assert json.loads(answers[0].partition(b"\r\n\r\n")[2])["type"] == "https://lumiere.film/problems/request-timeout"


def test_who_reads_nothing_gives_the_place_back(brisk: RunningGateway) -> None:
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(connected(brisk, b"GET /api/v1/large HTTP/1.1\r\nHost: x\r\n\r\n"))
        eventually(lambda: brisk.working("echo-web") == 2)
        assert httpx.get(f"{brisk.url}/api/v1/echo", timeout=20).status_code == 200
        assert eventually(lambda: brisk.working("echo-web") == 0)


def test_an_upload_that_stops_is_cut_off_and_one_that_goes_on_is_not(
    brisk: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HAProxy 2 waits for the rest of an upload for as long as for the service, so its pace is looked at; HAProxy 3 itself
    cuts off who is silent for as long as a client may be."""
    head = "POST /api/v1/upload HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\nAuthorization: {}\r\nConnection: close\r\n\r\n"
    token, pause = brisk.bearer()["Authorization"], threading.Event()
    with connected(brisk, head.format(20, token).encode()) as steady:
        for _ in range(20):
            pause.wait(0.15)  # three times as long as silence would be suffered, but never silent
            steady.sendall(b"x")
        assert rest(steady).startswith(b"HTTP/1.1 200 ")

    monkeypatch.setattr(limits, "BULK_GRACE_SECONDS", 0)
    with connected(brisk, head.format(50_000, token).encode() + b"x") as stopped:
        sweeper = Sweeper(brisk.gateway.haproxy)
        assert eventually(lambda: sweeper.sweep() or readable(stopped))
        assert rest(stopped)[:13] in {b"HTTP/1.1 408 ", b"HTTP/1.1 400 ", b"HTTP/1.1 503 ", b""}
    assert eventually(lambda: brisk.working("echo-web-bulk") == 0)


def test_a_slow_service_and_quiet_events_are_not_the_clients_fault(brisk: RunningGateway) -> None:
    with httpx.stream("GET", f"{brisk.url}/api/v1/notices/stream", headers=brisk.bearer(), timeout=20) as answer:
        assert b"data: 4" in b"".join(answer.iter_raw())
    assert httpx.get(f"{brisk.url}/api/v1/patient/slow", timeout=20).status_code == 200


def listed(gateway: RunningGateway, backend: str) -> int:
    """For how many seconds HAProxy says that something is under way there."""
    listing = gateway.gateway.haproxy.command("show sess")
    return max((each.seconds for each in held(listing) if each.backend == backend), default=0)


def version(gateway: RunningGateway) -> int:
    """HAProxy's major version."""
    return int(re.findall(r"^Version: (\d+)", gateway.gateway.haproxy.command("show info"), re.MULTILINE)[0])


def readable(wire: socket.socket) -> bool:
    """Whether an answer, or the connection's end, has arrived."""
    return bool(select.select([wire], [], [], 0)[0])


class Trickling:
    """Somebody who takes a little of a large answer, again and again: never silent, never done."""

    def __init__(self, gateway: RunningGateway, path: str) -> None:
        self._done = threading.Event()
        self._wire = connected(gateway, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._wire.close()

    def _read(self) -> None:
        while not self._done.wait(0.05):
            try:
                if not self._wire.recv(2_048):
                    break
            except OSError:
                break


def test_who_takes_a_plain_answer_by_drops_is_cut_off(brisk: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    sweeper = Sweeper(brisk.gateway.haproxy)
    with Trickling(brisk, "/api/v1/large"):
        eventually(lambda: brisk.working("echo-web") == 1)
        assert sweeper.sweep() == 0
        monkeypatch.setattr(limits, "HELD_SECONDS_MAX", -1)
        assert eventually(sweeper.sweep)
        assert eventually(lambda: brisk.working("echo-web") == 0)


def test_who_takes_a_download_by_drops_is_cut_off_and_who_takes_it_slowly_is_not(
    brisk: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeper = Sweeper(brisk.gateway.haproxy)
    with Trickling(brisk, "/api/v1/download/large"):
        eventually(lambda: brisk.working("echo-web-bulk") == 1)
        monkeypatch.setattr(limits, "BULK_GRACE_SECONDS", 0)
        monkeypatch.setattr(limits, "BULK_BYTES_A_SECOND_MIN", 1)
        assert sweeper.sweep() == 0
        eventually(lambda: listed(brisk, "echo-web-bulk") >= 1)
        reading = clock.monotonic
        monkeypatch.setattr("gateway.sweep.clock.monotonic", lambda: reading() + 1)
        assert sweeper.sweep() == 0
        monkeypatch.setattr(limits, "BULK_BYTES_A_SECOND_MIN", 2**30)
        assert eventually(sweeper.sweep)
        assert eventually(lambda: brisk.working("echo-web-bulk") == 0)
    with Trickling(brisk, "/api/v1/download/large"):
        monkeypatch.setattr(limits, "BULK_BYTES_A_SECOND_MIN", 0)
        monkeypatch.setattr(limits, "BULK_GRACE_SECONDS", -1)
        monkeypatch.setattr(limits, "BULK_SECONDS_MAX", -1)
        assert eventually(sweeper.sweep)
        assert eventually(lambda: brisk.working("echo-web-bulk") == 0)


class Listing(Haproxy):
    """What HAProxy would say, as a text."""

    def __init__(self, backend: str, age: str, moved: int) -> None:
        self._listing = (
            f"0xabc: proto=tcpv4 src=192.0.2.7:1 fe=door be={backend} srv=s ts=00 epoch=0 age={age} calls=1 rate=0\n"
        )
        self._moved = f"  req=0x1 (f=0x1 an=0x1 tofwd=0 total=1)\n  res=0x2 (f=0x2 an=0x2 total={moved - 1})\n"
        self.ended: list[str] = []

    def become(self, other: "Listing") -> None:
        """Say what the other says."""
        self._listing, self._moved = other._listing, other._moved

    def command(self, text: str, name: str = "") -> str:  # noqa: ARG002 — one socket is like another here
        """The listing, one request of it, or nothing."""
        if text.startswith("shutdown"):
            self.ended.append(text)
            return ""
        return self._listing if text == "show sess" else self._moved


BULK, GRACE, PACE = "media-web-bulk", limits.BULK_GRACE_SECONDS, limits.BULK_BYTES_A_SECOND_MIN


@pytest.mark.parametrize(
    ("backend", "age", "moved", "ends"),
    [
        ("tasks-web", f"{limits.HELD_SECONDS_MAX}s", 1, False),
        ("tasks-web", f"{limits.HELD_SECONDS_MAX // 60}m{limits.HELD_SECONDS_MAX % 60 + 1}s", 10**9, True),
        (BULK, f"{GRACE}s", 1, False),
        (BULK, f"{GRACE + 1}s", (GRACE + 1) * PACE - 1, True),
        (BULK, f"{GRACE + 1}s", (GRACE + 1) * PACE, False),
        (BULK, "1h", limits.BULK_SECONDS_MAX * PACE, False),
        (BULK, "1h1s", 10**12, True),
        ("notify-stream", "3d2h", 0, False),
        ("gateway-pages", "1h", 0, False),
        ("<NONE>", "1h", 0, False),
    ],
)
def test_how_long_a_place_may_be_held(backend: str, age: str, moved: int, ends: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    first, later = Listing(backend, "0s", moved), Listing(backend, age, moved)
    sweeper, moment = Sweeper(first), 0.0
    monkeypatch.setattr("gateway.sweep.clock.monotonic", lambda: moment)
    assert sweeper.sweep() == 0

    moment = next(held(later.command("show sess"))).seconds
    first.become(later)

    assert sweeper.sweep() == int(ends)
    assert first.ended == ["shutdown session 0xabc"] * ends


def test_another_request_under_the_same_name_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    haproxy, moment = Listing("tasks-web", "0s", 1), 0.0
    sweeper = Sweeper(haproxy)
    monkeypatch.setattr("gateway.sweep.clock.monotonic", lambda: moment)
    assert sweeper.sweep() == 0

    moment = 2.0 * limits.HELD_SECONDS_MAX
    haproxy.become(Listing("tasks-web", f"{limits.HELD_SECONDS_MAX + 1}s", 1))

    assert sweeper.sweep() == 0
    assert haproxy.ended == []


def test_a_request_is_not_as_old_as_the_connection_it_came_by(brisk: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside an event stream HAProxy 2 counts a request from the end of the one before it, or from the connection's start."""
    monkeypatch.setattr(limits, "HELD_SECONDS_MAX", 0)
    sweeper, connection = Sweeper(brisk.gateway.haproxy), h2.connection.H2Connection()
    connection.initiate_connection()
    fields = [(":method", "GET"), (":scheme", "http"), (":authority", "x")]
    with socket.create_connection(("127.0.0.1", brisk.port), timeout=10) as wire:
        connection.send_headers(1, [*fields, (":path", "/api/v1/notices/stream"), *brisk.bearer().items()], end_stream=True)
        wire.sendall(connection.data_to_send())
        eventually(lambda: listed(brisk, "echo-stream") >= 1)
        connection.send_headers(3, [*fields, (":path", "/api/v1/patient/slow")], end_stream=True)
        wire.sendall(connection.data_to_send())
        eventually(lambda: brisk.working("echo-web") == 1)

        assert listed(brisk, "echo-web") > limits.HELD_SECONDS_MAX or version(brisk) >= 3
        assert sweeper.sweep() == 0


def test_ages_are_read_as_haproxy_writes_them() -> None:
    listing = "0x1: proto=tcpv4 src=unix:1 fe=door be=a-web srv=s ts=00 epoch=0 age=1d2h calls=1\n"

    assert list(held(listing)) == [Held("0x1", "a-web", 93_600)]


def test_times_and_places_are_compiled_as_they_are_written_down(brisk: RunningGateway) -> None:
    configuration = (brisk.folder.current / "haproxy.cfg").read_text(encoding="utf-8")

    for line in (
        f"timeout http-request {limits.HEAD_SECONDS}s",
        f"timeout client {limits.CLIENT_IDLE_SECONDS}s",
        f"timeout http-keep-alive {limits.KEEP_ALIVE_SECONDS}s",
        f"timeout queue {limits.QUEUE_SECONDS}s",
        f"wait-for-body time {limits.BODY_WAIT_SECONDS}s",
        f"maxconn {limits.REPLICA_REQUESTS_MAX} ",
        f"maxconn {limits.BULK_REQUESTS_MAX}\n",
        f"maxconn {limits.STREAM_CONNECTIONS_MAX}\n",
    ):
        assert line in configuration, line
    assert limits.HELD_SECONDS_MAX > limits.BODY_WAIT_SECONDS + limits.QUEUE_SECONDS + limits.BULK_FROM_SECONDS


ATTACKS = {
    "slow heads": ["-H", "-i", "10", "-x", "24", "-t", "GET", "-u", "/api/v1/echo"],
    "slow bodies": ["-B", "-i", "10", "-x", "10", "-s", "8192", "-t", "POST", "-u", "/api/v1/small"],
    "slow readers": ["-X", "-w", "10", "-y", "20", "-n", "5", "-z", "32", "-k", "3", "-u", "/api/v1/tiles/large"],
}
CONNECTIONS, ATTACK_SECONDS = 1_000, 30


@pytest.mark.long
@pytest.mark.parametrize("name", ATTACKS)
def test_a_thousand_slow_clients_leave_the_service_available(name: str, production: RunningGateway) -> None:
    """With slowhttptest and the shipped limits: neither its own probe nor somebody elsewhere ever waits in vain."""
    if shutil.which("slowhttptest") is None:
        pytest.skip("needs slowhttptest: apt-get install slowhttptest")
    *arguments, path = ATTACKS[name]
    command = ["slowhttptest", *arguments, f"{production.url}{path}", "-c", str(CONNECTIONS), "-r", "200", "-p", "5"]
    elsewhere = httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.2"), base_url=production.url, timeout=5)
    with elsewhere, subprocess.Popen([*command, "-l", str(ATTACK_SECONDS)], stdout=subprocess.PIPE, text=True) as attack:
        reports: list[str] = []
        reader = threading.Thread(target=lambda: reports.extend(attack.stdout or ()))
        reader.start()
        own, pause = [], threading.Event()
        while attack.poll() is None:
            own.append(elsewhere.get("/api/v1/echo").status_code)
            pause.wait(0.2)
        reader.join()

    said = [line for line in reports if "service available" in line]
    assert said, "".join(reports)
    assert not [line for line in said if "NO" in line]
    assert set(own) == {200}
