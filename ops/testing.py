"""Test support: the servers and the platform that a test run needs, started by it and stopped by it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from libs.common.config import load, process_environment
from libs.common.events.topology import OPERATOR
from ops.layout import INFRASTRUCTURE_PORTS, Layout
from ops.lifecycle import Platform
from ops.plan import Plan
from ops.ports import free_range, is_free
from ops.settings import ROOT, PlatformSettings

WORKER = process_environment().get("PYTEST_XDIST_WORKER", "")
"""The name of this process among those that share a run of the tests; empty for one that runs alone."""
_NUMBER = int(WORKER.removeprefix("gw") or 0)
SERVERS_FROM, PLATFORM_FROM, GATEWAY_FROM = 24_000 + _NUMBER * 1_000, 26_000 + _NUMBER * 1_500, 29_500 + _NUMBER * 500
"""Where ports are looked for: apart from those of the other processes, which look at the same moment."""
PLATFORM_PORTS = 400
PORT_BASE_FILE = "port-base"
BACKING = ("DATABASE_URL", "AMQP_URL")
TEST_FOLDER = ROOT / ".local" / "test" / WORKER
BRING_SERVERS = {"platform": "conftest", "engine": "tests.containers.conftest", "servers": "tests.faults.conftest"}
"""Fixtures that start servers for themselves, by the module that defines them."""
OUR_PACKAGES = frozenset({"libs", "services", "gateway", "ops", "tests"})


@dataclass(frozen=True, slots=True)
class LivePlatform:
    """A whole platform behind its gateway, for journeys."""

    origin: str
    mail: Path
    state: Path
    layout: Layout
    operations: Platform


def needs_servers(items: Iterable[pytest.Item]) -> bool:
    """Whether a collected test uses a fixture of this repository: those that use none are pure and need no server."""
    needy = (item for item in items if not _brings_servers(item))
    return any(_is_ours(item, name) for item in needy for name in getattr(item, "fixturenames", ()))


def _brings_servers(item: pytest.Item) -> bool:
    """Whether the test lives on servers of its own: those of the whole platform, or those of a fault run."""
    # The last definition is the one in force: a folder may call something of its own `platform`.
    return any(_modules(item, fixture)[-1:] == [module] for fixture, module in BRING_SERVERS.items())


def _is_ours(item: pytest.Item, name: str) -> bool:
    return any(module.partition(".")[0] in OUR_PACKAGES for module in _modules(item, name))


def _modules(item: pytest.Item, fixture: str) -> list[str]:
    information = getattr(item, "_fixtureinfo")  # noqa: B009 - private in pytest, and without a public equal
    return [str(definition.func.__module__) for definition in information.name2fixturedefs.get(fixture, ())]


@contextmanager
def private_servers(folder: Path) -> Iterator[dict[str, str]]:
    """Postgres and RabbitMQ of the tests' own; yields the variables that name them. What runs already is left running."""
    servers, reused = running_servers(folder), True
    if servers is None:
        servers, reused = _new_servers(folder), False
    plan = Plan(servers.layout, durable=False)
    try:
        servers.up()
        yield {
            "DATABASE_URL": plan.backing.maintenance_url(),
            "AMQP_URL": plan.backing.amqp_url(OPERATOR),
            "AMQP_MANAGEMENT_URL": plan.backing.management_url(),
        }
    finally:
        if not reused:
            servers.down()


@contextmanager
def servers_in_environment(folder: Path) -> Iterator[None]:
    """DATABASE_URL and AMQP_URL in the environment: those given, else the addresses of private servers started for this."""
    given = process_environment()
    if all(given.get(name) for name in BACKING):
        yield
        return
    with private_servers(folder) as servers, pytest.MonkeyPatch.context() as changes:
        for name, address in servers.items():
            if not given.get(name):
                changes.setenv(name, address)
        yield


def running_servers(folder: Path) -> Platform | None:
    """The private servers of this folder, when they run."""
    kept = folder / PORT_BASE_FILE
    if not kept.exists():
        return None
    servers = _servers(folder, int(kept.read_text(encoding="ascii")))
    return servers if servers.supervisor.pid() is not None else None


def _new_servers(folder: Path) -> Platform:
    base = free_range(SERVERS_FROM, INFRASTRUCTURE_PORTS, step=100)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PORT_BASE_FILE).write_text(str(base), encoding="ascii")
    return _servers(folder, base)


def _servers(folder: Path, base: int) -> Platform:
    return Platform(_layout(folder, base), durable=False, servers_only=True)


@contextmanager
def live_platform(folder: Path, **variables: str) -> Iterator[LivePlatform]:
    """A platform of the tests' own: own state, own ports. It begins empty and is stopped at the end; its logs stay.

    `variables` are further settings of an operator, by the names of environment variables.
    """
    base = free_range(PLATFORM_FROM, PLATFORM_PORTS)
    gateway = next(port for port in range(GATEWAY_FROM, GATEWAY_FROM + 500) if is_free(port))
    layout = _layout(folder, base, gateway, **variables)
    operations = Platform(layout, durable=False)
    operations.clean()
    try:
        operations.up()
        yield LivePlatform(layout.origin, layout.mail, layout.state, layout, operations)
    finally:
        operations.down()


def _layout(folder: Path, base: int, gateway: int = 8080, **variables: str) -> Layout:
    # An empty environment: what the developer's own platform uses is not the tests' concern.
    ours = {"LUMIERE_HOME": str(folder), "LUMIERE_PORT_BASE": str(base), "LUMIERE_PORT": str(gateway)}
    return Layout(load(PlatformSettings, ours | variables))
