"""Per service: a migration role that owns the schema and a runtime role that may only use it (least privilege)."""

from psycopg2 import sql
from sqlalchemy import Connection, MetaData, text

from libs.common.db.database import single_connection_engine

_LOCK = text("SELECT pg_advisory_lock(hashtext('lumiere.provision'))")
_UNLOCK = text("SELECT pg_advisory_unlock(hashtext('lumiere.provision'))")


ROLE_PREFIX = "lumiere"
_OWNER_SUFFIX = "_owner"


def owner_role(service: str, prefix: str = ROLE_PREFIX) -> str:
    """The role that owns the schema and runs migrations."""
    return runtime_role(service, prefix) + _OWNER_SUFFIX


def runtime_role(service: str, prefix: str = ROLE_PREFIX) -> str:
    """The role that the running service connects as."""
    return f"{prefix}_{service}"


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
