"""Servers and a bus of a fault run's own."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from libs.common import ids
from libs.common.config import process_environment
from libs.common.events.broker import subscribe
from libs.common.events.subscriptions import Subscriptions
from libs.common.events.tests.live import show, subscriptions
from libs.common.events.tests.platform import Platform, databases, forget
from tests.faults.processes import Processes
from tests.faults.report import PROPERTY, TOLD, tell
from tests.faults.servers import Servers, await_up, fault_servers

SEED = "LUMIERE_FAULT_SEED"


@pytest.fixture(autouse=True)
def told(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test tells goes with its reports to whoever sums them up."""
    TOLD.clear()
    yield
    request.node.user_properties.extend((PROPERTY, line) for line in TOLD)


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Told at the end of the run; LUMIERE_FAULT_SEED replays the same schedule."""
    given = process_environment().get(SEED)
    seed = int(given) if given else secrets.randbits(32)
    tell(f"{request.node.name}: {SEED}={seed}")
    return seed


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    with fault_servers() as started:
        yield started


@pytest.fixture
def bus(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    """A producer and a consumer on these servers, in a new database and with queues of its own."""
    monkeypatch.setenv("DATABASE_URL", servers.database_url)
    monkeypatch.setenv("AMQP_URL", servers.amqp_url)
    await_up(servers)
    with databases() as (studio, cinema):
        platform = Platform(studio, cinema, servers.amqp_url, f"faults_{ids.new_id().hex[-10:]}")
        yield platform
        await_up(servers)


@pytest.fixture
def subscribed(bus: Platform) -> Iterator[Subscriptions]:
    """The consumer's queues, made before anything is published."""
    declared = subscriptions(bus.consumer, show)
    subscribe(bus.amqp_url, declared)
    yield declared
    forget(bus.amqp_url, declared)


@pytest.fixture
def processes(bus: Platform, subscribed: Subscriptions, tmp_path: Path) -> Iterator[Processes]:
    running = Processes(bus, tmp_path)
    yield running
    running.end()
