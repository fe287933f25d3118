"""What is to happen to whom and when, drawn from a seed before the run begins: the same seed gives the same schedule."""

import random
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text

from libs.common.db.database import psycopg2_url, single_connection_engine
from libs.common.events.tests.live import eventually
from libs.common.events.tests.platform import Platform, backing
from tests.faults.counting import effects_made
from tests.faults.processes import Processes
from tests.faults.servers import POSTGRES, RABBITMQ, Name, Servers, await_up

RELAYS: Final = ("relay-1", "relay-2")
CONSUMERS: Final = ("consumer-1", "consumer-2")
NAMES: Final = (*RELAYS, *CONSUMERS)
PAUSE_SECONDS: Final = (0.05, 1.2)
FLOW_SECONDS: Final = 60.0
AMID_WORK: Final = 0.7
"""The share of deaths that come amid work; the rest come upon others that are still on their way back."""

RELAY, CONSUMER, BROKER, DATABASE, EVERYTHING, SESSIONS = "relay", "consumer", "broker", "database", "everything", "sessions"


@dataclass(frozen=True)
class Turn:
    """After a pause, kill these at once; or, without any, cut the database sessions of one role."""

    kind: str
    pause_seconds: float
    amid_work: bool
    """Whether it waits until events flow again. Otherwise it strikes while the others are still coming back."""
    processes: tuple[str, ...] = ()
    servers: tuple[Name, ...] = ()
    role: str = ""


def schedule(seed: int, times: Mapping[str, int]) -> list[Turn]:
    """`times` of each kind in a random order, with victims and moments."""
    chosen = random.Random(seed)  # noqa: S311 - a schedule that can be replayed
    kinds = [kind for kind, count in times.items() for _ in range(count)]
    chosen.shuffle(kinds)
    return [_turn(kind, chosen) for kind in kinds]


def _turn(kind: str, chosen: random.Random) -> Turn:
    pause, amid = chosen.uniform(*PAUSE_SECONDS), chosen.random() < AMID_WORK
    match kind:
        case "relay":
            return Turn(kind, pause, amid, processes=(chosen.choice(RELAYS),))
        case "consumer":
            return Turn(kind, pause, amid, processes=(chosen.choice(CONSUMERS),))
        case "broker":
            return Turn(kind, pause, amid, servers=(RABBITMQ,))
        case "database":
            return Turn(kind, pause, amid, servers=(POSTGRES,))
        case "everything":
            return Turn(kind, pause, amid, processes=NAMES, servers=(RABBITMQ, POSTGRES))
        case _:
            return Turn(kind, pause, amid, role=chosen.choice((RELAY, CONSUMER)))


@dataclass
class Havoc:
    """Does what is scheduled and counts what was done."""

    platform: Platform
    processes: Processes
    servers: Servers

    def wreak(self, turns: list[Turn]) -> Counter[str]:
        """One turn after the other; how often each kind was done. Raises AssertionError for a victim that did not die."""
        done: Counter[str] = Counter()
        pause = threading.Event()
        for turn in turns:
            # Nobody is killed who does not run yet.
            victims = turn.processes or tuple(self.processes.alive)
            eventually(lambda victims=victims: all(map(self.processes.started, victims)), "the victims run")  # type: ignore[misc]
            if turn.servers or turn.role or turn.amid_work:
                await_up(self.servers)
            if turn.amid_work:
                self._await_flow()
            pause.wait(turn.pause_seconds)
            if turn.role:
                done["sessions cut"] += cut_sessions(self.platform, turn.role)
            else:
                self._kill(turn)
            done[turn.kind] += 1
        return done

    def _await_flow(self) -> None:
        seen = effects_made(self.platform)
        eventually(lambda: effects_made(self.platform) > seen, "events flow", FLOW_SECONDS)

    def _kill(self, turn: Turn) -> None:
        if not turn.servers:
            self.processes.kill(turn.processes)
            return
        # Side by side: what dies together must not have the time to notice each other's death.
        together = threading.Thread(target=self.processes.kill, args=(turn.processes,), name="kill processes")
        together.start()
        killed = self.servers.kill(turn.servers)
        together.join()
        assert {each.name for each in killed} == set(turn.servers)


def cut_sessions(platform: Platform, application: str) -> int:
    """End the database sessions of one role; how many there were."""
    url = psycopg2_url(backing("DATABASE_URL")).set(database=platform.studio.url.database)
    statement = text(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name LIKE :name || '%'"
    )
    with single_connection_engine(url).connect() as admin:
        ended: int = admin.execute(statement, {"name": application}).scalar_one()
        return ended
