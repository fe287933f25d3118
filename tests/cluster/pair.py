"""A Postgres primary with a synchronous standby on loopback, set up as `deploy/cluster/postgresql.conf` has it."""

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from sqlalchemy import text

from libs.common.addresses import PRIMARY_ONLY
from libs.common.config import load
from libs.common.db.database import single_connection_engine
from libs.common.events.tests.live import eventually
from ops.cluster.databases import PRIMARY, STANDBY, Database, each_server, examine
from ops.layout import Layout
from ops.ports import free_range
from ops.postgres import ADMIN, Postgres, binaries
from ops.settings import ROOT, PlatformSettings
from ops.vault import Vault
from tests.cluster.running import Server, run

UP_SECONDS: Final = 60.0
PORTS_FROM: Final = 23_600
NAMES: Final = ("one", "two")
SHIPPED: Final = ROOT / "deploy" / "cluster" / "postgresql.conf"
WAIT_FOR_ONE: Final = "ANY 1 (one, two)"
REPLICATOR: Final = "replicator"


class Pair:
    """Two servers, `one` and `two`; `one` begins as the primary."""

    def __init__(self, folder: Path) -> None:
        base = free_range(PORTS_FROM, len(NAMES), step=20)
        vault = Vault(folder / "secrets")
        self.password = vault.ensure("POSTGRES_PASSWORD")
        self.servers = [Postgres(_layout(folder / name, base + number), vault) for number, name in enumerate(NAMES)]
        self.ports = [base + number for number in range(len(NAMES))]
        self.processes = [self._process(number, folder / f"{name}.log") for number, name in enumerate(NAMES)]

    # ---- addresses

    @property
    def url(self) -> str:
        """Whichever is the primary, as superuser."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return f"postgresql://{ADMIN}:{quote(self.password, safe='')}@{hosts}/postgres?{PRIMARY_ONLY}"

    def address(self, number: int) -> str:
        """`host:port` of one."""
        return f"127.0.0.1:{self.ports[number]}"

    def examined(self, number: int) -> Database:
        """What one says of itself."""
        return examine(each_server(self.url)[number])

    # ---- life

    def start(self) -> None:
        """The primary, then a standby made from it, then commits that wait for it."""
        for server in self.servers:
            server.remove()  # what a rehearsal left that was killed itself
        self.servers[0].create()
        self._configure(0)
        self.processes[0].start()
        self._await(0, PRIMARY)
        self.ask(0, f"CREATE ROLE {REPLICATOR} LOGIN REPLICATION PASSWORD '{self.password}'")
        self.clone(source=0, to=1)
        self.processes[1].start()
        self._await(1, STANDBY)
        self.wait_for_standby(0)

    def wait_for_standby(self, primary: int) -> None:
        """Let the primary acknowledge only what its standby has, and see that the standby follows."""
        self.ask(primary, f"ALTER SYSTEM SET synchronous_standby_names = '{WAIT_FOR_ONE}'")
        self.ask(primary, "SELECT pg_reload_conf()")
        eventually(lambda: self._followed(primary), "the standby follows", UP_SECONDS)

    def _followed(self, primary: int) -> bool:
        return any(each.synchronous and each.state == "streaming" for each in self.examined(primary).standbys)

    def clone(self, source: int, to: int) -> None:
        """Make a new standby as an operator does."""
        data = self.servers[to].data
        self.servers[to].own(self.servers[to].home)
        run((*self._tool(to, "pg_basebackup"), "-D", str(data), "-d", self._following(source, to), "-X", "stream"), {})
        self._follow(source, to)

    def rewind(self, source: int, to: int) -> None:
        """Turn a primary that was replaced into a standby of the new one."""
        target = f"host=127.0.0.1 port={self.ports[source]} user={ADMIN} password={self.password} dbname=postgres"
        data = ("--target-pgdata", str(self.servers[to].data))
        run((*self._tool(to, "pg_rewind"), *data, "--source-server", target), {})
        self._follow(source, to)
        self.processes[to].start()
        self._await(to, STANDBY)

    def end(self) -> None:
        """Nothing of it stays."""
        for process, server in zip(self.processes, self.servers, strict=True):
            if process.alive:
                process.kill()
            server.remove()

    def ask(self, number: int, statement: str) -> None:
        """Run one statement on one server."""
        with single_connection_engine(each_server(self.url)[number]).connect() as connection:
            connection.execute(text(statement))

    def _await(self, number: int, role: str) -> None:
        eventually(lambda: self.examined(number).role == role, f"{NAMES[number]} is the {role}", UP_SECONDS)

    # ---- files

    def _process(self, number: int, log: Path) -> Server:
        program = self.servers[number].program()
        return Server(NAMES[number], program.command, dict(program.environment), log, stop_signal=signal.SIGINT)

    def _tool(self, number: int, program: str) -> tuple[str, ...]:
        return (*self.servers[number].as_user(), str(binaries() / program))

    def _following(self, source: int, to: int) -> str:
        who = f"user={REPLICATOR} password={self.password} application_name={NAMES[to]}"
        return f"host=127.0.0.1 port={self.ports[source]} {who}"

    def _configure(self, number: int) -> None:
        settings = self.servers[number].data / "postgresql.conf"
        with settings.open("a", encoding="utf-8") as file:
            file.write(f"\n{SHIPPED.read_text(encoding='utf-8')}")

    def _follow(self, source: int, to: int) -> None:
        data = self.servers[to].data
        automatic = data / "postgresql.auto.conf"
        kept = [line for line in automatic.read_text(encoding="utf-8").splitlines() if not line.startswith("primary_conninfo")]
        conninfo = self._following(source, to).replace("'", "''")
        automatic.write_text("\n".join([*kept, f"primary_conninfo = '{conninfo}'", ""]), encoding="utf-8")
        signal_file = data / "standby.signal"
        signal_file.touch(mode=0o600)
        if self.servers[to].dropped:
            shutil.chown(signal_file, "postgres", "postgres")


def _layout(folder: Path, port: int) -> Layout:
    return Layout(load(PlatformSettings, {"LUMIERE_HOME": str(folder), "LUMIERE_PORT_BASE": str(port)}))


@contextmanager
def database_pair(folder: Path) -> Iterator[Pair]:
    """Primary and standby for as long as a rehearsal takes."""
    pair = Pair(folder)
    try:
        pair.start()
        yield pair
    finally:
        pair.end()
