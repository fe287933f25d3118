"""Containers are told what their programs need: secrets that prepare makes, settings that load, networks that reach."""

import stat
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from sqlalchemy import make_url

from gateway.settings import GatewaySettings
from libs.common.config import ConfigurationError, ServiceSettings, Settings, load
from libs.common.events.broker.address import BrokerAddress
from ops import compose
from ops.compose import MOUNTED_FILE_MODE, NEVER_MOUNTED, prepare
from ops.containers import DEPLOY
from ops.doctor.boxes.containers import TELLING
from ops.tests.composed import Composed, OnceOnly
from ops.vault import Vault

SERVICES = ("auth", "ledger", "media", "notify", "payments", "tasks")
PUBLIC = {"LUMIERE_ENV": "production", "LUMIERE_ORIGIN": "https://studio.example.org"}
BUCKET = {"S3_ENDPOINT": "https://s3.example.org", "S3_BUCKET": "lumiere-files"}
VARIANTS = [
    (("demo.yml",), {}),
    (("demo.yml", "mtls.yml"), {}),
    (("demo.yml", "tls.yml", "mtls.yml"), PUBLIC),
    (("demo.yml", "tls.yml", "s3.yml"), PUBLIC | BUCKET),
]


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `lumiere compose prepare` makes."""
    folder = tmp_path_factory.mktemp("secrets")
    prepare(folder)
    return folder


def settings_of(service: str) -> type[Settings]:
    """Whose settings a container loads; the base class's for one that loads none of ours."""
    name = service.partition("-")[0]
    if name == "gateway":
        return GatewaySettings
    found: type[ServiceSettings] = import_module(f"services.{name}.settings").Settings
    return found


def ours(composed: Composed) -> list[str]:
    """The containers of our own programs that have settings."""
    return [name for name in composed.services if name.partition("-")[0] in {*SERVICES, "gateway"}]


@pytest.mark.parametrize(("overlays", "environment"), VARIANTS, ids="+".join)
def test_every_container_has_what_its_settings_ask_for(
    secrets: Path, overlays: tuple[str, ...], environment: dict[str, str]
) -> None:
    composed = Composed(*overlays, **environment)
    found = ours(composed)
    assert len(found) >= 3 * len(SERVICES) + 2
    for service in found:
        load(settings_of(service), composed.environment_of(service, secrets))


def test_a_secret_that_is_not_mounted_is_noticed(secrets: Path) -> None:
    composed = Composed("demo.yml")
    composed.services["tasks"]["secrets"].remove("AMQP_URL_TASKS")
    with pytest.raises(AssertionError, match="AMQP_URL_TASKS, which is not among its secrets"):
        composed.environment_of("tasks", secrets)


@pytest.mark.parametrize("file", sorted(DEPLOY.glob("*.yml")), ids=lambda path: path.name)
def test_every_overlay_says_each_thing_once(file: Path) -> None:
    assert yaml.load(file.read_text(encoding="utf-8"), OnceOnly)["services"]  # noqa: S506 - a safe loader


def test_what_is_said_twice_is_noticed() -> None:
    with pytest.raises(ValueError, match="line 2: tasks is said twice"):
        yaml.load("services:\n  tasks: {}\n  tasks: {}\n", OnceOnly)  # noqa: S506 - a safe loader


def test_production_without_a_way_for_mail_does_not_start(secrets: Path) -> None:
    composed = Composed("tls.yml", **PUBLIC)
    with pytest.raises(ConfigurationError, match="RESEND_API_KEY or SMTP_URL is required in production"):
        load(settings_of("notify"), composed.environment_of("notify", secrets))


def test_a_container_mounts_what_it_uses_and_no_more(secrets: Path) -> None:
    composed = Composed("demo.yml")
    for service in ours(composed):
        each = composed.services[service]
        named = " ".join(map(str, each["environment"].values()))
        assert [name for name in each["secrets"] if f"/run/secrets/{name}" not in named] == [], service


def test_no_secret_stands_in_a_containers_environment() -> None:
    composed = Composed("demo.yml", "tls.yml", "mtls.yml", "s3.yml", "backup.yml", "observability.yml")
    given = {name: each.get("environment", {}) for name, each in composed.services.items()}
    assert [f"{service} {name}" for service, names in given.items() for name in names if TELLING.search(name)] == []


def test_every_secret_that_is_mounted_is_made(secrets: Path) -> None:
    composed = Composed("demo.yml", "tls.yml", "mtls.yml", "s3.yml")
    named = {Path(each["file"]).name for each in composed._document["secrets"].values() if "secrets/" in each["file"]}
    assert named - {path.name for path in secrets.iterdir()} == set()
    assert named & NEVER_MOUNTED == set()


def test_only_the_gateway_is_published_and_nothing_has_a_name_of_its_own() -> None:
    composed = Composed("demo.yml", "mtls.yml")
    assert [name for name, each in composed.services.items() if each.get("ports")] == ["gateway"]
    assert [name for name, each in composed.services.items() if "container_name" in each] == []


def test_the_database_is_reached_by_who_has_a_schema_and_the_gateway_by_the_world() -> None:
    composed = Composed("demo.yml", "mtls.yml")
    on = {name: set(each["networks"]) for name, each in composed.services.items()}
    assert [name for name in ("gateway", "gateway-control", "rabbitmq", "redis") if "data" in on[name]] == []
    assert {name for name, each in composed.networks.items() if not each.get("internal")} == {"outside", "egress"}
    assert {name for name, networks in on.items() if "outside" in networks} == {"gateway"}
    assert {name for name, networks in on.items() if "egress" in networks} == {"auth", "notify-worker", "tasks-worker"}


def test_everything_has_limits_a_healthcheck_and_no_rights() -> None:
    composed = Composed("demo.yml")
    for name, each in composed.services.items():
        limits = each["deploy"]["resources"]["limits"]
        assert {"memory", "pids"} <= set(limits), name
        assert each["cap_drop"] == ["ALL"], name
        assert each["init"] is True, f"{name}: what a health check leaves behind would become its program's own child"
        assert each["security_opt"] == ["no-new-privileges:true"], name


# -- prepare


def test_what_is_there_stays_and_is_readable_inside_containers_but_for_what_is_never_mounted(tmp_path: Path) -> None:
    first = prepare(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    again = prepare(tmp_path)
    assert again.secrets == first.secrets
    assert again.renewed == []
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert {name for name, mode in modes.items() if mode != MOUNTED_FILE_MODE} == NEVER_MOUNTED & set(modes)
    assert {modes[name] for name in NEVER_MOUNTED & set(modes)} == {0o600}


def test_a_folder_that_was_open_to_others_is_closed_before_files_that_anybody_may_read_stand_in_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    prepare(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_addresses_from_before_tls_are_lifted_with_their_passwords(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    vault.write("DATABASE_URL_TASKS", "postgresql://lumiere_tasks:kept@postgres:5432/lumiere")
    vault.write("AMQP_URL_TASKS", "amqp://tasks:kept@rabbitmq:5672/")
    prepare(tmp_path)
    database = vault.path("DATABASE_URL_TASKS").read_text(encoding="utf-8")
    assert (make_url(database).password, make_url(database).query["sslmode"]) == ("kept", "verify-full")
    assert vault.path("AMQP_URL_TASKS").read_text(encoding="utf-8") == "amqps://tasks:kept@rabbitmq:5671/"
    assert BrokerAddress.parse("amqps://tasks:kept@rabbitmq:5671/").encrypted


def test_the_folder_is_read_as_docker_compose_reads_it() -> None:
    assert compose._beside_compose(None, None, Path("secrets")) == DEPLOY / "secrets"  # type: ignore[arg-type]
    assert compose._beside_compose(None, None, Path("/etc/lumiere")) == Path("/etc/lumiere")  # type: ignore[arg-type]
