"""The same doors behind the real web server and real sockets: what only bytes on a line can show."""

import hashlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import time_machine

from libs.common import clock
from libs.common.config import process_environment
from libs.common.testing import Harness
from services.media.domain.uploads import ORPHAN_AGE
from services.media.tests.client import Uploader, body_of, path_of
from services.media.tests.samples import PNG

DEADLINE_SECONDS = 20


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for a condition; fail when it does not come in time."""
    end = clock.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert clock.monotonic() < end, "the condition did not come in time"
        time.sleep(0.02)


def answers(origin: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"{origin}/health/live", trust_env=False).status_code == 200
    return False


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def started(harness: Harness) -> tuple[subprocess.Popen[bytes], str]:
    port = free_port()
    environ = {**process_environment(), **harness.environ, "PORT": str(port), "DRAIN_SECONDS": "0"}
    command = [sys.executable, "-m", "services.media", "web"]
    process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, start_new_session=True)
    origin = f"http://127.0.0.1:{port}"
    wait_until(lambda: answers(origin))
    return process, origin


def stop(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    process.wait(DEADLINE_SECONDS)


@pytest.fixture
def origin(harness: Harness) -> Iterator[str]:
    process, origin = started(harness)
    yield origin
    stop(process)


def status_of(uploader: Uploader, media_id: str) -> str:
    return str(body_of(uploader.http.get(f"/api/v1/media/{media_id}"))["status"])


def begin(origin: str, url: str, length: int) -> socket.socket:
    """Open a connection, send the head of an upload and a part of the body."""
    address = urlsplit(origin)
    line = socket.create_connection((address.hostname, address.port))
    head = f"PUT {path_of(url)} HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {length}\r\n\r\n"
    line.sendall(head.encode() + PNG)
    return line


def test_files_travel_whole_in_pieces_and_in_parts(origin: str, uploader: Uploader) -> None:
    data = PNG + bytes(3_000_000)
    pieces = [data[at : at + 70_000] for at in range(0, len(data), 70_000)]
    for content in (data, iter(pieces)):
        opened = uploader.opened(data)
        sent = httpx.put(origin + path_of(opened["url"]), content=content, headers=opened["headers"], trust_env=False)
        assert (sent.status_code, sent.json()["sha256"]) == (200, hashlib.sha256(data).hexdigest())
        assert body_of(uploader.complete(opened))["status"] == "READY"
    target = path_of(uploader.http.get(f"/api/v1/media/{opened['media_id']}/content").headers["Location"])
    whole = httpx.get(origin + target, trust_env=False)
    assert whole.content == data
    part = httpx.get(origin + target, headers={"Range": "bytes=1000000-2000000"}, trust_env=False)
    assert (part.status_code, part.content) == (206, data[1_000_000:2_000_001])
    head = httpx.head(origin + target, trust_env=False)
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(data)))


def test_a_line_that_breaks_leaves_nothing_and_the_address_is_free_again(origin: str, uploader: Uploader) -> None:
    opened = uploader.opened(size=1_000_000, sha256=None)
    line = begin(origin, opened["url"], 1_000_000)
    wait_until(lambda: status_of(uploader, opened["media_id"]) == "UPLOADING")
    line.close()
    wait_until(lambda: status_of(uploader, opened["media_id"]) == "PENDING")
    assert uploader.files() == []
    data = PNG + bytes(1_000_000 - len(PNG))
    assert (
        httpx.put(origin + path_of(opened["url"]), content=data, headers=opened["headers"], trust_env=False).status_code == 200
    )


def test_a_server_that_dies_in_the_middle_leaves_a_part_that_the_sweeper_removes(
    harness: Harness, uploader: Uploader, folder: Path
) -> None:
    process, origin = started(harness)
    opened = uploader.opened(size=1_000_000, sha256=None)
    with begin(origin, opened["url"], 1_000_000):
        wait_until(lambda: any((folder / "partial").iterdir()))
        subprocess.run(["/bin/kill", "-9", "--", f"-{process.pid}"], check=True)
        process.wait(DEADLINE_SECONDS)
    assert status_of(uploader, opened["media_id"]) == "UPLOADING"
    with time_machine.travel(clock.now() + ORPHAN_AGE * 2):
        assert harness.run_job("expire_uploads") == 1
        harness.run_job("delete_orphans")
    assert uploader.files() == []
