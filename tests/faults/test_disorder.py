"""Events arrive late, permuted and repeatedly while commands run; each takes effect once and in its turn."""

from collections.abc import Iterator
from typing import Any

import kombu as untyped_kombu
import pytest

from libs.common.events.subscriptions import Subscriptions
from libs.common.events.tests.live import eventually
from libs.common.events.tests.platform import Platform
from tests.faults.commands import Commands
from tests.faults.counting import FLAWLESS, await_settled, counted, outbox_depth
from tests.faults.mixer import Mixer
from tests.faults.processes import Processes
from tests.faults.report import tell

kombu: Any = untyped_kombu

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

PER_SECOND = 100.0
DRAINS_MAX = 5


@pytest.fixture
def mixer(bus: Platform, subscribed: Subscriptions, seed: int) -> Iterator[Mixer]:
    standing = Mixer(bus.amqp_url, subscribed.queues[0], seed)
    yield standing
    standing.close()


def depth(amqp_url: str, queue: str) -> int:
    with kombu.Connection(amqp_url) as connection, connection.channel() as channel:
        found: int = channel.queue_declare(queue, passive=True).message_count
        return found


@pytest.mark.parametrize("count", [pytest.param(300, id="300"), pytest.param(3_000, id="3000", marks=pytest.mark.long)])
def test_events_that_arrive_late_permuted_and_repeatedly_take_effect_once_and_in_order(
    bus: Platform, subscribed: Subscriptions, processes: Processes, mixer: Mixer, seed: int, count: int
) -> None:
    queue = subscribed.queues[0].queue
    for name in ("relay-1", "consumer-1", "consumer-2"):
        processes.start(name)
    eventually(lambda: processes.all_started() and consumers(bus.amqp_url, queue) == 2, "both consumers receive")
    mixer.take_over()
    mixer.start()
    commands = Commands(bus, seed, commands=count, per_second=PER_SECOND)
    commands.start()
    commands.finish()
    eventually(lambda: outbox_depth(bus.studio) == 0, "everything is published")
    mixer.finish()
    await_settled(bus, commands.acknowledged)
    mixer.repeat_all()
    work_off(bus.amqp_url, queue, processes)
    result = counted(bus, commands.acknowledged, commands.taken_back)

    tell(f"{mixer.copies} copies, {mixer.inversions} out of turn; {commands}; {result}; seed {seed}")
    assert mixer.copies > count
    assert mixer.inversions > count / 4
    assert commands.in_doubt == 0
    assert result.verdict == FLAWLESS


def work_off(amqp_url: str, queue: str, processes: Processes) -> None:
    """Until everything in the queue is settled: what a draining consumer had only prefetched goes to another one."""
    for _ in range(DRAINS_MAX):
        eventually(lambda: depth(amqp_url, queue) == 0, "what was repeated is taken")
        assert set(processes.drain()) == {0}
        if depth(amqp_url, queue) == 0:
            return
        processes.start("consumer-1")
        eventually(processes.all_started, "a consumer runs again")
    pytest.fail("the queue does not become empty")


def consumers(amqp_url: str, queue: str) -> int:
    with kombu.Connection(amqp_url) as connection, connection.channel() as channel:
        found: int = channel.queue_declare(queue, passive=True).consumer_count
        return found
