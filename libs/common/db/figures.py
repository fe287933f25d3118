"""Figures: what a schema says of itself in numbers, in a view that the monitoring role may read. No row is about anybody.

The view is made by the schema's owner and reads with the owner's rights, so that whoever watches needs none on any table.
"""

from collections.abc import Mapping
from typing import Any, Final

from psycopg2 import sql
from sqlalchemy import Column, Connection, MetaData, Select, Table, func, select
from sqlalchemy.dialects import postgresql

from libs.common.db.provision import grant_monitor
from libs.common.db.tables import kernel_tables

FIGURES_VIEW: Final = "figures"
_INFO: Final = "figures"

Figures = Mapping[str, Select[Any]]
"""Name → a statement that gives one number, or NULL where there is none."""


def declare_figures(metadata: MetaData, figures: Figures) -> None:
    """Add figures of a service's own to its schema's view; `migrate` makes it anew."""
    metadata.info[_INFO] = {**metadata.info.get(_INFO, {}), **figures}


def rows_of(table: Table, *where: Any) -> Select[Any]:
    """How many rows there are."""
    return select(func.count()).select_from(table).where(*where)


def seconds_since_first(column: Column[Any], *where: Any) -> Select[Any]:
    """The age of the oldest moment in a column; NULL when there is none."""
    return select(func.extract("epoch", func.now() - func.min(column))).where(*where)


def seconds_since_last(column: Column[Any], *where: Any) -> Select[Any]:
    """The age of the newest moment in a column; NULL when there is none."""
    return select(func.extract("epoch", func.now() - func.max(column))).where(*where)


def kernel_figures(metadata: MetaData) -> Figures:
    """What every schema has."""
    tables = kernel_tables(metadata)
    return {
        "outbox_events": rows_of(tables.outbox),
        "outbox_oldest_seconds": seconds_since_first(tables.outbox.c.created_at),
        "parked_events": rows_of(tables.parked_events),
        "parked_oldest_seconds": seconds_since_first(tables.parked_events.c.parked_at),
    }


def drop_figures(connection: Connection, service: str) -> None:
    """Take the view away, so that it is in no revision's way."""
    _run(connection, "DROP VIEW IF EXISTS {view}", view=sql.Identifier(service, FIGURES_VIEW))


def set_up_figures(connection: Connection, service: str, metadata: MetaData) -> None:
    """Make the view as the schema's owner; the monitoring role, where there is one, may read it."""
    figures = {**kernel_figures(metadata), **metadata.info.get(_INFO, {})}
    parts = [
        sql.SQL("SELECT {name}::text AS figure, ({statement})::double precision AS value").format(
            name=sql.Literal(name), statement=sql.SQL(_text(statement))
        )
        for name, statement in figures.items()
    ]
    view = sql.Identifier(service, FIGURES_VIEW)
    drop_figures(connection, service)
    _run(connection, "CREATE VIEW {view} AS {parts}", view=view, parts=sql.SQL(" UNION ALL ").join(parts))
    grant_monitor(connection, service, [FIGURES_VIEW])


def _text(statement: Select[Any]) -> str:
    return str(statement.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}))  # type: ignore[no-untyped-call]


def _run(connection: Connection, statement: str, **names: sql.Composable) -> None:
    raw = connection.connection.driver_connection
    composed = sql.SQL(statement).format(**names).as_string(raw)  # type: ignore[arg-type]
    connection.exec_driver_sql(composed.replace("%", "%%"))
