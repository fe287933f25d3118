"""Postgres: encryption on the way, rights, room for everybody, schemas that fit the code."""

from typing import Final

from sqlalchemy import text

from libs.common.db import monitor_role, owner_role, runtime_role
from libs.common.db.database import POOL_SIZE
from libs.common.db.migrate import VERSION_TABLE, newest_revision
from libs.common.db.provision import MONITOR_CONNECTIONS_MAX, backup_role
from ops.doctor.box import Finding, NotExamined, bad, box, good, judged
from ops.doctor.examined import Examined

LISTENERS: Final = 2
"""Connections of a process beside its pools: it listens for notifications and holds advisory locks."""
POOLS: Final = 2
PROTOCOLS: Final = frozenset({"TLSv1.2", "TLSv1.3"})
NAMED_MAX: Final = 5

_CONNECTIONS: Final = text("SELECT role, application, encrypted, protocol, connections FROM monitoring.connections()")
_ROLES: Final = text(
    "SELECT rolname AS role, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, "
    "pg_has_role(rolname, 'pg_read_all_data', 'MEMBER') AS reads_all, pg_has_role(rolname, 'pg_write_all_data', 'MEMBER') "
    "AS writes_all, pg_has_role(rolname, 'pg_execute_server_program', 'MEMBER') OR pg_has_role(rolname, "
    "'pg_read_server_files', 'MEMBER') OR pg_has_role(rolname, 'pg_write_server_files', 'MEMBER') AS reaches_server, "
    "has_database_privilege(rolname, current_database(), 'CREATE') AS makes_schemas "
    "FROM pg_roles WHERE rolname = ANY(:roles)"
)
_SCHEMAS: Final = text(
    "SELECT rolname AS role, nspname AS schema, has_schema_privilege(rolname, pg_namespace.oid, 'CREATE') AS creates "
    "FROM pg_roles CROSS JOIN pg_namespace WHERE rolname = ANY(:roles) AND nspname !~ '^(pg_|information_schema$)' "
    "AND has_schema_privilege(rolname, pg_namespace.oid, 'USAGE')"
)
_TABLES: Final = text(
    "SELECT nspname AS schema, relname AS name, has_table_privilege(:role, pg_class.oid, 'UPDATE, DELETE, TRUNCATE') "
    "OR has_any_column_privilege(:role, pg_class.oid, 'UPDATE') AS changes "
    "FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE relkind IN ('r', 'p') AND nspname = :schema"
)
_READS: Final = text(
    "SELECT nspname || '.' || relname AS name FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace "
    "WHERE relkind IN ('r', 'p', 'v', 'm') AND nspname = ANY(:schemas) "
    "AND (has_table_privilege(:role, pg_class.oid, 'SELECT, INSERT, UPDATE, DELETE') "
    "OR has_any_column_privilege(:role, pg_class.oid, 'SELECT')) AND relname NOT IN ('figures', :version_table)"
)
_RIGHTS: Final = {
    "rolsuper": "is a superuser",
    "rolcreatedb": "may create databases",
    "rolcreaterole": "may create roles",
    "rolreplication": "may copy the whole server",
    "rolbypassrls": "passes by row security",
    "reads_all": "may read everything",
    "writes_all": "may write everything",
    "reaches_server": "may run programs or touch files on the server",
    "makes_schemas": "may create schemas",
}


@box(
    "database-tls",
    "Connections to the database are encrypted",
    fix="Let Postgres serve TLS and add sslmode=verify-full and sslrootcert to every DATABASE_URL (compose: the production "
    "profile does; docs/doctor.md).",
    production=True,
)
def encrypted(examined: Examined) -> Finding:
    """Are the connections that the services hold now encrypted with TLS 1.2 or newer, as Postgres itself sees them?"""
    with examined.database() as db:
        rows = [each for each in db.all(_CONNECTIONS) if each.application.startswith("lumiere-")]
    held = sum(each.connections for each in rows)
    if not held:
        raise NotExamined("no service is connected")
    plain = [each for each in rows if not each.encrypted or each.protocol not in PROTOCOLS]
    if plain:
        named = ", ".join(sorted({each.application for each in plain})[:NAMED_MAX])
        return bad(
            f"{sum(each.connections for each in plain)} of {held} connections without TLS 1.2 or 1.3, among them {named}"
        )
    return good(f"{held} connections, all with {' or '.join(sorted({each.protocol for each in rows}))}")


@box(
    "database-roles",
    "Database roles have few rights",
    fix="Take the right away (ALTER ROLE … NOSUPERUSER, REVOKE …); starting the platform provisions the roles anew.",
)
def roles(examined: Examined) -> Finding:
    """Has no role of the platform a right over the server, no runtime role DDL, and each its own schema only?"""
    owners = {owner_role(name): name for name in examined.services}
    runtimes = {runtime_role(name): name for name in examined.services}
    wanted = [*owners, *runtimes, monitor_role(), backup_role()]
    with examined.database() as db:
        rights, schemas = db.all(_ROLES, {"roles": wanted}), db.all(_SCHEMAS, {"roles": wanted})
        reads = db.all(_READS, {"role": monitor_role(), "schemas": list(examined.services), "version_table": VERSION_TABLE})
    faults = [f"{each} does not exist" for each in sorted(set(wanted) - {row.role for row in rights})]
    faults += [f"{row.role} {words}" for row in rights for right, words in _RIGHTS.items() if getattr(row, right)]
    # What it is for; a right to write or to create it has as little as the others.
    faults = [each for each in faults if each != f"{backup_role()} {_RIGHTS['reads_all']}"]
    for row in schemas:
        mine = (owners | runtimes).get(row.role, row.schema)
        if row.schema != mine:
            faults.append(f"{row.role} may use the schema {row.schema}")
        if row.creates and (row.role not in owners or row.schema != mine):
            faults.append(f"{row.role} may create in the schema {row.schema}")
    faults += [f"{monitor_role()} may read {row.name}" for row in reads]
    evidence = f"{len(rights)} roles: none has rights over the server, runtime roles make nothing, each sees its own schema"
    return judged(faults, evidence)


@box(
    "database-append-only",
    "What is only ever added cannot be changed",
    fix="REVOKE UPDATE, DELETE, TRUNCATE on the table from the runtime role; `migrate` sets the rights anew.",
)
def append_only(examined: Examined) -> Finding:
    """Can no runtime role update, delete or truncate rows of the tables that are declared append-only?"""
    faults, counted = [], 0
    for each in examined.code():
        service = each.name
        declared = {table.name for table in each.metadata.sorted_tables if table.info.get("append_only")}
        with examined.database() as db:
            rows = db.all(_TABLES, {"role": runtime_role(service), "schema": service})
        found = {row.name: row.changes for row in rows}
        counted += len(declared)
        faults += [f"{service}.{name} is missing" for name in sorted(declared - set(found))]
        faults += [f"{runtime_role(service)} may change {service}.{name}" for name in sorted(declared) if found.get(name)]
    return judged(faults, f"{counted} tables of {len(examined.services)} services: their rows stay as they were written")


@box(
    "database-connections",
    "The database has room for every process",
    fix="Raise max_connections, or run fewer replicas, or put PgBouncer in transaction mode in between.",
)
def connections(examined: Examined) -> Finding:
    """Do all pools of all replicas together stay below max_connections, the reserved ones left out?"""
    with examined.database() as db:
        limit = int(db.scalar(text("SHOW max_connections")))
        reserved = int(db.scalar(text("SHOW superuser_reserved_connections")))
        held = sum(each.connections for each in db.all(_CONNECTIONS))
    processes = [each for each in examined.addresses.processes() if each.service in examined.services]
    most = len(processes) * (POOLS * POOL_SIZE + LISTENERS) + MONITOR_CONNECTIONS_MAX
    evidence = f"{len(processes)} processes may hold {most} connections, {limit - reserved} are allowed, {held} are held now"
    return judged([evidence] if most > limit - reserved else [], evidence)


@box(
    "database-migrations",
    "Schemas fit the code",
    fix="Run the migrations: `make up` here, in containers `docker compose … up <service>-migrate`.",
)
def migrations(examined: Examined) -> Finding:
    """Is every service's schema at the newest revision that the code here knows?"""
    faults, found = [], []
    for service in examined.services:
        wanted = newest_revision(service)
        with examined.database() as db:
            # A folder's name, which cannot be bound.
            # nosemgrep: sql-built-from-text
            revision = db.scalar(text(f'SELECT version_num FROM "{service}".{VERSION_TABLE}'))  # noqa: S608 — a folder's name
        found.append(f"{service} {revision}")
        if revision != wanted:
            faults.append(f"{service} is at {revision or 'nothing'}, the code needs {wanted}")
    return judged(faults, ", ".join(found))
