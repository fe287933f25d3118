"""What the watchman tells: of a real Postgres, of disks, backups and secrets, and of what it cannot read."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from libs.common.config import ConfigurationError, load, process_environment
from libs.common.db.database import psycopg2_url, single_connection_engine
from libs.common.db.provision import monitor_role, provision_monitor
from libs.common.ids import new_id
from ops.backup import record
from ops.observability.watchman import FAMILIES, Watched, Watchman, WatchmanSettings, places_of
from ops.secrets import register

PREFIX = "lumiere_test"
PASSWORD = "a-password-for-databases-of-tests-only"  # pragma: allowlist secret
MOMENT = datetime(2026, 11, 1, 3, tzinfo=UTC)


def told(watched: Watched) -> dict[tuple[str, ...], float]:
    """Name and label values → value."""
    exposition = generate_latest(Watchman(watched).registry).decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
    }


@pytest.fixture
def monitored() -> Iterator[str]:
    """A database with the monitoring role, as that role."""
    admin = psycopg2_url(process_environment()["DATABASE_URL"])
    name = f"test_watchman_{new_id().hex[-12:]}"
    engine = single_connection_engine(admin)
    with engine.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    try:
        provision_monitor(admin.set(database=name).render_as_string(hide_password=False), PASSWORD, prefix=PREFIX)
        yield admin.set(database=name, username=monitor_role(PREFIX), password=PASSWORD).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
        engine.dispose()


def test_postgres_is_told_as_the_monitoring_role_sees_it(monitored: str) -> None:
    found = told(Watched(monitored))

    assert found["lumiere_postgres_up",] == 1
    assert found["lumiere_postgres_connections",] >= 1
    assert found["lumiere_postgres_connections_max",] > found["lumiere_postgres_connections",]
    assert found["lumiere_postgres_database_bytes",] > 1_000_000
    assert found["lumiere_postgres_standbys",] == 0
    assert found["lumiere_watchman_failed", "postgres"] == 0


def test_a_postgres_that_is_away_is_told_and_everything_else_too(tmp_path: Path) -> None:
    found = told(Watched("postgresql://nobody:secret@127.0.0.1:1/lumiere", {"state": tmp_path}))

    assert found["lumiere_postgres_up",] == 0
    assert found["lumiere_watchman_failed", "postgres"] == 1
    assert ("lumiere_postgres_connections",) not in found
    assert found["lumiere_disk_bytes", "state"] > found["lumiere_disk_free_bytes", "state"] > 0


def test_backups_are_told_from_their_record(tmp_path: Path) -> None:
    def backup(name: str, day: int, verified: bool) -> record.Backup:
        at = MOMENT.replace(day=day)
        return record.Backup(name, at, 1_000 * day, "0" * 64, 5, at if verified else None)

    record.write(tmp_path, record.Record().with_backup(backup("a", 1, True)).with_backup(backup("b", 2, False)))

    found = told(Watched(backups=tmp_path))

    assert found["lumiere_backups",] == 2
    assert found["lumiere_backup_timestamp_seconds",] == MOMENT.replace(day=2).timestamp()
    assert found["lumiere_backup_verified_timestamp_seconds",] == MOMENT.timestamp()
    assert found["lumiere_backup_bytes",] == 2_000


def test_without_a_backup_there_is_no_moment_that_could_be_believed(tmp_path: Path) -> None:
    found = told(Watched(backups=tmp_path))

    assert found["lumiere_backups",] == 0
    assert ("lumiere_backup_timestamp_seconds",) not in found


def test_a_record_that_is_none_is_told_as_unreadable(tmp_path: Path) -> None:
    (tmp_path / record.NAME).write_text("{", encoding="utf-8")

    assert told(Watched(backups=tmp_path))["lumiere_watchman_failed", "backups"] == 1


def test_the_age_of_secrets_is_told_and_never_a_secret(tmp_path: Path) -> None:
    register.note(tmp_path / "secrets", ["AUTH_SECRET"], MOMENT)

    found = told(Watched(secrets=tmp_path / "secrets"))

    assert found["lumiere_secret_rotated_timestamp_seconds", "AUTH_SECRET"] == MOMENT.timestamp()


def test_it_tells_nothing_that_it_has_not_declared(tmp_path: Path) -> None:
    found = {name for name, *_ in told(Watched("postgresql://nobody@127.0.0.1:1/x", {"a": tmp_path}, tmp_path, tmp_path / "s"))}

    assert {name for name in found if name.startswith("lumiere_")} <= set(FAMILIES)


def test_places_are_names_and_paths() -> None:
    assert places_of("storage=/a/b,postgres=/c") == {"storage": Path("/a/b"), "postgres": Path("/c")}
    assert places_of("") == {}


@pytest.mark.parametrize("written", ["storage", "storage=relative", "UPPER=/a", "a=/b,,c=/d"])
def test_places_that_are_none_are_refused(written: str) -> None:
    with pytest.raises(ConfigurationError, match="LUMIERE_WATCHMAN_PLACES"):
        load(WatchmanSettings, {"LUMIERE_WATCHMAN_PLACES": written})
