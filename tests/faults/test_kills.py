"""Relays and consumers are killed, and database connections cut, while commands run."""

import random
import secrets
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError

from libs.common import ids
from libs.common.config import process_environment
from libs.common.db import kernel_tables
from libs.common.db.database import psycopg2_url, single_connection_engine
from libs.common.events.broker import subscribe
from libs.common.events.tests.live import RUN, Cut, effect, eventually, show, subscriptions
from libs.common.events.tests.platform import Platform, backing, databases, forget
from tests.faults.process import CINEMA_URL, CONSUMER, READY, STUDIO_URL

COMMANDS = 500
REELS = 12
COMMANDS_PER_SECOND = 45
KILLS = 8
CUTS = 3
NAMES = ("relay-1", "relay-2", "consumer-1", "consumer-2")
SETTLE_SECONDS = 60

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]


@pytest.fixture
def seed() -> int:
    """Printed; LUMIERE_FAULT_SEED replays the same schedule."""
    given = process_environment().get("LUMIERE_FAULT_SEED")
    seed = int(given) if given else secrets.randbits(32)
    sys.stdout.write(f"\nLUMIERE_FAULT_SEED={seed}\n")
    return seed


@pytest.fixture
def platform() -> Iterator[Platform]:
    with databases() as (studio, cinema):
        yield Platform(studio, cinema, backing("AMQP_URL"), f"faults_{ids.new_id().hex[-10:]}")


@dataclass
class Processes:
    """Processes that are started again when they are killed."""

    platform: Platform
    log: Path
    alive: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    exits: Counter[int] = field(default_factory=Counter)
    starts: Counter[str] = field(default_factory=Counter)

    def start(self, name: str) -> None:
        platform = self.platform
        environ = process_environment() | {
            "LUMIERE_TEST_RUN": RUN,
            STUDIO_URL: platform.studio.url.render_as_string(hide_password=False),
            CINEMA_URL: platform.cinema.url.render_as_string(hide_password=False),
            CONSUMER: platform.consumer,
            "AMQP_URL": platform.amqp_url,
        }
        with (self.log / f"{name}.log").open("ab") as log:
            role = name.split("-", maxsplit=1)[0]
            command = [sys.executable, "-m", "tests.faults.process", role]
            self.alive[name] = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
        self.starts[name] += 1

    def started(self, name: str) -> bool:
        text = (self.log / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        return text.splitlines().count(READY) >= self.starts[name]

    def all_started(self) -> bool:
        return all(self.started(name) for name in self.alive)

    def kill(self, name: str) -> None:
        process = self.alive[name]
        process.send_signal(signal.SIGKILL)
        self.exits[process.wait(10)] += 1
        self.start(name)

    def drain(self) -> list[int]:
        for process in self.alive.values():
            process.terminate()
        return [process.wait(30) for process in self.alive.values()]

    def end(self) -> None:
        for process in self.alive.values():
            if process.poll() is None:
                process.kill()
                process.wait(10)


@pytest.fixture
def processes(platform: Platform, tmp_path: Path) -> Iterator[Processes]:
    subscribed = subscriptions(platform.consumer, show)
    subscribe(platform.amqp_url, subscribed)
    running = Processes(platform, tmp_path)
    try:
        yield running
    finally:
        running.end()
        forget(platform.amqp_url, subscribed)


class Commands(threading.Thread):
    """Runs commands at a steady pace; one in ten fails and must leave nothing behind."""

    def __init__(self, platform: Platform, seed: int) -> None:
        super().__init__(name="commands")
        self._platform = platform
        self._random = random.Random(seed)  # noqa: S311 - a schedule that can be replayed
        self._reels = [ids.new_id() for _ in range(REELS)]
        self.acknowledged: set[UUID] = set()
        self.taken_back: set[UUID] = set()
        self.interrupted = 0
        self.enough = threading.Event()
        """Set when the faults are over: commands go on for as long as there are any."""

    def run(self) -> None:
        pause = threading.Event()
        for number in count():
            if number >= COMMANDS and self.enough.is_set():
                return
            try:
                self._command(self._random.choice(self._reels), number)
            except SQLAlchemyError:
                self.interrupted += 1
            pause.wait(1 / COMMANDS_PER_SECOND)

    def _command(self, reel: UUID, number: int) -> None:
        if number % 10 == 9:
            self._fail(reel, number)
            return
        with self._platform.studio.transaction() as tx:
            event_id = tx.publish(Cut(reel_id=reel, number=number))
        self.acknowledged.add(event_id)

    def _fail(self, reel: UUID, number: int) -> None:
        try:
            with self._platform.studio.transaction() as tx:
                self.taken_back.add(tx.publish(Cut(reel_id=reel, number=number)))
                raise InterruptedError
        except InterruptedError:
            pass


def cut_connections(platform: Platform, application: str) -> int:
    """End the database sessions of one kind of process; how many there were."""
    url = psycopg2_url(backing("DATABASE_URL")).set(database=platform.studio.url.database)
    statement = text(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = :name"
    )
    with single_connection_engine(url).connect() as admin:
        ended: int = admin.execute(statement, {"name": application}).scalar_one()
        return ended


@dataclass(frozen=True)
class Count:
    """What Postgres says came of the run."""

    published: int
    effects: int
    lost: int
    duplicates: int
    out_of_order: int
    phantoms: int


def counted(platform: Platform, commands: Commands) -> Count:
    tables = kernel_tables(platform.studio.metadata)
    with platform.studio.reader() as reader:
        archived = {row.event_id for row in reader.all(select(tables.event_archive.c.event_id))}
        waiting = reader.scalar(select(func.count()).select_from(tables.outbox))
    assert waiting == 0, "the outbox is not empty"
    with platform.cinema.reader() as reader:
        rows = reader.all(select(effect).order_by(effect.c.position))
    seen: Counter[UUID] = Counter(row.event_id for row in rows)
    last: Counter[str] = Counter()
    out_of_order = 0
    for row in rows:
        out_of_order += row.sequence != last[row.subject] + 1
        last[row.subject] = row.sequence
    return Count(
        published=len(archived),
        effects=len(rows),
        lost=len((archived | commands.acknowledged) - set(seen)),
        duplicates=len(rows) - len(seen),
        out_of_order=out_of_order,
        phantoms=len(commands.taken_back & set(seen)) + len(set(seen) - archived),
    )


def test_nothing_is_lost_doubled_or_out_of_order_when_relays_and_consumers_are_killed(
    platform: Platform, processes: Processes, seed: int
) -> None:
    for name in NAMES:
        processes.start(name)
    eventually(processes.all_started, "all processes run")
    commands = Commands(platform, seed)
    commands.start()
    cut = wreak_havoc(platform, processes, random.Random(seed))  # noqa: S311 - a schedule that can be replayed
    commands.enough.set()
    commands.join()
    tables = kernel_tables(platform.studio.metadata)

    def settled() -> bool:
        with platform.studio.reader() as reader, platform.cinema.reader() as other:
            published = reader.scalar(select(func.count()).select_from(tables.event_archive))
            waiting = reader.scalar(select(func.count()).select_from(tables.outbox))
            applied = other.scalar(select(func.count(effect.c.event_id.distinct())))
        return bool(waiting == 0 and applied >= published)

    eventually(settled, "every published event has its effect", seconds=SETTLE_SECONDS)
    eventually(processes.all_started, "all processes run again")
    assert processes.drain() == [0, 0, 0, 0]
    result = counted(platform, commands)

    sys.stdout.write(f"{result} kills={processes.exits[-signal.SIGKILL]} cut={cut} interrupted={commands.interrupted}\n")
    assert processes.exits == {-signal.SIGKILL: KILLS}, "the kills did not happen as planned"
    assert cut >= CUTS, "no working database session was cut"
    assert len(commands.acknowledged) >= COMMANDS * 0.8
    assert (result.lost, result.duplicates, result.out_of_order, result.phantoms) == (0, 0, 0, 0)


def wreak_havoc(platform: Platform, processes: Processes, schedule: random.Random) -> int:
    """Kill processes and cut database sessions at random moments of their work; how many sessions were cut."""
    cut, pause = 0, threading.Event()
    turns = ["kill"] * KILLS + ["cut"] * CUTS
    schedule.shuffle(turns)
    for turn in turns:
        victim = schedule.choice(NAMES)
        eventually(processes.all_started, "all processes run again")
        pause.wait(schedule.uniform(0.05, 0.6))
        if turn == "kill":
            processes.kill(victim)
        else:
            cut += cut_connections(platform, victim.split("-", maxsplit=1)[0])
    return cut
