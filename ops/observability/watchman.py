"""The watchman: tells Prometheus what no service can say of itself. Postgres, disks, backups, and how old secrets are.

It reads when it is asked. What it cannot read it leaves out and says so: no old figure stands in the place of an absent one.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click
from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import Field, SecretStr
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from libs.common.config import Port, Settings, load, without
from libs.common.db.provision import monitor_engine
from libs.common.telemetry import logger
from libs.common.tls import database_with
from ops.backup import record
from ops.command_line import told
from ops.console import err
from ops.layout import Layout
from ops.lifecycle import Platform
from ops.secrets import register
from ops.settings import platform_settings

PORT: Final = 9_102

_SERVER = text(
    "SELECT database_bytes, wal_bytes, standbys, (SELECT sum(connections) FROM monitoring.connections()) AS connections,"
    " current_setting('max_connections')::int AS connections_max FROM monitoring.server()"
)
_STANDBYS = text("SELECT standby, behind_seconds FROM monitoring.standbys()")
_SERVER_FIGURES: Final = ("connections", "connections_max", "database_bytes", "wal_bytes", "standbys")
FAMILIES: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "lumiere_postgres_up": ("Whether Postgres answers the monitoring role", ()),
    "lumiere_postgres_connections": ("Open connections of clients to the platform's database", ()),
    "lumiere_postgres_connections_max": ("Connections that Postgres allows", ()),
    "lumiere_postgres_database_bytes": ("Size of the platform's database", ()),
    "lumiere_postgres_wal_bytes": ("Size of the write-ahead log that is kept", ()),
    "lumiere_postgres_standbys": ("Standbys that follow", ()),
    "lumiere_postgres_replication_lag_seconds": ("How far a standby is behind", ("standby",)),
    "lumiere_disk_free_bytes": ("Free on the disk of a folder", ("place",)),
    "lumiere_disk_bytes": ("Size of that disk", ("place",)),
    "lumiere_backups": ("Backups that are kept", ()),
    "lumiere_backup_timestamp_seconds": ("When the newest backup was made", ()),
    "lumiere_backup_bytes": ("Size of the newest backup", ()),
    "lumiere_backup_verified_timestamp_seconds": ("When the newest backup that was verified was made", ()),
    "lumiere_secret_rotated_timestamp_seconds": ("When a secret was set", ("name",)),
    "lumiere_watchman_failed": ("Whether something could not be read", ("part",)),
}
"""Everything it may tell: name → meaning, labels."""

log = logger(__name__)


class WatchmanSettings(Settings):
    """What the watchman reads in a container of its own; on the machine itself the platform's settings say so."""

    host: str = Field(default="127.0.0.1", description="Address that the process listens on")
    lumiere_watchman_port: Port = Field(default=PORT, description="Where Prometheus asks the watchman, inside the network")
    monitoring_database_url: SecretStr | None = Field(
        default=None,
        description="Postgres, as the monitoring role; set it in a container, and what is there is watched",
        json_schema_extra=without("the platform on this machine is watched"),
    )
    tls_authority: Path | None = Field(
        default=None,
        description="PEM file of the authority that signs the certificates of servers inside",
        json_schema_extra=without("servers inside are verified by what the system trusts"),
    )
    lumiere_watchman_places: str = Field(
        default="",
        description="Folders whose disks are watched: name=path with commas",
        pattern=r"^$|^[a-z]+=/[^,=]*(,[a-z]+=/[^,=]*)*$",
        json_schema_extra=without("no disk is watched"),
    )
    lumiere_backup_folder: Path | None = Field(
        default=None,
        description="Where backups and their record stand; another disk than the data's",
        json_schema_extra=without("the watchman says that there is no backup"),
    )
    lumiere_watchman_secrets: Path | None = Field(
        default=None,
        description="The sealed file or the folder of secrets beside whose register it tells how old they are",
        json_schema_extra=without("nobody is told when a secret is overdue"),
    )


@dataclass
class Watched:
    """What there is to be watched."""

    database_url: str | None = None
    places: Mapping[str, Path] = field(default_factory=dict)
    backups: Path | None = None
    secrets: Path | None = None


class Watchman(Collector):
    """Reads everything anew whenever it is asked."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._engine: Engine | None = monitor_engine(watched.database_url) if watched.database_url else None
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def describe(self) -> list[Metric]:
        """Nothing in advance: reading costs questions."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every figure that can be had now."""
        parts: dict[str, Callable[[], Iterator[Metric]]] = {
            "postgres": self._postgres,
            "disks": self._disks,
            "backups": self._backups,
            "secrets": self._secrets,
        }
        failed = {}
        for name, part in parts.items():
            found: list[Metric] = []
            try:
                found.extend(part())
            except (OSError, ValueError, KeyError, SQLAlchemyError) as error:
                log.warning("watchman.failed", part=name, reason=type(error).__name__)
                failed[name] = 1.0
            else:
                failed[name] = 0.0
            yield from found
        yield _told("lumiere_watchman_failed", failed)

    def _postgres(self) -> Iterator[Metric]:
        if self._engine is None:
            return
        try:
            with self._engine.connect() as connection:
                server = connection.execute(_SERVER).mappings().one()
                standbys = connection.execute(_STANDBYS).all()
        except SQLAlchemyError:
            yield _told("lumiere_postgres_up", 0)
            raise
        yield _told("lumiere_postgres_up", 1)
        for figure in _SERVER_FIGURES:
            yield _told(f"lumiere_postgres_{figure}", float(server[figure] or 0))
        yield _told("lumiere_postgres_replication_lag_seconds", {row.standby: row.behind_seconds for row in standbys})

    def _disks(self) -> Iterator[Metric]:
        usages = {place: shutil.disk_usage(folder) for place, folder in self._watched.places.items()}
        yield _told("lumiere_disk_free_bytes", {place: usage.free for place, usage in usages.items()})
        yield _told("lumiere_disk_bytes", {place: usage.total for place, usage in usages.items()})

    def _backups(self) -> Iterator[Metric]:
        if self._watched.backups is None:
            return
        known = record.read(self._watched.backups)
        yield _told("lumiere_backups", len(known.backups))
        if known.newest:
            yield _told("lumiere_backup_timestamp_seconds", known.newest.created_at.timestamp())
            yield _told("lumiere_backup_bytes", known.newest.bytes)
        if known.newest_verified:
            yield _told("lumiere_backup_verified_timestamp_seconds", known.newest_verified.created_at.timestamp())

    def _secrets(self) -> Iterator[Metric]:
        if self._watched.secrets is not None:
            known = register.read(self._watched.secrets)
            yield _told("lumiere_secret_rotated_timestamp_seconds", {name: each.timestamp() for name, each in known.items()})


def _told(name: str, value: float | Mapping[str, float]) -> Metric:
    """A declared family with its value, or with a value for each of its label."""
    meaning, labels = FAMILIES[name]
    if not isinstance(value, Mapping):
        return GaugeMetricFamily(name, meaning, value)
    family = GaugeMetricFamily(name, meaning, labels=labels)
    for label, each in sorted(value.items()):
        family.add_metric([label], each)
    return family


def watched_here(settings: WatchmanSettings) -> Watched:
    """What is watched from this container or machine. Raises OperationError when there is no platform."""
    if settings.monitoring_database_url is not None:
        return Watched(
            database_with(settings.monitoring_database_url.get_secret_value(), settings.tls_authority),
            places_of(settings.lumiere_watchman_places),
            settings.lumiere_backup_folder,
            settings.lumiere_watchman_secrets,
        )
    layout = Layout(platform_settings())
    plan = Platform(layout).running_plan()
    private = {"postgres": plan.postgres.home} if plan.backing.private_database else {}
    return Watched(plan.backing.monitoring_url(), {"state": layout.state, **private}, layout.backups, layout.secrets)


def places_of(written: str) -> dict[str, Path]:
    """`name=path,…` as name → path."""
    pairs = (each.partition("=") for each in written.split(",") if each)
    return {name: Path(path) for name, _, path in pairs}


@click.command()
@click.option("--port", type=click.IntRange(1, 65_535), default=None, help=f"Port to answer on; {PORT} unless told otherwise.")
@told
def watchman(port: int | None) -> None:
    """Tell Prometheus what no service can: Postgres, disks, backups, how old secrets are. Runs until it is ended.

    In a container with MONITORING_DATABASE_URL it watches what its settings name, elsewhere the platform on this machine.
    """
    settings = load(WatchmanSettings)
    chosen = port or settings.lumiere_watchman_port
    watching = Watchman(watched_here(settings))
    server, thread = start_http_server(chosen, settings.host, watching.registry)
    err.print(f"[dim]http://{settings.host}:{chosen}/metrics[/]")
    try:
        thread.join()
    except KeyboardInterrupt:
        server.shutdown()
    finally:
        server.server_close()
