"""What all measurements of the gateway stand on: its two processes as they are shipped, and services behind it."""

import json
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from bench.bus.stage import await_
from bench.figures import NothingMeasured
from bench.gateway.processes import LOOPBACK, Running, await_answers, cores, free_port, program, running
from gateway.folder import Folder
from gateway.haproxy import Haproxy
from gateway.manifest import manifest_paths, read
from libs.common.auth import Role, Subject
from libs.common.config import load
from libs.common.testing import TestKeys, a_subject, claims_for, mint
from libs.common.testing.tokens import KEY_ID
from ops.door import await_gateway
from ops.environment import AUDIENCE
from ops.layout import Layout
from ops.plan import Plan
from ops.settings import PlatformSettings

START_SECONDS = WELL_SECONDS = 30.0
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own in it
HTTP_KINDS = ("web", "stream")
Targets = Mapping[str, Mapping[str, Sequence[str]]]

_ANSWERER = """
global
  maxconn 4000
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
frontend answers
  bind {host}:{port}
  http-request return status 200 content-type application/json string '{{"id": "0198f3a2-7c1e-7b42-9f6e-000000000000"}}'
"""


@dataclass(frozen=True)
class Door:
    """A running gateway: HAProxy and its control process."""

    layout: Layout
    haproxy: Running
    control: Running
    keys: TestKeys

    @property
    def port(self) -> int:
        """Where clients connect."""
        return self.layout.settings.lumiere_port

    @property
    def admin(self) -> Haproxy:
        """Its admin socket."""
        return Haproxy(Folder(self.layout.gateway_folder))

    def token(self, subject: Subject) -> str:
        """An access token as auth would issue it."""
        return mint(self.keys, claims_for(subject, self.layout.origin, AUDIENCE))

    def tokens(self, count: int, *roles: Role) -> list[str]:
        """Tokens of as many people, viewers when no role is named: without a role a token opens nothing."""
        return [self.token(a_subject(*(roles or (Role.VIEWER,)))) for _ in range(count)]

    @property
    def targets(self) -> Targets:
        """The replicas that are named now."""
        named: Targets = json.loads(self.layout.targets.read_text(encoding="utf-8"))
        return named

    def send_to(self, targets: Targets) -> None:
        """Name the replicas; returns once the gateway sends requests to all of them, and to none of the others any more."""
        before, present = _addresses(self.targets), _addresses(targets)
        write_targets(self.layout, targets)
        await_gateway(self.layout, present, before - present)
        await_("the gateway's replicas to be well", lambda: all(each.startswith("UP") for each in self._states()), WELL_SECONDS)

    def with_notify(self, kind: str, addresses: Sequence[str]) -> Targets:
        """The same replicas, but for these of notify."""
        return {**self.targets, "notify": {**self.targets["notify"], kind: addresses}}

    def _states(self) -> list[str]:
        return [state for servers in self.admin.replicas().values() for state in servers.values()]


def _addresses(targets: Targets) -> set[str]:
    return {address for kinds in targets.values() for found in kinds.values() for address in found}


def write_targets(layout: Layout, targets: Targets) -> None:
    """The file appears whole."""
    layout.targets.parent.mkdir(parents=True, exist_ok=True)
    draft = layout.targets.with_suffix(".draft")
    draft.write_text(json.dumps(targets), encoding="utf-8")
    draft.replace(layout.targets)


def everywhere(address: str) -> Targets:
    """All processes of all services at one address."""
    return {
        manifest.service: {process: [address] for process in manifest.processes if process in HTTP_KINDS}
        for manifest in read(manifest_paths())
        if manifest.service != "gateway"
    }


@contextmanager
def answerer() -> Iterator[str]:
    """A service that answers at once whatever it is asked, beside the load; its address."""
    port, core = free_port(), cores()[1]
    with configured("haproxy", _ANSWERER.format(host=LOOPBACK, port=port)) as file:
        with running([program("haproxy", "haproxy"), "-db", "-f", str(file)], core) as process:
            await_answers(port, "the service that answers at once", process)
            yield f"{LOOPBACK}:{port}"


@contextmanager
def configured(name: str, text: str) -> Iterator[Path]:
    """A configuration file for as long as it is needed."""
    with TemporaryDirectory(prefix="lumiere-bench-") as folder:
        file = Path(folder) / name
        file.write_text(text, encoding="utf-8")
        yield file


def published(keys: TestKeys) -> dict[str, Any]:
    """The key set (RFC 7517) as auth would publish it."""
    return {"keys": [{**keys.key.as_dict(private=False), "kid": KEY_ID, "alg": "ES256", "use": "sig"}]}


@contextmanager
def keys_of_auth(keys: TestKeys) -> Iterator[str]:
    """A fake of auth, as far as gateway and services ask it: the key set and an empty revocation list. Its address."""
    documents = {"/.well-known/jwks.json": published(keys), "/internal/revocations": {"sessions": {}, "subjects": {}}}

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = documents.get(self.path)
            body = json.dumps(document or {}).encode()
            self.send_response(404 if document is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's name
            """Say nothing."""

    with ThreadingHTTPServer((LOOPBACK, 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{LOOPBACK}:{server.server_address[1]}"
        server.shutdown()


@contextmanager
def door(folder: Path, amqp_url: str, keys: TestKeys, auth_url: str, targets: Targets) -> Iterator[Door]:
    """The gateway as it is shipped, with the rules of all services: HAProxy on a processor of its own."""
    port = free_port()
    given = {
        "LUMIERE_HOME": str(folder),
        "LUMIERE_PORT": str(port),
        "AMQP_URL": amqp_url,
        "DATABASE_URL": "postgresql://unused/",
    }
    layout = Layout(load(PlatformSettings, given))
    environ = Plan(layout).environments.gateway() | {"AUTH_URL": auth_url}
    write_targets(layout, targets)
    command = [sys.executable, "-m", "gateway"]
    with ExitStack() as stack:
        # The access log goes to memory: what a disk takes for it is not the gateway's doing.
        lines = Path(stack.enter_context(TemporaryDirectory(prefix="lumiere-bench-", dir=MEMORY))) / "gateway.log"
        control = stack.enter_context(running([*command, "control"], cores()[1], environ=environ))
        await_("the gateway's keys", (layout.gateway_folder / "state" / "jwks.json").exists, START_SECONDS)
        haproxy = stack.enter_context(running([*command, "run"], cores()[0], environ=environ, output=lines))
        await_answers(port, "the gateway", haproxy)
        made = Door(layout, haproxy, control, keys)
        made.send_to(targets)
        yield made


def status_of(port: int, path: str, token: str | None = None) -> int:
    """The status of one request."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.get(f"http://{LOOPBACK}:{port}{path}", headers=headers, timeout=START_SECONDS, trust_env=False).status_code


def require(port: int, path: str, token: str | None, wanted: int = 200) -> None:
    """Raise NothingMeasured unless this is how it answers."""
    got = status_of(port, path, token)
    if got != wanted:
        raise NothingMeasured(f"GET {path} on port {port} answered {got}, not {wanted}.")
