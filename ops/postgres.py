"""A private Postgres: created once, run under the supervisor, on a loopback port of its own.

Postgres refuses to run as root: then it runs as the `postgres` user that Debian's package creates, with its data where that
user can reach it.
"""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from libs.common.db.database import single_connection_engine
from libs.common.db.provision import alter_password
from ops.errors import OperationError
from ops.layout import Layout
from ops.programs import SERVERS, Program
from ops.vault import Vault

ADMIN = "lumiere_admin"
DATABASE = "lumiere"
DROPPED_USER = "postgres"
OUTSIDE_HOME = Path("/var/lib/lumiere")
LIBRARIES = Path("/usr/lib/postgresql")
PROBE_SECONDS = 2

# One laptop: little memory, many short connections; durable, because kill -9 is part of the tests.
TUNING = {
    "shared_buffers": "64MB",
    "max_connections": "300",
    "work_mem": "4MB",
    "max_wal_size": "512MB",
    "checkpoint_timeout": "15min",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # No client address: they are logged nowhere.
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_min_messages": "warning",
}


@dataclass(frozen=True)
class Postgres:
    """The private server of one platform. `durable=False` is for tests: faster, lost when the machine crashes."""

    layout: Layout
    vault: Vault
    durable: bool = True

    @property
    def dropped(self) -> bool:
        """Whether root's rights are given up for the `postgres` user."""
        return os.geteuid() == 0

    @property
    def home(self) -> Path:
        """The folder that holds the data; outside the clone when the `postgres` user cannot reach the clone."""
        inside, outside = self.layout.state / "postgres", OUTSIDE_HOME / self.layout.identity
        if not self.dropped or inside.exists():
            return inside
        return outside if outside.exists() or not _reachable(self.layout.state) else inside

    @property
    def moved(self) -> bool:
        """Whether the data stand outside the state folder."""
        return self.home.parent == OUTSIDE_HOME

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.home / "data"

    def admin_url(self, database: str = DATABASE) -> str:
        """Address as superuser."""
        password = quote(self.vault.ensure("POSTGRES_PASSWORD"), safe="")
        return f"postgresql://{ADMIN}:{password}@127.0.0.1:{self.layout.postgres_port}/{database}"

    def create(self) -> bool:
        """Make the data directory unless it is there. Returns whether it was made. Raises OperationError."""
        if (self.data / "PG_VERSION").exists():
            return False
        self.own(self.home)
        password_file = self.home / "password"
        self._write_owned(password_file, self.vault.ensure("POSTGRES_PASSWORD"))
        command = [
            *self.as_user(),
            str(binaries() / "initdb"),
            *("--pgdata", str(self.data), "--username", ADMIN, "--pwfile", str(password_file)),
            *("--encoding", "UTF8", "--locale", "C.UTF-8", "--data-checksums"),
            *("--auth-local", "scram-sha-256", "--auth-host", "scram-sha-256"),
            *(() if self.durable else ("--no-sync",)),
        ]
        try:
            done = subprocess.run(command, cwd="/", env=_environment(self.home), capture_output=True, text=True, check=False)
        finally:
            password_file.unlink()
        if done.returncode != 0:
            shutil.rmtree(self.data, ignore_errors=True)
            raise OperationError(f"Postgres could not create its data folder {self.data}.", details=done.stderr.strip())
        return True

    def set_password(self, password: str) -> None:
        """Give the superuser of the running server another password."""
        alter_password(self.admin_url("postgres"), ADMIN, password)

    def program(self) -> Program:
        """How the supervisor runs it. INT is Postgres's fast shutdown: it does not wait for clients to leave."""
        settings = TUNING | {
            "listen_addresses": "127.0.0.1",
            "port": str(self.layout.postgres_port),
            "unix_socket_directories": "",
        }
        if not self.durable:
            # Enough for a crash of Postgres, not of the machine. Commits stay synchronous: without, a kill takes the last ones.
            settings |= {"fsync": "off", "full_page_writes": "off"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        programs = binaries(self.data)
        return Program(
            name="postgres",
            command=(
                "setpriv",
                "--pdeathsig",
                "INT",
                *self.as_user()[1:],
                str(programs / "postgres"),
                "-D",
                str(self.data),
                *options,
            ),
            directory=Path("/"),
            environment={"HOME": str(self.home), "LC_ALL": "C.UTF-8"},
            port=self.layout.postgres_port,
            health="postgres",
            stop_signal="INT",
            stop_seconds=30,
            priority=SERVERS,
        )

    def remove(self) -> None:
        """Delete the data, wherever they stand. The server must be down."""
        shutil.rmtree(self.home, ignore_errors=True)

    def as_user(self) -> list[str]:
        """The beginning of a command that is to run as the server's user."""
        if not self.dropped:
            return ["setpriv"]
        return ["setpriv", f"--reuid={DROPPED_USER}", f"--regid={DROPPED_USER}", "--clear-groups"]

    def own(self, folder: Path) -> None:
        """Make a folder that the server's user alone may enter. Raises OperationError."""
        try:
            folder.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise OperationError(
                f"{folder} cannot be created ({error.strerror}). Choose a state folder with LUMIERE_HOME."
            ) from error
        if self.dropped:
            shutil.chown(folder, DROPPED_USER, DROPPED_USER)

    def _write_owned(self, path: Path, text: str) -> None:
        path.unlink(missing_ok=True)
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(text, encoding="utf-8")
        if self.dropped:
            shutil.chown(path, DROPPED_USER, DROPPED_USER)


def _reachable(folder: Path) -> bool:
    """Whether the `postgres` user may pass through every folder down to the state folder's nearest existing parent."""
    while not folder.exists():
        folder = folder.parent
    try:
        pwd.getpwnam(DROPPED_USER)
    except KeyError:
        raise OperationError(
            f"There is no user {DROPPED_USER}: install the package postgresql (`make up` does it as root)."
        ) from None
    command = ["setpriv", f"--reuid={DROPPED_USER}", f"--regid={DROPPED_USER}", "--clear-groups", "test", "-x", str(folder)]
    return subprocess.run(command, check=False, cwd="/").returncode == 0


def binaries(data: Path | None = None) -> Path:
    """The folder of the server's programs: the version that made `data`, else the newest. Raises OperationError."""
    installed = {path.parent.parent.name: path.parent for path in LIBRARIES.glob("*/bin/postgres")}
    version = data / "PG_VERSION" if data else None
    if version and version.exists():
        wanted = version.read_text(encoding="ascii").strip()
        if wanted not in installed:
            raise OperationError(
                f"The data in {data} were made by Postgres {wanted}, which is not installed. "
                f"Install postgresql-{wanted}, or `make clean`."
            )
        return installed[wanted]
    if not installed:
        raise OperationError("Postgres is not installed. `make up` installs it as root, or names the line to run.")
    return installed[max(installed, key=float)]


def server_program(name: str) -> Path | None:
    """A program of the newest server that is installed, such as pg_dump; None when there is no server."""
    found = sorted(LIBRARIES.glob(f"*/bin/{name}"), key=lambda path: float(path.parent.parent.name))
    return found[-1] if found else None


def _environment(home: Path) -> dict[str, str]:
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "LC_ALL": "C.UTF-8"}


def answers(url: str) -> bool:
    """Whether the server at `url` takes a statement."""
    engine = single_connection_engine(url, connect_seconds=PROBE_SECONDS)
    try:
        with engine.connect() as connection:
            return bool(connection.scalar(text("SELECT 1")) == 1)
    except SQLAlchemyError:
        return False


def create_database(url: str, name: str) -> None:
    """Create a database through an administrative address unless it is there."""
    with single_connection_engine(url).connect() as connection:
        if connection.scalar(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": name}) is None:
            # A name cannot be bound; it is quoted.
            # nosemgrep: sql-built-from-text
            connection.execute(text(f"CREATE DATABASE {connection.dialect.identifier_preparer.quote(name)}"))
