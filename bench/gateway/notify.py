"""Real replicas of a real service: notify, with its web and stream processes, on a database of its own."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from bench.bus.stage import await_
from bench.gateway.processes import LOOPBACK, Running, await_answers, cores, free_port, running
from bench.servers import harness
from libs.common.events.personal import generate_key_pair
from libs.common.testing import Harness, TestKeys
from services.notify.app import service

KEPT_OPEN = 20_000
"""Open files that a hub of many streams needs and a shell does not give."""


@dataclass(frozen=True)
class Replica:
    """One process of notify."""

    address: str
    process: Running


@dataclass(frozen=True)
class Notify:
    """The service, without any replica yet."""

    harness: Harness
    environ: Mapping[str, str]

    @contextmanager
    def replica(self, kind: str) -> Iterator[Replica]:
        """A process that is ready; it is drained at the end."""
        port = free_port()
        command = [sys.executable, "-m", "services.notify", kind]
        with running(command, cores()[1], environ={**self.environ, "PORT": str(port)}) as process:
            await_answers(port, f"notify {kind}", process)
            await_(f"notify {kind} to be ready", lambda: _ready(port))
            yield Replica(f"{LOOPBACK}:{port}", process)


def _ready(port: int) -> bool:
    try:
        return httpx.get(f"http://{LOOPBACK}:{port}/health/ready", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def notify(origin: str, keys: TestKeys, auth_url: str) -> Iterator[Notify]:
    """Believes tokens of these keys, issued there."""
    private, public = generate_key_pair()
    given = {"LUMIERE_ORIGIN": origin, "NOTIFY_PRIVATE_KEY": private, "NOTIFY_PUBLIC_KEY": public}
    with harness(service, given) as made:
        made.keys = keys
        yield Notify(made, {**made.environ, "AUTH_URL": auth_url, "DRAIN_SECONDS": "1"})
