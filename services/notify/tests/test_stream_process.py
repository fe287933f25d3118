"""The event stream as its real process serves it: gunicorn on gevent, signed in by keys fetched over HTTP."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from libs.common import clock
from libs.common.auth import Role, Subject
from libs.common.config import process_environment
from libs.common.testing import Harness
from libs.common.testing.tokens import KEY_ID
from services.notify.tests.factories import lumens_changed
from services.notify.tests.listening import DEADLINE_SECONDS, PATH, Listening

ROOT = Path(__file__).parents[3]
START_SECONDS = 30
STOP_SECONDS = 20


@pytest.fixture
def fake_auth(harness: Harness) -> Iterator[str]:
    """A fake of auth, as far as a stream process asks it: the key set and an empty revocation list."""
    key: dict[str, Any] = {**harness.keys.key.as_dict(private=False), "kid": KEY_ID, "alg": "ES256", "use": "sig"}
    documents = {"/.well-known/jwks.json": {"keys": [key]}, "/internal/revocations": {"sessions": {}, "subjects": {}}}

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = orjson.dumps(documents[self.path])
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's name
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


class Process:
    """`python -m services.notify stream`, started."""

    def __init__(self, harness: Harness, auth_url: str, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        environ = {
            **process_environment(),
            **harness.environ,
            "AUTH_URL": auth_url,
            "PORT": str(self.port),
            "DRAIN_SECONDS": "0.5",
        }
        command = [sys.executable, "-m", "services.notify", "stream"]
        self._log = log
        with log.open("w") as output:
            self.process = subprocess.Popen(command, env=environ, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)

    def stop(self) -> int:
        """Ask it to stop; its exit code."""
        self.process.terminate()
        return self.process.wait(STOP_SECONDS)

    @property
    def output(self) -> list[str]:
        """What it has written, by line."""
        return self._log.read_text().splitlines()

    def end(self) -> None:
        """Whatever happened, leave no process."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(STOP_SECONDS)

    @contextmanager
    def listen(self, token: str) -> Iterator[Listening]:
        """A listener over HTTP."""
        url = f"http://127.0.0.1:{self.port}{PATH}"
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.stream("GET", url, headers=headers, timeout=DEADLINE_SECONDS, trust_env=False) as response:
            assert response.status_code == 200, response.read()
            yield Listening(response.iter_bytes(), response.close)

    def wait_until_ready(self) -> None:
        """Return once it serves; fails with its output otherwise."""
        deadline = clock.monotonic() + START_SECONDS
        pause = threading.Event()
        while clock.monotonic() < deadline and self.process.poll() is None:
            try:
                if httpx.get(f"http://127.0.0.1:{self.port}/health/ready", trust_env=False).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            pause.wait(0.1)
        pytest.fail("\n".join(self.output))


@pytest.fixture
def processes(harness: Harness, fake_auth: str, tmp_path: Path) -> Iterator[list[Process]]:
    """Two replicas."""
    started = [Process(harness, fake_auth, tmp_path / f"{number}.log") for number in range(2)]
    try:
        for each in started:
            each.wait_until_ready()
        yield started
    finally:
        for each in started:
            each.end()


def test_two_real_processes_tell_and_stop_in_good_order(harness: Harness, processes: list[Process]) -> None:
    subject: Subject = harness.subject(Role.CONTRIBUTOR)
    token = harness.token(subject)
    first, second = processes

    with first.listen(token) as one, second.listen(token) as other:
        for listening in (one, other):
            listening.until(lambda heard: bool(heard.data("connected")))
        harness.deliver(lumens_changed(subject.id, amount=7))
        assert [each.notified(1)[0]["data"]["amount"] for each in (one, other)] == [7, 7]

        assert first.stop() == 0
        one.until(lambda heard: heard.ended)
        assert not other.heard.ended
        assert second.stop() == 0
        other.until(lambda heard: heard.ended)

    assert [line for line in first.output if "Traceback" in line or "exited with code" in line] == []
