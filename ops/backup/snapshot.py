"""One moment of the whole database: what pg_dump writes and what is counted beside it are of the same snapshot."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Final

import psycopg2
import psycopg2.sql
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from libs.common.config import process_environment
from libs.common.db.database import psycopg2_url
from ops.backup.manifest import TableFacts
from ops.errors import OperationError
from ops.postgres import server_program

_EXPORT = text("SELECT pg_export_snapshot()")
# Partitioned tables have no rows of their own; Postgres's and extensions' schemas are not ours.
_TABLES = text(
    "SELECT nspname AS schema, relname AS name FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace "
    "WHERE relkind = 'r' AND nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY nspname, relname"
)
# Sixty bits of each row's hash, added up: the same whatever the order, another one when a single bit of a row differs.
_DIGEST = psycopg2.sql.SQL(
    "SELECT count(*), coalesce(sum("
    "('x' || left(encode(sha256(convert_to(t::text, 'UTF8')), 'hex'), 15))::bit(60)::bigint), 0)::text FROM {} t"
)
# Whoever owns something here, or was granted something; Postgres has its own roles everywhere.
_ROLES = text(
    "SELECT DISTINCT rolname FROM pg_shdepend JOIN pg_roles ON pg_roles.oid = refobjid "
    "WHERE refclassid = 'pg_authid'::regclass AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND rolname !~ '^pg_' ORDER BY rolname"
)
_STABLE: Final = ("SET timezone = 'UTC'", "SET datestyle = 'ISO'", "SET extra_float_digits = 3", "SET bytea_output = 'hex'")
WORDS_MAX: Final = 2_000
"""Characters of a failed program's last words that are shown."""
LIBPQ: Final = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",  # pragma: allowlist secret
    "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcrl": "PGSSLCRL",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "channel_binding": "PGCHANNELBINDING",
    "gssencmode": "PGGSSENCMODE",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "application_name": "PGAPPNAME",
}
"""Parameters of an address, and the variables by which Postgres's programs are told them."""


@contextmanager
def snapshot(url: str) -> Iterator[tuple[Connection, str]]:
    """A read-only transaction on one snapshot, and the name under which pg_dump may share it. Raises OperationError."""
    engine = create_engine(psycopg2_url(url), poolclass=NullPool, isolation_level="REPEATABLE READ")
    try:
        with engine.connect() as connection:
            for statement in _STABLE:
                connection.execute(text(statement))
            connection.execute(text("SET TRANSACTION READ ONLY"))
            yield connection, str(connection.scalar(_EXPORT))
    except SQLAlchemyError as error:
        raise OperationError("The database cannot be read for a backup.", details=str(error)) from error
    finally:
        engine.dispose()


def table_facts(connection: Connection) -> dict[str, TableFacts]:
    """Every table's rows and digest."""
    raw: Any = connection.connection.driver_connection
    found = {}
    for row in connection.execute(_TABLES).all():
        statement = _DIGEST.format(psycopg2.sql.Identifier(row.schema, row.name)).as_string(raw)
        count, digest = connection.exec_driver_sql(statement.replace("%", "%%")).one()
        found[f"{row.schema}.{row.name}"] = TableFacts(rows=count, digest=digest)
    return found


def roles_named(connection: Connection) -> list[str]:
    """The roles without which pg_restore would end at the first thing that they own or may use."""
    return list(connection.scalars(_ROLES))


def differences(wanted: dict[str, TableFacts], found: dict[str, TableFacts]) -> list[str]:
    """One line for each table that is not as it was."""
    lines = [f"{name} is missing" for name in sorted(wanted.keys() - found.keys())]
    lines += [f"{name} was not in the backup" for name in sorted(found.keys() - wanted.keys())]
    for name in sorted(wanted.keys() & found.keys()):
        before, after = wanted[name], found[name]
        if before.rows != after.rows:
            lines.append(f"{name} has {after.rows} rows in place of {before.rows}")
        elif before.digest != after.digest:
            lines.append(f"{name} has other content than was backed up")
    return lines


@contextmanager
def dump(url: str, snapshot_name: str) -> Iterator[IO[bytes]]:
    """pg_dump's custom format as a stream. Raises OperationError when it fails."""
    command = [program("pg_dump"), "--format=custom", f"--snapshot={snapshot_name}", "--no-password"]
    with _running(command, url, stdout=subprocess.PIPE) as process:
        yield _stream(process.stdout)


@contextmanager
def restoring(url: str, *, roles: bool) -> Iterator[IO[bytes]]:
    """What is written into this stream is restored into an empty database. Raises OperationError when it fails.

    `roles=False` leaves owners and rights out, for a database that is only looked at.
    """
    plain = () if roles else ("--no-owner", "--no-acl")
    # Never the command line: everybody on the machine could read the password there.
    command = [program("pg_restore"), "--exit-on-error", "--no-password", *plain, "--dbname", _database(url)]
    with _running(command, url, stdin=subprocess.PIPE) as process:
        yield _stream(process.stdin)


@contextmanager
def _running(command: list[str], url: str, **pipes: Any) -> Iterator["subprocess.Popen[bytes]"]:
    with TemporaryFile() as words:
        process = subprocess.Popen(command, env=_environment(url), stderr=words.fileno(), **pipes)
        try:
            # A pipe breaks when the program ends early; it says why itself.
            with suppress(BrokenPipeError):
                yield process
        except BaseException:
            process.kill()
            raise
        finally:
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with suppress(BrokenPipeError):
                        stream.close()
            process.wait()
        words.seek(0)
        said = words.read().decode("utf-8", "replace").strip()
    if process.returncode != 0:
        name = Path(command[0]).name
        raise OperationError(f"{name} failed (exit code {process.returncode}).", details=said[-WORDS_MAX:])


def libpq(url: str) -> dict[str, Any]:
    """An address, which may name several servers, as libpq's own parameters."""
    address = psycopg2_url(url)
    _, given = address.get_dialect()().create_connect_args(address)
    return {name: str(value) for name, value in given.items()}


def _environment(url: str) -> dict[str, str]:
    given = libpq(url)
    if strangers := sorted(given.keys() - LIBPQ.keys()):
        # Left out, it could be another server that is read or written, or one that nobody verified.
        raise OperationError(f"The address of the database has {', '.join(strangers)}, of which pg_dump cannot be told.")
    kept = {name: value for name, value in process_environment().items() if name in {"PATH", "HOME", "LD_LIBRARY_PATH"}}
    return kept | {"LC_ALL": "C.UTF-8"} | {LIBPQ[name]: value for name, value in given.items()}


def _database(url: str) -> str:
    return str(psycopg2_url(url).database)


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise OperationError("The pipe to Postgres's program could not be made.")
    return stream


def program(name: str) -> str:
    """pg_dump or pg_restore: the newest that is installed, since an older one refuses a newer server. Raises OperationError."""
    found = server_program(name)
    if found is not None:
        return str(found)
    on_path = shutil.which(name)
    if on_path is None:
        raise OperationError(f"{name} is not installed: install Debian's package postgresql-client.")
    return on_path


def with_database(url: str, name: str) -> str:
    """The same server, another database."""
    address: URL = psycopg2_url(url).set(drivername="postgresql", database=name)
    return address.render_as_string(hide_password=False)
