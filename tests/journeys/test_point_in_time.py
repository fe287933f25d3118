"""Postgres is restored to a moment between two commits: the guide in docs/backups.md, on the server that platforms run on."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg2
import pytest

from ops.demo.client import wait_for
from ops.ports import free_range
from ops.postgres import DROPPED_USER, answers, server_program

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]
PORTS_FROM = 23_000
PATIENCE_SECONDS = 120


class Server:
    """A Postgres of the test's own."""

    def __init__(self, folder: Path, name: str, port: int) -> None:
        self.data = folder / name
        self.port = port
        self.url = f"postgresql://postgres@127.0.0.1:{port}/postgres"

    def run(self, program: str, *arguments: str) -> None:
        """One of the server's programs, as the user that it insists on."""
        path = server_program(program)
        assert path is not None
        given_up = (
            ["setpriv", f"--reuid={DROPPED_USER}", f"--regid={DROPPED_USER}", "--clear-groups"] if os.geteuid() == 0 else []
        )
        command = [*given_up, str(path), *arguments]
        done = subprocess.run(command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def configure(self, **settings: str) -> None:
        with (self.data / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    @contextmanager
    def running(self) -> Iterator[None]:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self.run("pg_ctl", "-D", str(self.data), "-l", str(self.data / "log"), "-o", options, "-W", "start")
        try:
            wait_for("the server", lambda: answers(self.url), PATIENCE_SECONDS)
            yield
        finally:
            self.run("pg_ctl", "-D", str(self.data), "-m", "fast", "-w", "stop")

    def ask(self, statement: str) -> list[tuple[object, ...]]:
        with closing(psycopg2.connect(self.url)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the user that Postgres runs as may write."""
    with TemporaryDirectory(prefix="lumiere-wal-") as name:
        path = Path(name)
        if os.geteuid() == 0:
            shutil.chown(path, DROPPED_USER, DROPPED_USER)
        yield path


def test_a_database_is_restored_to_a_moment_between_two_commits(folder: Path) -> None:
    base_port = free_range(PORTS_FROM, 2)
    primary, restored = Server(folder, "primary", base_port), Server(folder, "restored", base_port + 1)
    archive = folder / "archive"
    primary.run("initdb", "-D", str(primary.data), "-U", "postgres", "--auth=trust", "--no-sync")
    archive.mkdir()
    if os.geteuid() == 0:
        shutil.chown(archive, DROPPED_USER, DROPPED_USER)
    command = f"test ! -f {archive}/%f && cp %p {archive}/%f"
    primary.configure(archive_mode="on", archive_command=command, wal_level="replica")

    with primary.running():
        primary.ask("CREATE TABLE scene (number int)")
        address = ["-h", "127.0.0.1", "-p", str(primary.port), "-U", "postgres"]
        primary.run("pg_basebackup", "-D", str(restored.data), *address, "-X", "none", "--checkpoint=fast", "--no-sync")
        primary.ask("INSERT INTO scene SELECT generate_series(1, 100)")
        ((moment,),) = primary.ask("SELECT clock_timestamp()::text")
        primary.ask("DELETE FROM scene")
        ((segment,),) = primary.ask("SELECT pg_walfile_name(pg_switch_wal())")
        wait_for("the archive", (archive / str(segment)).exists, PATIENCE_SECONDS)

    restored.configure(
        archive_mode="off",
        restore_command=f"cp {archive}/%f %p",
        recovery_target_time=str(moment),
        recovery_target_action="promote",
    )
    signal = restored.data / "recovery.signal"
    signal.touch()
    if os.geteuid() == 0:
        shutil.chown(signal, DROPPED_USER, DROPPED_USER)

    with restored.running():
        wait_for("the promotion", lambda: restored.ask("SELECT NOT pg_is_in_recovery()") == [(True,)], PATIENCE_SECONDS)
        assert restored.ask("SELECT count(*) FROM scene") == [(100,)], "the rows that were deleted a moment later"
        restored.ask("INSERT INTO scene VALUES (101)")
