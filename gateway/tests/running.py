"""A real HAProxy, compiled by the gateway from a manifest of the tests' own, before real upstream processes."""

import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from joserfc.jwk import ECKey

from gateway import haproxy
from gateway.discovery import FileTargets
from gateway.door import Door
from gateway.folder import Folder
from gateway.manifest import ROOT
from gateway.state import Gateway
from libs.common import clock
from libs.common.auth.policy import Role
from tests.tokens import Forge

ORIGIN = "https://lumiere.test"
AUDIENCE = "lumiere"
DEADLINE_SECONDS = 10
UUID_TEXT = "01890a5d-ac96-774b-bcce-b302099a8057"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(condition: Callable[[], Any], seconds: float = DEADLINE_SECONDS) -> Any:
    """Wait until the condition holds; its value. Fails when it does not in time."""
    deadline = clock.monotonic() + seconds
    while not (value := condition()):
        assert clock.monotonic() < deadline, f"not within {seconds} s"
        threading.Event().wait(0.02)
    return value


def route(method: str, path: str, allow: Any, **changes: Any) -> dict[str, Any]:
    """One manifest entry."""
    operation = f"echo.{method.lower()}_" + "_".join(part.strip("{}").replace("-", "_") for part in path.split("/")[3:])
    entry = {
        "method": method,
        "path": path,
        "parameters": {},
        "operation": operation,
        "allow": allow,
        "rate": "read" if method == "GET" else "write",
        "body_limit": 32_768,
        "timeout": 15,
        "stream": False,
        "page": False,
        "step_up": None,
        "scope": None,
        "machines": False,
        "during_maintenance": False,
        "idempotency": "refused",
        "consumes": ["application/json"],
        "process": "web",
        "source": "services/echo/routes.py:anything",
    }
    return {**entry, **changes}


ROUTES = [
    route("GET", "/api/v1/echo", "public", rate="public"),
    route("GET", "/api/v1/mine", "signed_in"),
    route("GET", "/api/v1/admin/things", ["ADMIN"], during_maintenance=True),
    route("GET", "/api/v1/things/{thing_id}", ["ADMIN", "ARTIST"], parameters={"thing_id": "uuid"}),
    route("POST", "/api/v1/things/{thing_id}/claim", ["CONTRIBUTOR", "STUNT_PERFORMER"], parameters={"thing_id": "uuid"}),
    route("GET", "/api/v1/pages/{number}", "signed_in", parameters={"number": "int"}),
    route("GET", "/api/v1/films/{slug}", "public", rate="public", parameters={"slug": "string"}),
    route("PUT", "/api/v1/films/{slug}", ["ADMIN"], parameters={"slug": "string"}),
    route("POST", "/api/v1/standing", ["ADMIN"], step_up=300),
    route("GET", "/api/v1/scoped", ["ARTIST", "VIEWER"], scope="tasks:read"),
    route("GET", "/api/v1/catalogue", "signed_in", scope="tasks:read", machines=True),
    route("DELETE", "/api/v1/standing", "signed_in", step_up=300, step_up_acr="mfa"),
    route("GET", "/api/v1/enrolment", "signed_in", enrolment=True),
    route("PATCH", "/api/v1/things/{thing_id}", ["ADMIN"], parameters={"thing_id": "uuid"}),
    route("DELETE", "/api/v1/films/{slug}", ["ADMIN"], parameters={"slug": "string"}),
    route("GET", "/api/v1/tiles/{rest}", "public", rate="public", parameters={"rest": "path"}),
    route("POST", "/api/v1/small", "public", rate="write", body_limit=100),
    route("POST", "/api/v1/login", "public", rate="credentials", during_maintenance=True),
    route("POST", "/api/v1/upload", "signed_in", rate="upload", body_limit=1_000_000, consumes=["*/*"]),
    route("GET", "/api/v1/slow", "public", rate="public", timeout=1),
    route("GET", "/api/v1/notices/stream", "signed_in", rate="stream", stream=True, process="stream"),
    route("GET", "/entrance", "public", rate="credentials", operation="echo.entrance", page=True, cookies=True),
    route("GET", "/vault", ["ADMIN"], operation="echo.vault", page=True, step_up=300),
    route("GET", "/internal/list", "service"),
]


class Upstream:
    """One replica of the echo service, or of another program beside this one."""

    def __init__(self, *moods: str, program: str = "upstream.py") -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.process = subprocess.Popen([sys.executable, str(Path(__file__).with_name(program)), str(self.port), *moods])

    def ready(self) -> bool:
        """Whether it takes connections."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def send(self, number: signal.Signals) -> None:
        """SIGSTOP hangs it, SIGCONT frees it; SIGUSR1 makes it fail, SIGUSR2 mends it."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it without a word."""
        self.process.kill()
        self.process.wait()


class RunningGateway:
    """A gateway of a test: its folder, its HAProxy, its keys."""

    def __init__(
        self, root: Path, profile: str = "development", routes: Iterable[Mapping[str, Any]] = ROUTES, **door: Any
    ) -> None:
        self.root = root
        self.key = self.key_of_tests()
        self.manifest = root / "services" / "echo" / "policy.json"
        self.manifest.parent.mkdir(parents=True)
        self.write_routes(routes)
        self.targets = root / "targets.json"
        self.port = int(door.pop("port", 0)) or free_port()
        secret = b"a secret of the tests alone 123456"
        issuer = str(door.pop("issuer", ORIGIN))
        self.door = Door(issuer, AUDIENCE, profile, "127.0.0.1", self.port, secret, **door)  # type: ignore[arg-type]
        self.folder = Folder(root / "gateway")
        self.gateway = self.another_gateway()
        self.upstreams: list[Upstream] = []
        self.process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def key_of_tests(key_id: str = "key-one") -> ECKey:
        """A new signing key."""
        return ECKey.generate_key("P-256", parameters={"kid": key_id, "use": "sig", "alg": "ES256"})

    def another_gateway(self) -> Gateway:
        """The same gateway as a control process that was started again sees it."""
        return Gateway(
            self.door, self.folder, FileTargets(self.targets), lambda: [ROOT / "gateway" / "policy.json", self.manifest]
        )

    def write_routes(self, routes: Iterable[Mapping[str, Any]]) -> None:
        """Declare these routes."""
        document = {"service": "echo", "processes": ["web", "stream", "worker"], "routes": list(routes)}
        self.manifest.write_text(json.dumps(document), encoding="utf-8")

    def scale(self, count: int) -> None:
        """Have this many replicas, each ready, and name them in the targets."""
        while len(self.upstreams) < count:
            self.upstreams.append(Upstream())
        for upstream in self.upstreams:
            eventually(upstream.ready)
        self.send_to(*self.upstreams[:count])

    def send_to(self, *upstreams: Upstream) -> None:
        """Name these replicas in the targets."""
        addresses = [upstream.address for upstream in upstreams]
        self.targets.write_text(json.dumps({"echo": {"web": addresses, "stream": addresses}}), encoding="utf-8")

    def start(self, url: str | None = None, verify: ssl.SSLContext | bool = True) -> None:
        """Start HAProxy on what is compiled, and wait until it answers; `url` and `verify` when its door speaks TLS."""
        with (self.root / "haproxy.log").open("ab") as log, (self.root / "haproxy.err").open("ab") as err:
            self.process = subprocess.Popen(haproxy.command_line(self.folder), stdout=log, stderr=err)
        eventually(self.gateway.haproxy.worker)
        eventually(lambda: httpx.get(f"{url or self.url}/health/live", verify=verify).status_code == 200)

    def stop(self) -> None:
        """End HAProxy."""
        if self.process:
            self.process.terminate()
            self.process.wait(DEADLINE_SECONDS)

    @contextmanager
    def serving(self, replicas: int) -> Iterator[None]:
        """In front of this many replicas, with the key published; ended afterwards."""
        try:
            self.scale(replicas)
            self.publish_key()
            self.start()
            yield
        finally:
            self.close()

    def waiting(self, backend: str) -> int:
        """How many requests wait for a place there."""
        return int(self._backend(backend)["qcur"])

    def working(self, backend: str) -> int:
        """How many requests have a place there."""
        return int(self._backend(backend)["scur"]) - self.waiting(backend)

    def _backend(self, name: str) -> dict[str, str]:
        return next(row for row in self.gateway.haproxy.statistics() if (row["pxname"], row["svname"]) == (name, "BACKEND"))

    def close(self) -> None:
        """End everything."""
        self.stop()
        for upstream in self.upstreams:
            upstream.kill()

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """Everything HAProxy wrote on standard output."""
        return (self.root / "haproxy.log").read_text(encoding="utf-8")

    @property
    def forge(self) -> Forge:
        """Signs with the platform's first key, and knows where HAProxy keeps the public one."""
        file = self.gateway.keys[0].file
        paths = (
            f"keys/{file}",
            file,
            str(self.folder.current / "keys" / file),
            str((self.folder.current / "keys" / file).resolve()),
        )
        return Forge(self.key, "key-one", ORIGIN, AUDIENCE, paths)

    def bearer(self, *roles: Role, **changes: Any) -> dict[str, str]:
        """Headers of somebody with these roles, or of a viewer; who holds no role at all says `roles=""`."""
        return {"Authorization": f"Bearer {self.forge.token(*roles, **changes)}"}

    def shut(self) -> bool:
        """Whether somebody who does not maintain the platform is turned away."""
        answer = httpx.get(f"{self.url}/api/v1/echo")
        assert answer.status_code in {200, 503}
        return answer.status_code == 503

    def publish_key(self) -> None:
        """Let the gateway take the key, as it would from auth."""
        self.publish(self.key)

    def publish(self, *keys: ECKey) -> None:
        """Let the gateway take these keys and no others, as it would from auth."""
        self.gateway.take_keys({"keys": [key.as_dict(private=False) for key in keys]})
