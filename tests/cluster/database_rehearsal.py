"""A primary is killed under load and its standby promoted, there and back; then the only standby dies."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from libs.common import clock
from libs.common.config import process_environment
from libs.common.db.database import psycopg2_url, single_connection_engine
from libs.common.events.tests.live import eventually
from ops.cluster.databases import promote
from tests.cluster.load import TimedCommands, applied_at, flow, loaded_bus, pause_after, timed
from tests.cluster.pair import UP_SECONDS, Pair, database_pair
from tests.faults.counting import Count, await_settled, counted

SETTLE_SECONDS = 120.0
PAUSE_WITHIN_SECONDS = 10
ROWS = 300
"""Commits of one row each, timed one by one."""


@dataclass(frozen=True)
class Rehearsed:
    """What came of it."""

    count: Count
    acknowledged: int
    in_doubt: int
    """Commands whose commit nobody answered: they happened whole or not at all."""
    promoted: list[float]
    """Seconds from the order to promote until the new primary takes commits."""
    command_pauses: list[float]
    """For each primary that died, the longest time without a command acknowledged."""
    effect_pauses: list[float]
    """The longest time without an event taking effect."""
    rewound: list[float]
    """Seconds in which the old primary became a standby that commits wait for."""
    acknowledged_without_standby: int
    """Commands acknowledged while commits were to wait for a standby that was dead: none may be."""
    alone_ms: float
    """The median commit of one row without a standby, in milliseconds."""
    with_standby_ms: float
    """The same when it waits for the standby."""


def rehearse(folder: Path, switches: int = 2) -> Rehearsed:
    """AMQP_URL names the broker to use; DATABASE_URL must be this pair's (see `pair_in_environment`)."""
    with database_pair(folder) as pair, pair_in_environment(pair):
        alone, together = _commit_times(pair)
        with loaded_bus(process_environment()["AMQP_URL"], folder) as (platform, processes):
            commands = TimedCommands(platform)
            commands.start()
            killed: list[datetime] = []
            promoted, rewound = [], []
            try:
                for switch in range(switches):
                    primary, standby = switch % 2, (switch + 1) % 2
                    flow(platform)
                    killed.append(clock.now())
                    pair.processes[primary].kill()
                    promoted.append(promote(pair.url, pair.address(standby))["seconds"])
                    flow(platform, 4.0)
                    rewound.append(timed(lambda: _rejoin(pair, standby, primary)))  # noqa: B023
                waited = _lose_standby(pair, primary=switches % 2, commands=commands)
                flow(platform)
            finally:
                commands.finish()
            await_settled(platform, commands.acknowledged, SETTLE_SECONDS)
            eventually(processes.all_started, "relays and consumers still run")
            applied = applied_at(platform)
            return Rehearsed(
                counted(platform, commands.acknowledged, commands.taken_back),
                len(commands.acknowledged),
                commands.in_doubt,
                promoted,
                [pause_after(commands.moments, moment, within_seconds=PAUSE_WITHIN_SECONDS) for moment in killed],
                [pause_after(applied, moment, within_seconds=PAUSE_WITHIN_SECONDS) for moment in killed],
                rewound,
                waited,
                alone,
                together,
            )


def _rejoin(pair: Pair, primary: int, old: int) -> None:
    pair.rewind(source=primary, to=old)
    pair.wait_for_standby(primary)


def _lose_standby(pair: Pair, primary: int, commands: TimedCommands) -> int:
    """Commands that were acknowledged although their standby was dead."""
    standby = pair.processes[1 - primary]
    standby.kill()
    # What the standby had before it died may be acknowledged still.
    eventually(lambda: not pair.examined(primary).standbys, "the primary misses its standby", UP_SECONDS)
    before = len(commands.moments)
    threading.Event().wait(3)
    waited = len(commands.moments) - before
    standby.start()
    eventually(lambda: len(commands.moments) > before + 50, "commands are acknowledged again", UP_SECONDS)
    return waited


def _commit_times(pair: Pair) -> tuple[float, float]:
    with single_connection_engine(pair.url).connect() as connection:
        connection.execute(text("CREATE TABLE measured (id bigserial PRIMARY KEY)"))
        connection.execute(text("SET synchronous_commit = local"))
        _median_commit(connection)  # warm
        alone = _median_commit(connection)
        connection.execute(text("SET synchronous_commit = on"))
        return alone, _median_commit(connection)


def _median_commit(connection: Connection) -> float:
    times = sorted(timed(lambda: connection.execute(text("INSERT INTO measured DEFAULT VALUES"))) for _ in range(ROWS))
    return times[ROWS // 2] * 1_000


@contextmanager
def pair_in_environment(pair: Pair) -> Iterator[None]:
    """DATABASE_URL names the pair for as long as the block takes."""
    with pytest.MonkeyPatch.context() as changes:
        changes.setenv("DATABASE_URL", psycopg2_url(pair.url).render_as_string(hide_password=False))
        yield
