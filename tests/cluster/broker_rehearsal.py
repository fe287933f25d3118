"""The leader of a queue is killed under load, node by node; then two of three at once."""

from dataclasses import dataclass
from pathlib import Path

from libs.common import clock
from libs.common.events.tests.live import eventually
from libs.common.events.tests.platform import Platform
from tests.cluster.brokers import NODES, UP_SECONDS, BrokerCluster, broker_cluster
from tests.cluster.load import TimedCommands, applied_at, flow, loaded_bus, pause_after, queue_of
from tests.faults.counting import Count, await_settled, counted, outbox_depth

SETTLE_SECONDS = 120.0


@dataclass(frozen=True)
class Rehearsed:
    """What came of it."""

    count: Count
    acknowledged: int
    failed_commands: int
    """Commands that got no answer while nodes died."""
    leader_pauses: list[float]
    """For each killed leader, the longest time in seconds without an event taking effect."""
    command_pauses: list[float]
    """The longest time without a command answered, meanwhile."""
    rejoined: list[float]
    """Seconds from starting the dead node again until its replica of the queue is up to date."""
    waiting_without_majority: int
    """Events that waited in the outbox while two of three nodes were dead."""
    recovered_seconds: float
    """From starting these two again until everything that had waited took effect."""


def rehearse(folder: Path, kills: int = NODES) -> Rehearsed:
    """`DATABASE_URL` names the Postgres to use. Raises AssertionError when something is lost or does not come back."""
    with broker_cluster(folder) as cluster, loaded_bus(cluster.url, folder) as (platform, processes):
        commands = TimedCommands(platform)
        commands.start()
        try:
            killed, rejoined = _kill_leaders(cluster, platform, kills)
            waiting, recovered = _kill_majority(cluster, platform)
        finally:
            commands.finish()
        await_settled(platform, commands.acknowledged, SETTLE_SECONDS)
        eventually(processes.all_started, "relays and consumers still run")
        applied = applied_at(platform)
        return Rehearsed(
            counted(platform, commands.acknowledged, commands.taken_back),
            len(commands.acknowledged),
            commands.in_doubt,
            [pause_after(applied, moment, within_seconds=5) for moment in killed],
            [pause_after(commands.moments, moment, within_seconds=5) for moment in killed],
            rejoined,
            waiting,
            recovered,
        )


def _kill_leaders(cluster: BrokerCluster, platform: Platform, kills: int) -> tuple[list, list[float]]:  # type: ignore[type-arg]
    queue, killed, rejoined = queue_of(platform), [], []
    for _ in range(kills):
        flow(platform)
        leader = cluster.leader_of(queue)
        killed.append(clock.now())
        cluster.nodes[leader].kill()
        flow(platform, 4.0)
        other = (leader + 1) % NODES
        assert cluster.leader_of(queue, asked=other) != leader, "the dead node still leads"
        begun = clock.monotonic()
        cluster.nodes[leader].start()
        cluster.await_whole()
        eventually(lambda: len(cluster.queue(queue)["online"]) == NODES, "every replica is online", UP_SECONDS)
        rejoined.append(clock.monotonic() - begun)
    return killed, rejoined


def _kill_majority(cluster: BrokerCluster, platform: Platform) -> tuple[int, float]:
    flow(platform)
    for dying in cluster.nodes[:2]:
        dying.kill()
    eventually(lambda: outbox_depth(platform.studio) > 100, "events wait in the outbox", UP_SECONDS)
    waiting = outbox_depth(platform.studio)
    begun = clock.monotonic()
    for dead in cluster.nodes[:2]:
        dead.start()
    cluster.await_whole()
    flow(platform)
    return waiting, clock.monotonic() - begun
