"""What the migrations make is what the code believes to be there."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Column, Connection, MetaData, Text, text
from sqlalchemy.engine import make_url

from libs.common.config import process_environment
from libs.common.db import migrate, owner_role, provision, runtime_role
from libs.common.db.database import psycopg2_url, single_connection_engine
from libs.common.db.migrate import VERSION_TABLE
from libs.common.ids import new_id
from libs.common.service import Service
from tests.architecture.declared import services

PREFIX = "lumiere_map"
PASSWORD = "a-password-for-databases-of-tests-only"
ARCHIVE_PARTITIONS = "event_archive_"

# Everything that a table is made of, as Postgres itself writes it. Triggers and functions exist in migrations only.
CATALOGUE = {
    "column": """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE c.relnamespace = CAST(:schema AS regnamespace) AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
    """,
    "constraint": """
        SELECT c.relname, o.conname, pg_get_constraintdef(o.oid)
        FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid
        WHERE o.connamespace = CAST(:schema AS regnamespace) AND o.contype <> 't'
    """,
    "index": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = :schema",
}


def described(connection: Connection, schema: str) -> set[tuple[str, ...]]:
    """The tables of a schema, each part a line; Alembic's own table and the archive's weeks left out."""
    return {
        (kind, *(str(value) for value in row))
        for kind, query in CATALOGUE.items()
        for row in connection.execute(text(query), {"schema": schema})
        if row[0] != VERSION_TABLE and not str(row[0]).startswith(ARCHIVE_PARTITIONS)
    }


@contextmanager
def new_database() -> Iterator[str]:
    """The administrative address of a database that exists for one test."""
    server = process_environment()["DATABASE_URL"]
    name = f"map_{new_id().hex[-12:]}"
    engine = single_connection_engine(server)
    with engine.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
        engine.dispose()


def differences(service: str, declared: MetaData, migrated: MetaData) -> list[tuple[str, ...]]:
    """What only the migrations make, and what only the metadata declares."""
    with new_database() as url:
        provision(url, service, PASSWORD, PASSWORD, prefix=PREFIX)
        owner = psycopg2_url(url).set(username=owner_role(service, PREFIX), password=PASSWORD)
        migrate(service, owner.render_as_string(hide_password=False), migrated)
        engine = single_connection_engine(url)
        with engine.connect() as connection:
            made = described(connection, service)
            connection.execute(text(f'DROP SCHEMA "{service}" CASCADE'))
            connection.execute(text(f'CREATE SCHEMA "{service}"'))
            declared.create_all(connection)
            believed = described(connection, service)
        engine.dispose()
    return sorted(made ^ believed)


@pytest.mark.parametrize("service", services(), ids=lambda service: service.name)
def test_the_migrations_make_what_the_metadata_declares(service: Service) -> None:
    assert differences(service.name, service.metadata, service.metadata) == []


def test_a_column_that_no_migration_makes_is_noticed() -> None:
    media = next(service for service in services() if service.name == "media")
    declared = MetaData(schema="media", naming_convention=media.metadata.naming_convention)
    for table in media.metadata.sorted_tables:
        table.to_metadata(declared)
    declared.tables["media.upload"].append_column(Column("planted", Text))
    assert differences("media", declared, media.metadata) == [("column", "upload", "planted", "text", "False", "")]


def test_a_schema_that_was_made_before_the_kernel_got_a_table_gets_it_with_the_rights_to_it() -> None:
    media = next(service for service in services() if service.name == "media")
    with new_database() as url:
        provision(url, media.name, PASSWORD, PASSWORD, prefix=PREFIX)
        address = psycopg2_url(url).set(password=PASSWORD)
        owner = address.set(username=owner_role(media.name, PREFIX)).render_as_string(hide_password=False)
        migrate(media.name, owner, media.metadata)
        administrator = single_connection_engine(url)
        with administrator.connect() as connection:
            connection.execute(text("DROP TABLE media.used_proof"))
        administrator.dispose()

        migrate(media.name, owner, media.metadata)

        service = single_connection_engine(address.set(username=runtime_role(media.name, PREFIX)))
        with service.connect() as connection:
            connection.execute(text("INSERT INTO media.used_proof VALUES ('\\x00', now())"))
            assert connection.execute(text("DELETE FROM media.used_proof")).rowcount == 1
        service.dispose()
