"""Broker, database, relays and consumers are killed at random moments, alone and all together, while commands run."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from libs.common.events.tests.live import eventually
from libs.common.events.tests.platform import Platform
from tests.faults.commands import Commands
from tests.faults.counting import FLAWLESS, await_settled, counted
from tests.faults.processes import Processes
from tests.faults.report import tell
from tests.faults.schedule import BROKER, CONSUMER, DATABASE, EVERYTHING, NAMES, RELAY, SESSIONS, Havoc, schedule
from tests.faults.servers import Servers, await_up

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]


@dataclass(frozen=True)
class Run:
    """How many commands at which pace, and how often each kind of death comes."""

    commands: int
    per_second: float
    times: Mapping[str, int]


SMALL = Run(500, 45.0, {RELAY: 3, CONSUMER: 3, BROKER: 1, DATABASE: 1, EVERYTHING: 1, SESSIONS: 2})
LONG = Run(5_000, 60.0, {RELAY: 10, CONSUMER: 10, BROKER: 4, DATABASE: 5, EVERYTHING: 3, SESSIONS: 4})


@pytest.mark.parametrize("run", [pytest.param(SMALL, id="500"), pytest.param(LONG, id="5000", marks=pytest.mark.long)])
def test_nothing_is_lost_doubled_or_out_of_order_when_broker_database_relays_and_consumers_are_killed(
    servers: Servers, bus: Platform, processes: Processes, seed: int, run: Run
) -> None:
    for name in NAMES:
        processes.start(name)
    eventually(processes.all_started, "all processes run")
    commands = Commands(bus, seed, commands=run.commands, per_second=run.per_second)
    commands.start()
    try:
        done = Havoc(bus, processes, servers).wreak(schedule(seed, run.times))
    finally:
        commands.finish()
    await_up(servers)
    await_settled(bus, commands.acknowledged)
    eventually(processes.all_started, "all processes run again")
    assert processes.drain() == [0, 0, 0, 0]
    result = counted(bus, commands.acknowledged, commands.taken_back)

    deaths = ", ".join(f"{kind} {done[kind]}" for kind in run.times)
    tell(f"{commands}; killed: {deaths}; {result}; seed {seed}")
    assert {kind: done[kind] for kind in run.times} == run.times, "the kills did not happen as planned"
    assert processes.kills == {
        RELAY: run.times[RELAY] + 2 * run.times[EVERYTHING],
        CONSUMER: run.times[CONSUMER] + 2 * run.times[EVERYTHING],
    }
    assert done["sessions cut"] >= run.times[SESSIONS], "no working database session was cut"
    assert commands.answered >= run.commands
    assert result.verdict == FLAWLESS
