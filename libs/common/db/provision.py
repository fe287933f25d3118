"""Per service: a migration role that owns the schema and a runtime role that may only use it (least privilege)."""

from collections.abc import Iterable, Mapping
from typing import Final

from psycopg2 import sql
from sqlalchemy import Connection, Engine, MetaData, create_engine, text

from libs.common.db.database import psycopg2_url, single_connection_engine

_LOCK = text("SELECT pg_advisory_lock(hashtext('lumiere.provision'))")
_UNLOCK = text("SELECT pg_advisory_unlock(hashtext('lumiere.provision'))")


ROLE_PREFIX = "lumiere"
_OWNER_SUFFIX = "_owner"
_MONITOR: Final = "monitor"
MONITORING_SCHEMA: Final = "monitoring"
MONITOR_CONNECTIONS_MAX: Final = 8
"""Whoever watches never takes the connections of those who work."""
MONITOR_STATEMENT_TIMEOUT_MS: Final = 5_000

# Postgres's own role for this, pg_monitor, shows every statement that runs, with what people wrote in it.
_WATCHED: Final = {
    "connections()": """
        RETURNS TABLE (role name, application text, encrypted boolean, protocol text, connections bigint)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
        SELECT activity.usename, activity.application_name, coalesce(tls.ssl, false), tls.version, count(*)
        FROM pg_stat_activity AS activity LEFT JOIN pg_stat_ssl AS tls USING (pid)
        WHERE activity.backend_type = 'client backend' AND activity.datname = current_database()
        GROUP BY 1, 2, 3, 4 $$""",
    "server()": """
        RETURNS TABLE (version_number integer, wal_bytes bigint, database_bytes bigint, standbys bigint, in_step bigint)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
        SELECT current_setting('server_version_num')::integer, (SELECT sum(size)::bigint FROM pg_ls_waldir()),
        pg_database_size(current_database()), (SELECT count(*) FROM pg_stat_replication),
        (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')) $$""",
    "standbys()": """
        RETURNS TABLE (standby text, behind_seconds double precision)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
        SELECT application_name, coalesce(extract(epoch FROM max(replay_lag)), 0)::double precision
        FROM pg_stat_replication GROUP BY 1 $$""",
}
"""What the monitoring role may ask of the server: counts and sizes."""


def owner_role(service: str, prefix: str = ROLE_PREFIX) -> str:
    """The role that owns the schema and runs migrations."""
    return runtime_role(service, prefix) + _OWNER_SUFFIX


def runtime_role(service: str, prefix: str = ROLE_PREFIX) -> str:
    """The role that the running service connects as."""
    return f"{prefix}_{service}"


def monitor_role(prefix: str = ROLE_PREFIX) -> str:
    """The role that watches: figures, catalogues and statistics, and no row of any service."""
    return f"{prefix}_{_MONITOR}"


def backup_role(prefix: str = ROLE_PREFIX) -> str:
    """The role that backups are taken as."""
    return f"{prefix}_backup"


def monitor_engine(url: str) -> Engine:
    """Connections as the monitoring role: few, and given up quickly."""
    return create_engine(
        psycopg2_url(url),
        pool_size=MONITOR_CONNECTIONS_MAX // 2,
        max_overflow=0,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,
        connect_args={"application_name": "lumiere-monitor", "connect_timeout": 5},
    )


def provision_monitor(admin_url: str, password: str, *, prefix: str = ROLE_PREFIX) -> None:
    """Create, or bring up to date, the monitoring role in the database of `admin_url`, before the schemas are migrated.

    Safe to repeat and to race.
    """
    engine = single_connection_engine(admin_url)
    with engine.connect() as connection:
        connection.execute(_LOCK)
        try:
            _ensure_role(connection, monitor_role(prefix), password)
            _ensure_monitoring(connection, monitor_role(prefix))
        finally:
            connection.execute(_UNLOCK)
    engine.dispose()


def provision_backup(admin_url: str, password: str, *, prefix: str = ROLE_PREFIX) -> None:
    """Create, or bring up to date, the role that backups are taken as: it reads everything and writes nothing.

    Safe to repeat and to race.
    """
    role = backup_role(prefix)
    provision_roles(admin_url, {role: password})
    engine = single_connection_engine(admin_url)
    with engine.connect() as connection:
        name = str(connection.scalar(text("SELECT current_database()")))
        names: dict[str, sql.Composable] = {"role": sql.Identifier(role), "database": sql.Identifier(name)}
        _run(connection, "GRANT CONNECT ON DATABASE {database} TO {role}", **names)
        _run(connection, "GRANT pg_read_all_data TO {role}", **names)
    engine.dispose()


def provision_roles(admin_url: str, passwords: Mapping[str, str]) -> None:
    """Create, or bring up to date, roles alone, so that a dump that names them can be restored. Safe to repeat and to race."""
    engine = single_connection_engine(admin_url)
    with engine.connect() as connection:
        connection.execute(_LOCK)
        try:
            for role, password in passwords.items():
                _ensure_role(connection, role, password)
        finally:
            connection.execute(_UNLOCK)
    engine.dispose()


def alter_password(admin_url: str, role: str, password: str) -> None:
    """Give a role that exists another password, and nothing else."""
    engine = single_connection_engine(admin_url)
    with engine.connect() as connection:
        statement = "ALTER ROLE {role} PASSWORD {password}"
        _run(connection, statement, role=sql.Identifier(role), password=sql.Literal(password))
    engine.dispose()


def provision(admin_url: str, service: str, owner_password: str, runtime_password: str, *, prefix: str = ROLE_PREFIX) -> None:
    """Create, or bring up to date, the schema and both roles of a service in the database of `admin_url`.

    Safe to repeat and to race.
    """
    engine = single_connection_engine(admin_url)
    with engine.connect() as connection:
        connection.execute(_LOCK)
        try:
            _ensure_role(connection, owner_role(service, prefix), owner_password)
            _ensure_role(connection, runtime_role(service, prefix), runtime_password)
            _ensure_schema(connection, service, prefix)
        finally:
            connection.execute(_UNLOCK)
    engine.dispose()


def _ensure_role(connection: Connection, role: str, password: str) -> None:
    exists = connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role})
    verb = "ALTER" if exists else "CREATE"
    _run(
        connection,
        verb + " ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD {password}",
        role=sql.Identifier(role),
        password=sql.Literal(password),
    )


def _ensure_schema(connection: Connection, service: str, prefix: str) -> None:
    names = {
        "schema": sql.Identifier(service),
        "owner": sql.Identifier(owner_role(service, prefix)),
        "runtime": sql.Identifier(runtime_role(service, prefix)),
        "database": sql.Identifier(str(connection.scalar(text("SELECT current_database()")))),
    }
    for statement in (
        "REVOKE ALL ON DATABASE {database} FROM PUBLIC",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        "GRANT CONNECT ON DATABASE {database} TO {owner}, {runtime}",
        "GRANT {owner} TO CURRENT_USER",
        "CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {owner}",
        "REVOKE ALL ON SCHEMA {schema} FROM PUBLIC",
        "GRANT USAGE ON SCHEMA {schema} TO {runtime}",
    ):
        _run(connection, statement, **names)


def _ensure_monitoring(connection: Connection, role: str) -> None:
    names: dict[str, sql.Composable] = {
        "role": sql.Identifier(role),
        "schema": sql.Identifier(MONITORING_SCHEMA),
        "database": sql.Identifier(str(connection.scalar(text("SELECT current_database()")))),
    }
    for statement in (
        f"ALTER ROLE {{role}} CONNECTION LIMIT {MONITOR_CONNECTIONS_MAX}",
        "ALTER ROLE {role} SET default_transaction_read_only = on",
        f"ALTER ROLE {{role}} SET statement_timeout = {MONITOR_STATEMENT_TIMEOUT_MS}",
        "REVOKE ALL ON DATABASE {database} FROM PUBLIC",
        "GRANT CONNECT ON DATABASE {database} TO {role}",
        "CREATE SCHEMA IF NOT EXISTS {schema}",
        "REVOKE ALL ON SCHEMA {schema} FROM PUBLIC",
        "GRANT USAGE ON SCHEMA {schema} TO {role}",
    ):
        _run(connection, statement, **names)
    for signature, body in _WATCHED.items():
        # In one statement, so that nobody meets the moment between: another result type needs another function.
        head = f"{{schema}}.{signature}"
        _run(
            connection,
            f"DROP FUNCTION IF EXISTS {head}; CREATE FUNCTION {head} {body}; "
            f"REVOKE ALL ON FUNCTION {head} FROM PUBLIC; GRANT EXECUTE ON FUNCTION {head} TO {{role}}",
            **names,
        )


def grant_monitor(connection: Connection, service: str, relations: Iterable[str]) -> None:
    """Let the monitoring role read these relations of a schema, as its owner; a database without that role is left as it is."""
    owner = str(connection.scalar(text("SELECT current_user")))
    role = monitor_role(owner.removesuffix(f"_{service}{_OWNER_SUFFIX}"))
    if not connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}):
        return
    names = {"role": sql.Identifier(role), "schema": sql.Identifier(service)}
    _run(connection, "GRANT USAGE ON SCHEMA {schema} TO {role}", **names)
    for each in relations:
        _run(connection, "GRANT SELECT ON {relation} TO {role}", relation=sql.Identifier(service, each), role=names["role"])


def grant_runtime(connection: Connection, service: str, metadata: MetaData) -> None:
    """Give the runtime role its rights: no DDL, no TRUNCATE, and no UPDATE or DELETE where rows are append-only."""
    owner = str(connection.scalar(text("SELECT current_user")))
    if not owner.endswith(_OWNER_SUFFIX):
        raise PermissionError(f"Migrate as the migration role (…{_OWNER_SUFFIX}), not as {owner}: set MIGRATION_DATABASE_URL.")
    role = sql.Identifier(owner.removesuffix(_OWNER_SUFFIX))
    for table in metadata.sorted_tables:
        rights = "SELECT, INSERT" if table.info.get("append_only") else "SELECT, INSERT, UPDATE, DELETE"
        name = sql.Identifier(service, table.name)
        _run(connection, "REVOKE ALL ON TABLE {table} FROM {role}", table=name, role=role)
        _run(connection, "GRANT " + rights + " ON TABLE {table} TO {role}", table=name, role=role)
    _run(
        connection,
        "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {role}",
        schema=sql.Identifier(service),
        role=role,
    )
    _run(connection, "REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} FROM PUBLIC", schema=sql.Identifier(service))
    _run(connection, "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} TO {role}", schema=sql.Identifier(service), role=role)


def _run(connection: Connection, statement: str, **names: sql.Composable) -> None:
    raw = connection.connection.driver_connection
    composed = sql.SQL(statement).format(**names).as_string(raw)  # type: ignore[arg-type]
    connection.exec_driver_sql(composed.replace("%", "%%"))
