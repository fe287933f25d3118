"""Uploads and downloads pass through the gateway as they come: it holds a few buffers of them and no more."""

import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path

import httpx
import pytest

from gateway.tests import files
from gateway.tests.running import RunningGateway, Upstream, eventually, route

SIZE = files.SIZE
HELD_MAX = 16 * 1024 * 1024
"""More than the gateway's buffers of one body, far less than the body."""
QUIET_SECONDS = 1.0
"""When nothing was taken for so long, nobody takes anything any more."""
PIECE = bytes(256 * 1024)
ROUTES = [
    route("PUT", "/api/v1/file", "signed_in", rate="upload", stream=True, body_limit=SIZE, consumes=["*/*"], timeout=600),
    route("GET", "/api/v1/file", "public", rate="public", timeout=600),
    *(route("GET", f"/api/v1/{name}", "public", rate="public") for name in ("counts", "hold", "go")),
]


@pytest.fixture(scope="module")
def long_bodies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway in front of one service for files."""
    running = RunningGateway(tmp_path_factory.mktemp("long-bodies"), routes=ROUTES)
    running.upstreams.append(Upstream(program="files.py"))
    with running.serving(1):
        yield running


def counts(gateway: RunningGateway, name: str = "counts") -> dict[str, int]:
    """What the service has seen of bodies; `hold` sets that to nothing and lets it read no more, `go` lets it read on."""
    seen: dict[str, int] = httpx.get(f"{gateway.url}/api/v1/{name}").json()
    return seen


def memory(gateway: RunningGateway) -> int:
    """Bytes of memory that HAProxy's worker holds."""
    status = Path(f"/proc/{gateway.gateway.haproxy.worker()}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


@contextmanager
def upload(gateway: RunningGateway, length: str = f"Content-Length: {SIZE}") -> Iterator[socket.socket]:
    """A connection on which the head of an upload was sent."""
    head = f"PUT /api/v1/file HTTP/1.1\r\nHost: x\r\n{length}\r\nAuthorization: {gateway.bearer()['Authorization']}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as line:
        line.sendall(head.encode())
        yield line


def status_on(line: socket.socket) -> int:
    """The status of the answer."""
    answer = HTTPResponse(line)
    answer.begin()
    answer.read()
    return answer.status


def test_an_upload_reaches_the_service_before_its_last_byte_was_sent(long_bodies: RunningGateway) -> None:
    counts(long_bodies, "hold")
    counts(long_bodies, "go")
    before = memory(long_bodies)
    with upload(long_bodies) as line:
        for _ in range(SIZE // len(PIECE) - 1):
            line.sendall(PIECE)
        eventually(lambda: counts(long_bodies)["received"] > SIZE - HELD_MAX)
        grown = memory(long_bodies) - before
        line.sendall(PIECE)
        assert status_on(line) == 200

    assert counts(long_bodies)["received"] == SIZE
    assert grown < HELD_MAX


def test_a_service_that_reads_slowly_slows_its_sender_down(long_bodies: RunningGateway) -> None:
    counts(long_bodies, "hold")
    before = memory(long_bodies)
    with upload(long_bodies) as line:
        sent = 0
        line.setblocking(False)
        while sent < SIZE and select.select([], [line], [], QUIET_SECONDS)[1]:
            sent += line.send(PIECE[: SIZE - sent])
        grown = memory(long_bodies) - before
        counts(long_bodies, "go")
        line.setblocking(True)
        line.settimeout(20)
        for start in range(sent, SIZE, len(PIECE)):
            line.sendall(PIECE[: SIZE - start])
        assert status_on(line) == 200

    assert sent < SIZE
    assert grown < HELD_MAX
    assert counts(long_bodies)["received"] == SIZE


def test_an_upload_without_a_length_passes_as_well(long_bodies: RunningGateway) -> None:
    counts(long_bodies, "hold")
    counts(long_bodies, "go")
    with upload(long_bodies, "Transfer-Encoding: chunked") as line:
        chunk = f"{len(PIECE):x}\r\n".encode() + PIECE + b"\r\n"
        for _ in range(8):
            line.sendall(chunk)
        eventually(lambda: counts(long_bodies)["received"] >= 7 * len(PIECE))
        line.sendall(b"0\r\n\r\n")
        assert status_on(line) == 200

    assert counts(long_bodies)["received"] == 8 * len(PIECE)


@pytest.mark.parametrize(("length", "status"), [(SIZE + 1, 413), (10**18, 413)])
def test_an_upload_that_announces_too_much_is_refused_before_it_comes(
    length: int, status: int, long_bodies: RunningGateway
) -> None:
    counts(long_bodies, "hold")
    counts(long_bodies, "go")
    with upload(long_bodies, f"Content-Length: {length}") as line:
        assert status_on(line) == status

    assert counts(long_bodies)["uploads_ended"] == 0


def test_a_sender_that_goes_away_ends_the_upload_at_the_service(long_bodies: RunningGateway) -> None:
    counts(long_bodies, "hold")
    counts(long_bodies, "go")
    with upload(long_bodies) as line:
        line.sendall(PIECE)
        eventually(lambda: counts(long_bodies)["received"] >= len(PIECE))

    eventually(lambda: counts(long_bodies)["uploads_ended"] == 1)


def test_a_reader_that_pauses_pauses_the_service_and_one_that_leaves_ends_the_download(long_bodies: RunningGateway) -> None:
    counts(long_bodies, "hold")
    before = memory(long_bodies)
    with httpx.stream("GET", f"{long_bodies.url}/api/v1/file") as answer:
        next(answer.iter_raw(1024))
        given = [0]

        def pauses() -> bool:
            given.append(counts(long_bodies)["given"])
            return given[-1] == given[-2] > 0

        eventually(pauses)
        assert given[-1] < SIZE
        assert memory(long_bodies) - before < HELD_MAX

    eventually(lambda: counts(long_bodies)["downloads_ended"] == 1)


def test_a_download_arrives_whole(long_bodies: RunningGateway) -> None:
    with httpx.stream("GET", f"{long_bodies.url}/api/v1/file") as answer:
        assert sum(map(len, answer.iter_raw())) == SIZE


def test_parts_of_a_file_are_asked_for_and_answered_as_without_a_gateway(long_bodies: RunningGateway) -> None:
    asked = {"Range": f"bytes={SIZE - files.CHUNK}-", "If-Range": '"a-tag"'}

    part = httpx.get(f"{long_bodies.url}/api/v1/file", headers=asked)
    head = httpx.head(f"{long_bodies.url}/api/v1/file")

    assert (part.status_code, len(part.content)) == (206, files.CHUNK)
    assert part.headers["content-range"] == f"bytes {SIZE - files.CHUNK}-{SIZE - 1}/{SIZE}"
    assert (part.headers["x-seen-range"], part.headers["x-seen-if-range"]) == (asked["Range"], asked["If-Range"])
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(SIZE), b"")
