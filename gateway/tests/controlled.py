"""A gateway whose two processes run as in production, with a fake of auth; and looks at processes from outside."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pika  # type: ignore[import-untyped]

from gateway.folder import Folder
from gateway.manifest import ROOT
from gateway.telling import STATUS, ControlAway, ask
from gateway.tests.running import AUDIENCE, ORIGIN, RunningGateway, eventually, free_port
from libs.common import clock
from libs.common.auth.policy import Role
from libs.common.events import Envelope
from libs.common.ids import new_id, random_token
from tests.tokens import Forge

REVOCATION_LIST_TOKEN = random_token()


class FakeAuth:
    """A fake of auth's two documents: the key set and the revocation list."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.revocations: dict[str, Any] = {"sessions": {}, "subjects": {}, "as_of": 0}
        self.maintenance: dict[str, Any] = {"enabled": False, "revision": 0}
        self.fetched_keys = 0
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(fake.answer(self.path, self.headers.get("Authorization", ""))).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 — the base class's name
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Its base address."""
        return f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, path: str, authorization: str) -> Any:
        """What auth would say."""
        if path == "/.well-known/jwks.json":
            self.fetched_keys += 1
            return {"keys": self.keys}
        assert authorization == f"Bearer {REVOCATION_LIST_TOKEN}"
        return self.maintenance if path == "/internal/maintenance" else self.revocations


class Platform:
    """HAProxy, control and the fake auth, each started as in production."""

    def __init__(self, root: Path, key_id: str = "key-one") -> None:
        self.root = root
        self.auth = FakeAuth()
        self.key_id = key_id
        self.key = RunningGateway.key_of_tests(key_id)
        self.auth.keys = [self.key.as_dict(private=False)]
        self.port = free_port()
        self.environ = {
            **os.environ,
            "LUMIERE_ORIGIN": ORIGIN,
            "AMQP_URL": os.environ.get("AMQP_URL", ""),
            "AUTH_URL": self.auth.url,
            "REVOCATION_LIST_TOKEN": REVOCATION_LIST_TOKEN,
            "HOST": "127.0.0.1",
            "LUMIERE_PORT": str(self.port),
            "GATEWAY_SECRET": random_token(),
            "GATEWAY_TARGETS": str(root / "targets.json"),
            "GATEWAY_FOLDER": str(root / "gateway"),
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """`python -m gateway <name>`."""
        with (self.root / f"{name}.log").open("ab") as log:
            command = [sys.executable, "-m", "gateway", name]
            self.processes[name] = subprocess.Popen(command, cwd=ROOT, env=self.environ, stdout=log, stderr=log)

    def end(self, name: str) -> None:
        """Stop one process as a supervisor would."""
        self.processes[name].terminate()
        assert self.processes.pop(name).wait(10) is not None

    def kill(self, name: str) -> None:
        """End one process without a word."""
        process = self.processes.pop(name)
        process.kill()
        process.wait(10)

    def close(self) -> None:
        """End everything."""
        for name in list(self.processes):
            self.end(name)
        self.auth.server.shutdown()
        self.auth.server.server_close()

    def status(self, token: str) -> int:
        """What an administrator gets at `/health`."""
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.port}/health", headers={"Authorization": f"Bearer {token}"}, timeout=5)
        except httpx.TransportError:
            return 0
        return answer.status_code

    def forge(self) -> Forge:
        """Signs as auth would."""
        return Forge(self.key, self.key_id, ORIGIN, AUDIENCE)

    def broadcast(self, kind: str, subject: str, data: dict[str, Any]) -> None:
        """Publish as auth's relay would."""
        envelope = Envelope(
            id=new_id(),
            source="/services/auth",
            type=kind,
            subject=subject,
            time=clock.now(),
            dataschema=f"https://lumiere.film/events/{kind}/1",
            sequence=1,
            correlation_id="tests",
            data=data,
        )
        broker = pika.URLParameters(self.environ["AMQP_URL"])
        connection = pika.BlockingConnection(broker)
        sender = pika.BasicProperties(user_id=broker.credentials.username)
        connection.channel().basic_publish("lumiere.events", kind, envelope.encode(), sender)
        connection.close()

    def listening(self) -> bool:
        """Whether the control process hears broadcasts."""
        try:
            return bool(json.loads(ask(Folder(self.root / "gateway"), STATUS))["broadcast"])
        except ControlAway:
            return False


def started(platform: Platform) -> Iterator[Platform]:
    """Until it takes administrators' tokens and hears broadcasts; ended afterwards."""
    try:
        platform.start("run")
        platform.start("control")
        eventually(platform.listening, 20)
        eventually(lambda: platform.status(platform.forge().token(Role.ADMIN)) == 200, 20)
        yield platform
    finally:
        platform.close()


def ended(pid: int) -> bool:
    """Whether a process is no more; one that nobody has taken note of counts."""
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"


def holding(pid: int) -> set[str]:
    """The packages whose compiled parts a process has in its memory."""
    maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
    return {line.partition("/site-packages/")[2].partition("/")[0] for line in maps.splitlines() if "/site-packages/" in line}


def child_of(pid: int) -> int | None:
    """A process that this one started."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1]
        except OSError:  # gone meanwhile
            continue
        if parent == str(pid):
            return int(folder.name)
    return None
