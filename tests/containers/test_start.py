"""The platform starts from its images, reaches what it must and nothing else, and runs as nobody."""

import httpx
import pytest

from ops.containers import docker
from ops.errors import OperationError
from tests.containers.conftest import RACERS, Running, Say

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]

READY_WITHIN_SECONDS = 90.0
SERVERS = ("postgres", "rabbitmq", "redis")
REACH = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)"


def reaches(running: Running, service: str, host: str, port: int) -> bool:
    """Whether a container can open a connection."""
    try:
        running.operations.execute(service, "python", "-c", REACH, host, str(port))
    except OperationError:
        return False
    return True


def test_everything_is_well_and_the_start_took_what_it_took(running: Running, say: Say) -> None:
    say(f"containers: images built in {running.build_seconds:.0f} s, all healthy {running.start_seconds:.0f} s after `up`")
    slow = "" if running.start_seconds < READY_WITHIN_SECONDS else f" — more than {READY_WITHIN_SECONDS:.0f} s: a busy machine?"
    say(f"containers: start within {READY_WITHIN_SECONDS:.0f} s{slow or ': kept'}")
    assert [each.name for each in running.operations.states() if not each.well] == []
    assert httpx.get(f"{running.origin}/health/ready", trust_env=False).status_code == 200


def test_migrations_that_race_on_an_empty_database_all_succeed(running: Running) -> None:
    for service, count in RACERS.items():
        raced = [each for each in running.begun_with if each.service == service]
        assert len(raced) == count
        assert {each.exit_code for each in raced} == {0}


def test_only_the_gateway_is_published(running: Running) -> None:
    published = {name: each.get("ports") for name, each in running.operations.configuration()["services"].items()}
    assert [name for name, ports in published.items() if ports] == ["gateway"]


def test_the_gateway_reaches_services_and_the_broker_and_no_database(running: Running) -> None:
    assert reaches(running, "gateway", "tasks", 8000)
    assert reaches(running, "gateway", "rabbitmq", 5671)
    assert not reaches(running, "gateway", "postgres", 5432)
    assert not reaches(running, "gateway", "redis", 6379)


def test_services_reach_their_servers_over_tls_ports_alone(running: Running) -> None:
    assert reaches(running, "tasks", "postgres", 5432)
    assert reaches(running, "tasks-worker", "rabbitmq", 5671)
    assert not reaches(running, "tasks", "rabbitmq", 5672)
    assert not reaches(running, "tasks", "rabbitmq", 15672)
    assert not reaches(running, "tasks", "redis", 6379)
    assert reaches(running, "auth", "redis", 6379)


def routes(running: Running, service: str) -> bool:
    """Whether a container has a way to addresses outside."""
    table = running.operations.execute(service, "cat", "/proc/net/route")
    return any(line.split()[1] == "00000000" for line in table.splitlines()[1:])


def test_nobody_leads_outside_but_the_door_and_who_asks_providers(running: Running) -> None:
    asked = [
        "auth",
        "auth-worker",
        "gateway-control",
        "ledger",
        "media",
        "notify",
        "notify-worker",
        "payments",
        "tasks",
        "tasks-worker",
    ]
    assert [service for service in asked if routes(running, service)] == ["auth", "notify-worker", "tasks-worker"]


def test_no_container_runs_as_root_or_may_become_more_than_it_is(running: Running) -> None:
    for each in running.operations.states():
        facts = docker("inspect", "--format", "{{.Config.User}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}", each.id)
        user, rest = facts.strip().split(" ", 1)
        assert user not in {"", "0", "root"}, each.name
        assert "ALL" in rest, each.name
        assert "no-new-privileges" in rest, each.name


def test_everything_has_its_limits_and_only_the_broker_may_write_outside_its_volumes(running: Running) -> None:
    writes = []
    for each in running.operations.states():
        facts = docker(
            "inspect", "--format", "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}} {{.HostConfig.ReadonlyRootfs}}", each.id
        )
        memory, pids, read_only = facts.split()
        assert int(memory) > 0, each.name
        assert int(pids) > 0, each.name
        writes += [] if read_only == "true" else [each.service]
    assert writes == ["rabbitmq"]
