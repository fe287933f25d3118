"""Two more gateways before a running platform, each with a folder and processes of its own, as on two machines."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from libs.common.events.tests.live import eventually
from ops.layout import Layout
from ops.plan import Plan
from ops.ports import free_range
from ops.settings import ROOT
from ops.testing import LivePlatform
from tests.cluster.running import Server

PORTS_FROM: Final = 23_700
PORTS_A_GATEWAY: Final = 3
NAMES: Final = ("one", "two")
UP_SECONDS: Final = 60.0


@dataclass(frozen=True)
class AnotherGateway:
    """One of the two."""

    url: str
    servers: tuple[Server, ...]

    def answers(self) -> bool:
        """Whether it is ready."""
        try:
            return httpx.get(f"{self.url}/health/ready", trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False


@contextmanager
def two_gateways(platform: LivePlatform, folder: Path) -> Iterator[tuple[AnotherGateway, ...]]:
    """Gateways `one` and `two` that know each other, until the block ends."""
    base = free_range(PORTS_FROM, len(NAMES) * PORTS_A_GATEWAY, step=20)
    names = ",".join(f"{name}=127.0.0.1:{base + number * PORTS_A_GATEWAY + 2}" for number, name in enumerate(NAMES))
    made = tuple(
        _gateway(platform.layout, folder, name, base + number * PORTS_A_GATEWAY, names) for number, name in enumerate(NAMES)
    )
    try:
        for each in made:
            for server in each.servers:
                server.start()
        for each in made:
            eventually(each.answers, f"{each.url} is ready", UP_SECONDS)
        yield made
    finally:
        for each in made:
            for server in reversed(each.servers):
                server.stop()


def _gateway(layout: Layout, folder: Path, name: str, port: int, peers: str) -> AnotherGateway:
    own = folder / name
    own.mkdir(mode=0o700)
    environment = Plan(layout).environments.gateway() | {
        "LUMIERE_PORT": str(port),
        "GATEWAY_METRICS_PORT": str(port + 1),
        "GATEWAY_FOLDER": str(own),
        "GATEWAY_PEERS": peers,
        "GATEWAY_PEER": name,
        "PYTHONPATH": str(ROOT),
    }
    servers = tuple(
        Server(f"{name} {what}", (sys.executable, "-m", "gateway", what), environment, folder / f"{name}-{what}.log")
        for what in ("control", "run")
    )
    return AnotherGateway(f"http://127.0.0.1:{port}", servers)
