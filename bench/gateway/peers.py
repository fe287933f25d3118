"""Other gateways with the same check, each started alone on the gateway's processor with all that it needs for checking."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.figures import NothingMeasured
from bench.gateway import SETTINGS
from bench.gateway.processes import LOOPBACK, NotInstalled, Running, await_answers, cores, free_port, program, running
from bench.gateway.stage import Door, published
from ops.console import err
from ops.environment import AUDIENCE
from ops.settings import ROOT

FAST_GATEWAY = ROOT / "bench" / "peers" / "fast_gateway"
PLACE = ROOT / ".local" / "bench" / "peers-npm"
LOCK, SCRIPT = "package-lock.json", "gateway.js"

_BARE = """
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
frontend door
  bind {host}:{port}
  default_backend service
backend service
  server service {service}
"""
_NGINX = """
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;
  scgi_temp_path {folder}/s;
  proxy_cache_path {folder}/verified keys_zone=verified:10m;
  keepalive_requests 1000000;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  upstream service {{ server {service}; keepalive 64; keepalive_requests 1000000; }}
  upstream verifier {{ server {verifier}; keepalive 64; keepalive_requests 1000000; }}
  server {{
    listen {host}:{port};
    location / {{ auth_request /_verify; proxy_pass http://service; }}
    location = /_verify {{
      internal;
      proxy_pass http://verifier/verify;
      proxy_pass_request_body off;
      proxy_set_header Connection "";
      proxy_set_header Content-Length "";
      proxy_set_header X-Forwarded-Uri $request_uri;
      {cache}
    }}
  }}
}}
"""
_CACHE = 'proxy_cache verified; proxy_cache_key "$http_authorization"; proxy_cache_valid 200 5s;'
_CADDY = """
{{
  admin off
  auto_https off
}}
http://:{port} {{
  bind {host}
  forward_auth {verifier} {{
    uri /verify
  }}
  reverse_proxy {service}
}}
"""


@dataclass(frozen=True)
class Started:
    """A gateway that runs: where it listens, and all processes that its work costs."""

    port: int
    processes: tuple[Running, ...]

    def cpu_seconds(self) -> float:
        """Of all of them."""
        return sum(each.cpu_seconds() for each in self.processes)

    def memory_mb(self) -> float:
        """Of all of them."""
        return sum(each.memory_mb() for each in self.processes)


Start = Callable[["Place"], AbstractContextManager[Started]]


@dataclass(frozen=True)
class Peer:
    """A gateway to compare with, and what it does less."""

    name: str
    less: str
    start: Start


@dataclass(frozen=True)
class Place:
    """Where peers live for one run: the service behind them, and whose tokens they believe."""

    door: Door
    service: str
    folder: Path

    def environ(self, port: int, *, remember: bool) -> dict[str, str]:
        """What a peer that is a program of ours reads."""
        settings = {
            "issuer": self.door.layout.origin,
            "audience": AUDIENCE,
            "key": published(self.door.keys)["keys"][0],
            "service": self.service,
            "port": port,
            "remember": remember,
        }
        return {SETTINGS: json.dumps(settings)}


@contextmanager
def place(door: Door, service: str) -> Iterator[Place]:
    """A place for peers, gone afterwards."""
    with TemporaryDirectory(prefix="lumiere-bench-") as folder:
        yield Place(door, service, Path(folder))


@contextmanager
def bare_haproxy(here: Place) -> Iterator[Started]:
    """HAProxy that only carries, with its defaults."""
    port = free_port()
    command = [program("haproxy", "haproxy"), "-db", "-f", _write(here, "bare", _BARE, port)]
    with running(command, cores()[0]) as process:
        await_answers(port, "bare HAProxy", process)
        yield Started(port, (process,))


@contextmanager
def _flask(here: Place, application: str, *, remember: bool) -> Iterator[Started]:
    port = free_port()
    options = ("--worker-class", "gevent", "--workers", "1", "--no-control-socket", "--log-level", "error")
    where = ("--bind", f"{LOOPBACK}:{port}", f"bench.gateway.checking:{application}")
    command = [sys.executable, "-m", "gunicorn", *options, *where]
    with running(command, cores()[0], environ=here.environ(port, remember=remember)) as process:
        await_answers(port, f"the Flask {application}", process)
        yield Started(port, (process,))


def _flask_gateway(*, remember: bool = False) -> Start:
    @contextmanager
    def start(here: Place) -> Iterator[Started]:
        with _flask(here, "gateway", remember=remember) as started:
            yield started

    return start


def _nginx(cache: str = "") -> Start:
    @contextmanager
    def start(here: Place) -> Iterator[Started]:
        port, nginx = free_port(), program("nginx", "nginx-light")
        with _flask(here, "verifier", remember=False) as verifier:
            folder = here.folder / f"nginx-{port}"
            folder.mkdir()
            user = "user root;" if os.geteuid() == 0 else ""
            more = {"verifier": f"{LOOPBACK}:{verifier.port}", "folder": str(folder), "user": user, "cache": cache}
            command = [nginx, "-c", _write(here, f"nginx-{port}.conf", _NGINX, port, more), "-e", "stderr"]
            with running(command, cores()[0]) as process:
                await_answers(port, "nginx", process)
                yield Started(port, (process, *verifier.processes))

    return start


@contextmanager
def _caddy(here: Place) -> Iterator[Started]:
    port, caddy = free_port(), program("caddy", "caddy")
    with _flask(here, "verifier", remember=False) as verifier:
        file = _write(here, "Caddyfile", _CADDY, port, {"verifier": f"{LOOPBACK}:{verifier.port}"})
        home = {"HOME": str(here.folder), "XDG_DATA_HOME": str(here.folder), "XDG_CONFIG_HOME": str(here.folder)}
        with running([caddy, "run", "--config", file], cores()[0], environ=home) as process:
            await_answers(port, "Caddy", process)
            yield Started(port, (process, *verifier.processes))


def _fast_gateway(*, remember: bool = False) -> Start:
    @contextmanager
    def start(here: Place) -> Iterator[Started]:
        port, node = free_port(), program("node", "nodejs npm")
        if not (PLACE / "node_modules").exists():
            raise NotInstalled(f"not installed: npm ci --prefix {PLACE.relative_to(ROOT)}")
        # The script stands with its packages: there Node looks for them.
        shutil.copy(FAST_GATEWAY / SCRIPT, PLACE / SCRIPT)
        with running([node, SCRIPT], cores()[0], environ=here.environ(port, remember=remember), cwd=PLACE) as process:
            await_answers(port, "fast-gateway", process)
            yield Started(port, (process,))

    return start


PEERS = (
    Peer("nginx, auth_request to Flask", "no limits, no revocation", _nginx()),
    Peer("nginx, the same, answers kept for 5 s", "what is revoked lives on for 5 s; no limits", _nginx(_CACHE)),
    Peer("Caddy, forward_auth to Flask", "no limits, no revocation", _caddy),
    Peer("fast-gateway (Node)", "no limits, no revocation", _fast_gateway()),
    Peer("fast-gateway that remembers tokens", "no limits, no revocation", _fast_gateway(remember=True)),
    Peer("Flask gateway", "no limits, no revocation", _flask_gateway()),
    Peer("Flask gateway that remembers tokens", "no limits, no revocation", _flask_gateway(remember=True)),
)
FLASK, FAST = PEERS[5], PEERS[3]


def install() -> None:
    """Put fast-gateway into a folder of its own, once for each lock. Without npm or a registry the table says: missing."""
    lock = FAST_GATEWAY / LOCK
    npm = shutil.which("npm")
    if npm is None or ((PLACE / LOCK).exists() and (PLACE / LOCK).read_bytes() == lock.read_bytes()):
        return
    err.print(f"[dim]Installing fast-gateway into {PLACE.relative_to(ROOT)}, for this benchmark alone[/]")
    PLACE.mkdir(parents=True, exist_ok=True)
    for name in (LOCK, "package.json"):
        shutil.copy(FAST_GATEWAY / name, PLACE / name)
    command = [npm, "ci", "--prefix", str(PLACE), "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=PLACE, capture_output=True, text=True, check=False)
    if done.returncode:
        (PLACE / LOCK).unlink()
        shutil.rmtree(PLACE / "node_modules", ignore_errors=True)
        err.print(f"[yellow]fast-gateway could not be installed: {done.stderr.strip().splitlines()[-1:]}[/]")


@contextmanager
def started(here: Place) -> Iterator[dict[Peer, Started | str]]:
    """All peers at once, each waiting on the gateway's processor; why, for those that did not start."""
    with ExitStack() as stack:
        found: dict[Peer, Started | str] = {}
        for peer in PEERS:
            try:
                found[peer] = stack.enter_context(peer.start(here))
            except NothingMeasured as failure:
                found[peer] = str(failure)
        yield found


def _write(here: Place, name: str, template: str, port: int, more: Mapping[str, str] | None = None) -> str:
    file = here.folder / name
    file.write_text(template.format(host=LOOPBACK, port=port, service=here.service, **(more or {})), encoding="utf-8")
    return str(file)
