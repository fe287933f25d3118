"""Alembic, a service at a time: own version table, one migrator at once, short waits for locks."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, MetaData, create_engine, text
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateIndex, CreateTable

from libs.common.db.append_only import REFUSE_CHANGE, guard_append_only
from libs.common.db.archive import set_up_archive
from libs.common.db.database import psycopg2_url
from libs.common.db.figures import drop_figures, set_up_figures
from libs.common.db.provision import grant_monitor, grant_runtime
from libs.common.db.tables import KernelTables, kernel_tables, new_metadata

if TYPE_CHECKING:
    from alembic.config import Config

VERSION_TABLE = "alembic_version"
LOCK_TIMEOUT_MS = 4_000
STATEMENT_TIMEOUT_MS = 60_000


def migrate(service: str, url: str, metadata: MetaData) -> None:
    """Bring the schema of `service` to the newest revision as its migration role, then grant the runtime role its rights.

    Replicas may race.
    """
    from alembic import command

    config = _config(service)
    config.attributes["url"] = url
    config.attributes["metadata"] = metadata
    command.upgrade(config, "head")


def newest_revision(service: str) -> str | None:
    """The revision that `migrate` brings the schema of `service` to."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_config(service)).get_current_head()


def _config(service: str) -> "Config":
    from alembic.config import Config

    package = import_module(f"services.{service}")
    config = Config()
    config.set_main_option("script_location", str(Path(str(package.__file__)).parent / "migrations"))
    return config


def run(metadata: MetaData) -> None:
    """The whole of a service's `migrations/env.py`."""
    from alembic import context

    service = str(metadata.schema)
    engine = create_engine(psycopg2_url(context.config.attributes["url"]), poolclass=NullPool)
    with engine.connect() as connection:
        with connection.begin():
            connection.execute(text(f"SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS}"))
            # Whoever comes second waits here, then finds nothing left to do.
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"lumiere.migrate.{service}"})
            connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}"))
            connection.execute(text(f'SET LOCAL search_path = "{service}"'))
            context.configure(
                connection=connection,
                target_metadata=metadata,
                version_table=VERSION_TABLE,
                version_table_schema=service,
                include_schemas=True,
            )
            drop_figures(connection, service)
            context.run_migrations()
            complete_schema(connection, metadata)
            grant_monitor(connection, service, [VERSION_TABLE])
    engine.dispose()


def complete_schema(connection: Connection, metadata: MetaData) -> None:
    """What no revision says, as the schema's owner. Safe to repeat.

    Tables that the kernel got after a schema was made, the archive's weeks, append-only guards, rights, figures.
    """
    service = str(metadata.schema)
    tables = kernel_tables(metadata)
    metadata.create_all(connection, [getattr(tables, name) for name in KernelTables.__dataclass_fields__], checkfirst=True)
    set_up_archive(connection, tables.event_archive)
    guard_append_only(connection, service, metadata)
    grant_runtime(connection, service, metadata)
    set_up_figures(connection, service, metadata)


def kernel_upgrade(op: Any, service: str) -> None:
    """Create the kernel's function and tables; the first thing in a service's first revision."""
    op.execute(REFUSE_CHANGE.format(schema=service))
    tables: KernelTables = kernel_tables(new_metadata(service))
    for name in KernelTables.__dataclass_fields__:
        table = getattr(tables, name)
        op.execute(CreateTable(table))
        for index in sorted(table.indexes, key=lambda each: str(each.name)):
            op.execute(CreateIndex(index))
