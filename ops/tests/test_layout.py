"""Folders, ports and the wanted scale."""

import os
import socket
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.config import ConfigurationError, load
from ops.errors import OperationError, PortTaken
from ops.layout import INFRASTRUCTURE_PORTS, REPLICAS_MAX, SOCKET_PATH_MAX, Layout, Replica, scale_of
from ops.plan import GATEWAY_PROCESS, Plan
from ops.ports import PortUse, free_range, require_free
from ops.settings import ROOT, PlatformSettings

SERVICES = {"notify": ("web", "worker", "stream"), "tasks": ("web", "worker")}


def layout_of(**variables: str) -> Layout:
    return Layout(load(PlatformSettings, variables))


def repository(folder: Path) -> Path:
    for name, processes in (("notify", '["web", "worker", "stream"]'), ("tasks", None)):
        (folder / "services" / name).mkdir(parents=True)
        (folder / "services" / name / "app.py").touch()
        if processes:
            (folder / "services" / name / "policy.json").write_text(f'{{"processes": {processes}}}')
    return folder


def test_state_stands_in_the_clone_unless_a_folder_is_named(tmp_path: Path) -> None:
    assert layout_of().state == ROOT / ".local"
    assert layout_of(LUMIERE_HOME=str(tmp_path)).state == tmp_path


def test_two_state_folders_have_two_identities(tmp_path: Path) -> None:
    assert layout_of(LUMIERE_HOME=str(tmp_path / "a")).identity != layout_of(LUMIERE_HOME=str(tmp_path / "b")).identity


def test_sockets_move_to_a_short_path_when_the_state_folder_lies_deep(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    shallow, far = layout_of(LUMIERE_HOME="/srv/x"), layout_of(LUMIERE_HOME=str(deep))
    assert shallow.sockets == shallow.run
    assert far.sockets != far.run
    assert len(os.fsencode(far.supervisor_socket)) <= SOCKET_PATH_MAX


def test_only_this_user_may_enter_the_state(tmp_path: Path) -> None:
    layout = layout_of(LUMIERE_HOME=str(tmp_path / "state"))
    layout.prepare()
    for folder in (layout.secrets, layout.logs, layout.mail, layout.run):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_services_and_their_processes_come_from_the_folders_and_manifests(tmp_path: Path) -> None:
    layout = Layout(load(PlatformSettings, {}), root=repository(tmp_path))
    assert layout.services == {"notify": ("web", "worker", "stream"), "tasks": ("web", "worker")}


def test_every_process_has_a_port_of_its_own_beside_the_servers(tmp_path: Path) -> None:
    layout = Layout(load(PlatformSettings, {"LUMIERE_PORT_BASE": "20000"}), root=repository(tmp_path))
    replicas = [
        Replica(service, kind, number)
        for service, kinds in layout.services.items()
        for kind in kinds
        for number in range(1, REPLICAS_MAX + 1)
    ]
    ports = [layout.replica_port(replica) for replica in replicas]
    assert len(set(ports)) == len(ports)
    assert min(ports) >= 20_000 + INFRASTRUCTURE_PORTS


@pytest.mark.parametrize("base", ["1023", "65001", "none"])
def test_a_port_base_out_of_range_is_refused_by_name(base: str) -> None:
    with pytest.raises(ConfigurationError, match="LUMIERE_PORT_BASE"):
        layout_of(LUMIERE_PORT_BASE=base)


def test_a_port_base_too_near_the_end_is_refused_with_its_name(tmp_path: Path) -> None:
    layout = Layout(load(PlatformSettings, {"LUMIERE_PORT_BASE": "65000"}))
    assert layout.port(535) == 65_535
    with pytest.raises(OperationError, match="LUMIERE_PORT_BASE=65000"):
        layout.port(536)


@pytest.mark.parametrize("variable", ["LUMIERE_PORT", "LUMIERE_PORT_BASE"])
def test_a_taken_port_is_named_with_the_variable_that_moves_it(variable: str) -> None:
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"Port {port} \(postgres\) is taken.*{variable}=\d+ make up"):
            require_free([PortUse(port, "postgres", variable)])


def test_a_free_range_leaves_out_ports_that_are_taken() -> None:
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert free_range(port, 1, step=1, end=port + 200) > port


def test_the_scale_is_read_by_service_and_kind() -> None:
    assert scale_of("tasks=2 tasks-worker=3,notify-stream=0", SERVICES) == {
        ("tasks", "web"): 2,
        ("tasks", "worker"): 3,
        ("notify", "stream"): 0,
    }


@pytest.mark.parametrize(
    "text", ["task=2", "tasks-stream=1", "tasks", "tasks=x", "tasks=-1", f"tasks={REPLICAS_MAX + 1}", "=2"]
)
def test_a_scale_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(OperationError):
        scale_of(text, SERVICES)


@given(st.integers(min_value=0, max_value=REPLICAS_MAX))
def test_every_number_of_replicas_within_the_limit_is_taken(number: int) -> None:
    assert scale_of(f"tasks={number}", SERVICES) == {("tasks", "web"): number}


def test_the_door_for_subscribers_needs_a_certificate() -> None:
    with pytest.raises(ConfigurationError, match="LUMIERE_AMQPS_PORT needs LUMIERE_AMQPS_CERTIFICATE"):
        layout_of(LUMIERE_AMQPS_PORT="5671")


def test_the_gateway_is_told_of_the_door_only_when_it_is_open(tmp_path: Path) -> None:
    certificate = tmp_path / "server.pem"
    shut = Plan(layout_of(LUMIERE_HOME=str(tmp_path / "a")))
    opened = Plan(
        layout_of(LUMIERE_HOME=str(tmp_path / "b"), LUMIERE_AMQPS_PORT="5671", LUMIERE_AMQPS_CERTIFICATE=str(certificate))
    )

    def gateway(plan: Plan) -> tuple[dict[str, str], tuple[int, ...]]:
        plan.layout.prepare()
        (program,) = [each for each in plan.services() if each.name == GATEWAY_PROCESS]
        return {name: value for name, value in program.environment.items() if "AMQPS" in name}, program.ports

    assert gateway(shut) == ({}, (8080, shut.layout.metrics_port))
    assert gateway(opened) == (
        {"GATEWAY_AMQPS_PORT": "5671", "GATEWAY_AMQPS_CERTIFICATE": str(certificate)},
        (8080, opened.layout.metrics_port, 5671),
    )
