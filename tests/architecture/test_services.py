"""Every service declares what it must, where it must."""

import re
from pathlib import Path

import pytest
from sqlalchemy import Column, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import CIDR, INET, MACADDR

from libs.common.auth.policy import Access, UndeclaredPolicy
from libs.common.events.golden import golden_path
from libs.common.http.routes import Routes
from libs.common.service import Service
from libs.common.service.commands import document_bytes, manifest_of
from tests.architecture.declared import folders, services
from tests.architecture.source import ROOT

ANATOMY = ("__init__.py", "__main__.py", "app.py", "settings.py", "policy.json", "migrations/env.py", "tests/__init__.py")
MODULES = ("routes", "use_cases", "queries", "models", "domain", "events")
# What names the place a person connects from. `address` alone may be a wallet's or an e-mail's.
NETWORK_ADDRESS = re.compile(
    r"(^|_)(ip|ipv4|ipv6|inet|remote_addr|remote_address|client_address|peer_address|forwarded_for|x_forwarded_for|mac_address)(_|$)"
)

each_service = pytest.mark.parametrize("service", services(), ids=lambda service: service.name)


def missing_parts(folder: Path) -> list[str]:
    """Parts of the anatomy that a service folder lacks; a module may be a file or a folder."""
    files = [each for each in ANATOMY if not (folder / each).is_file()]
    modules = [each for each in MODULES if not ((folder / f"{each}.py").is_file() or (folder / each / "__init__.py").is_file())]
    return files + modules


def network_address_columns(metadata: MetaData) -> list[str]:
    """Columns that could hold a network address, by name or by type."""
    return [
        f"{table.name}.{column.name}"
        for table in metadata.sorted_tables
        for column in table.columns
        if NETWORK_ADDRESS.search(column.name) or isinstance(column.type, INET | CIDR | MACADDR)
    ]


def missing_golden_files(service: Service, root: Path) -> list[str]:
    """Declared events without a golden file."""
    folder = root / "services" / service.name / "tests" / "golden"
    return [each.event_type for each in service.declared_events if not golden_path(each, folder).is_file()]


def test_every_folder_is_a_service_that_can_be_assembled() -> None:
    assert {service.name for service in services()} == folders()


def missing_containers(service: Service, compose: str) -> list[str]:
    """Processes of a service that the compose file does not start; the web process bears the service's bare name."""
    wanted = [service.name if process == "web" else f"{service.name}-{process}" for process in service.processes]
    return [name for name in wanted if not re.search(rf"^  {name}:$", compose, re.MULTILINE)]


@each_service
def test_the_compose_file_starts_every_process(service: Service) -> None:
    assert missing_containers(service, (ROOT / "deploy" / "compose.yml").read_text(encoding="utf-8")) == []


def knows_the_cron_secret(container: str, compose: str) -> bool:
    """Whether a container of the compose file is handed what schedulers present."""
    block = re.search(rf"^  {container}:$.*?(?=^  \S|\Z)", compose, re.MULTILINE | re.DOTALL)
    return block is not None and re.search(r"secrets: \[.*\bCRON_SECRET\b", block[0]) is not None


def test_the_compose_file_hands_the_cron_secret_to_the_gateway_and_to_services_with_jobs_alone() -> None:
    compose = (ROOT / "deploy" / "compose.yml").read_text(encoding="utf-8")
    with_jobs = {each.name for each in services() if any(route.allow.access is Access.CRON for route in each.declared_routes)}
    containers = re.findall(r"^  ([a-z-]+):$", compose, re.MULTILINE)

    assert {name for name in containers if knows_the_cron_secret(name, compose)} == {*with_jobs, "gateway", "gateway-control"}


def test_a_container_without_the_cron_secret_is_noticed() -> None:
    assert not knows_the_cron_secret("tasks", "services:\n  tasks:\n    secrets: [X]\n  other:\n    secrets: [CRON_SECRET]\n")


def test_a_forgotten_container_is_noticed() -> None:
    media = next(service for service in services() if service.name == "media")
    assert missing_containers(media, "services:\n  media:\n    image: x\n") == ["media-worker"]


@each_service
def test_a_service_has_the_whole_anatomy(service: Service) -> None:
    assert missing_parts(ROOT / "services" / service.name) == []


def test_a_missing_part_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "domain").mkdir()
    assert {"app.py", "domain", "routes"} <= set(missing_parts(tmp_path))


@each_service
def test_a_service_says_in_one_sentence_what_it_owns(service: Service) -> None:
    text = (ROOT / "services" / service.name / "__init__.py").read_text(encoding="utf-8")
    assert re.fullmatch(r'"""[A-Z][^\n]{20,}\."""\n', text)


@each_service
def test_no_column_is_named_like_a_network_address(service: Service) -> None:
    assert network_address_columns(service.metadata) == []


@pytest.mark.parametrize(
    "column",
    [*(Column(name, Text) for name in ("ip", "last_ip", "ip_address", "client_address", "remote_addr")), Column("seen", INET)],
    ids=lambda column: column.name,
)
def test_a_column_for_a_network_address_is_noticed(column: Column[str]) -> None:
    metadata = MetaData()
    Table("planted", metadata, column, Column("wallet_address", Text), Column("script", Text), Column("recipient", Text))
    assert network_address_columns(metadata) == [f"planted.{column.name}"]


@each_service
def test_every_event_has_a_golden_file(service: Service) -> None:
    assert service.declared_events
    assert missing_golden_files(service, ROOT) == []


def test_a_missing_golden_file_is_noticed(tmp_path: Path) -> None:
    assert missing_golden_files(services()[0], tmp_path)


@each_service
def test_no_golden_file_is_left_of_an_event_that_is_gone(service: Service) -> None:
    folder = ROOT / "services" / service.name / "tests" / "golden"
    known = {golden_path(each, folder) for each in service.declared_events}
    events = set(folder.glob(f"{service.name}.*.v*.json"))
    assert events - known == set()


@each_service
def test_the_committed_policy_is_what_the_routes_declare(service: Service) -> None:
    committed = (ROOT / "services" / service.name / "policy.json").read_bytes()
    assert committed == document_bytes(manifest_of(service))


def test_a_route_without_a_policy_cannot_be_written() -> None:
    def planted() -> None:
        """Answer nobody knows whom."""

    routes = Routes("planted")
    for declared in (routes.get("/planted"), routes.get("/planted", allow=set())):
        with pytest.raises(UndeclaredPolicy, match=r"test_services.py:\d+: GET /planted: Say who may call"):
            declared(planted)


def test_no_two_routes_answer_the_same_request() -> None:
    declared = [
        (route.method, re.sub(r"<[^>]+>", "<>", route.path)) for service in services() for route in service.declared_routes
    ]
    assert len(declared) == len(set(declared))
