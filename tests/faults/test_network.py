"""The broker refuses, is blocked, slow, cut off or mute: commands go on, readiness says so, and afterwards all is well."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from libs.common.events.subscriptions import Subscriptions
from libs.common.events.tests.live import Mood, eventually, subscriptions
from libs.common.events.tests.platform import Platform
from libs.common.worker import Worker
from tests.faults.commands import Commands
from tests.faults.counting import FLAWLESS, await_settled, counted, outbox_depth
from tests.faults.proxy import FINE, Proxy, Weather
from tests.faults.report import tell
from tests.faults.servers import MEMORY_ALARM, MEMORY_ENOUGH, RABBITMQ, Servers, await_up

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

HEARTBEAT_SECONDS = 2
PER_SECOND = 40.0
COMMANDS = 200
GROWN = 40
"""So many events wait in the outbox before a disturbance is taken to be one."""
CUTS = 8
SLOW = Weather(delay_seconds=0.05, piece_bytes=2_048)
"""40 KB a second in each direction of a connection, and a tenth of a second for each answer."""


class Bus:
    """Workers of producer and consumer as their processes run them, and commands."""

    def __init__(self, platform: Platform, workers: tuple[Worker, ...], seed: int) -> None:
        self.platform = platform
        self.workers = workers
        self.commands = Commands(platform, seed, commands=COMMANDS, per_second=PER_SECOND)

    def statuses(self) -> set[str]:
        return {str(each.health()["status"]) for each in self.workers}

    def ready(self) -> bool:
        return self.statuses() == {"ready"}

    def await_degraded_and_grown(self) -> None:
        """Until both workers say that they are degraded while the outbox grows and commands succeed."""
        eventually(lambda: outbox_depth(self.platform.studio) >= GROWN, "the outbox grows")
        acknowledged = len(self.commands.acknowledged)
        eventually(lambda: len(self.commands.acknowledged) > acknowledged + GROWN, "commands go on")

    def judge(self, what: str) -> None:
        """Let everything flow, and count."""
        self.commands.finish()
        await_settled(self.platform, self.commands.acknowledged)
        eventually(self.ready, "both workers are ready again")
        result = counted(self.platform, self.commands.acknowledged, self.commands.taken_back)
        tell(f"{what}: {self.commands}; {result}")
        assert self.commands.in_doubt == 0, "a command failed although only the broker was in trouble"
        assert result.verdict == FLAWLESS


@contextmanager
def working(platform: Platform, subscribed: Subscriptions, amqp_url: str, seed: int) -> Iterator[Bus]:
    """Both workers ready and commands running."""
    studio = Worker(platform.studio, amqp_url, subscriptions=subscriptions("nobody"))
    cinema = Worker(platform.cinema, amqp_url, subscriptions=subscribed, resources={Mood: Mood()})
    bus = Bus(platform, (studio, cinema), seed)
    for worker in bus.workers:
        worker.start()
    try:
        eventually(bus.ready, "both workers are ready")
        bus.commands.start()
        try:
            yield bus
        finally:
            bus.commands.finish()
    finally:
        for worker in bus.workers:
            assert worker.stop(), "a worker did not stop in time"


@pytest.fixture
def proxy(servers: Servers) -> Iterator[Proxy]:
    with Proxy(servers.amqp_port) as standing:
        yield standing


@pytest.mark.long
def test_commands_go_on_while_the_broker_refuses_connections_and_everything_arrives_afterwards(
    servers: Servers, bus: Platform, subscribed: Subscriptions, seed: int
) -> None:
    with working(bus, subscribed, bus.amqp_url, seed) as work:
        servers.stop(RABBITMQ)
        eventually(lambda: work.statuses() == {"degraded"}, "both workers are degraded")
        work.await_degraded_and_grown()
        assert work.statuses() == {"degraded"}
        servers.start(RABBITMQ)
        await_up(servers)
        work.judge("broker refused")


@pytest.mark.long
def test_commands_go_on_while_a_memory_alarm_blocks_publishers_and_everything_arrives_afterwards(
    servers: Servers, bus: Platform, subscribed: Subscriptions, seed: int
) -> None:
    with working(bus, subscribed, bus.amqp_url, seed) as work:
        studio = work.workers[0]
        servers.alarm(MEMORY_ALARM)
        try:
            work.await_degraded_and_grown()
            eventually(lambda: studio.health()["status"] == "degraded", "the producer's worker is degraded")
        finally:
            servers.alarm(MEMORY_ENOUGH)
        work.judge("broker blocked")


@pytest.mark.long
def test_everything_arrives_once_and_in_order_through_a_slow_network(
    bus: Platform, subscribed: Subscriptions, proxy: Proxy, seed: int
) -> None:
    with working(bus, subscribed, proxy.url(bus.amqp_url, HEARTBEAT_SECONDS), seed) as work:
        before = proxy.passed_bytes
        proxy.weather(SLOW)
        eventually(lambda: work.commands.answered >= COMMANDS / 2, "half of the commands ran through slow weather")
        assert proxy.passed_bytes > before, "nothing went through the proxy"
        work.judge("network slow")


@pytest.mark.long
def test_everything_arrives_once_and_in_order_when_connections_are_cut_again_and_again(
    bus: Platform, subscribed: Subscriptions, proxy: Proxy, seed: int
) -> None:
    chosen, pause = random.Random(seed), threading.Event()  # noqa: S311 - to be replayed
    cut = 0
    with working(bus, subscribed, proxy.url(bus.amqp_url, HEARTBEAT_SECONDS), seed) as work:
        for _ in range(CUTS):
            eventually(work.ready, "both workers are back")
            pause.wait(chosen.uniform(0.0, 0.5))
            cut += proxy.cut()
        work.judge(f"connections cut ({cut})")
    assert cut >= CUTS * 2, "there was little to cut"


@pytest.mark.long
def test_connections_that_fall_silent_without_closing_are_given_up_and_everything_arrives_afterwards(
    bus: Platform, subscribed: Subscriptions, proxy: Proxy, seed: int
) -> None:
    with working(bus, subscribed, proxy.url(bus.amqp_url, HEARTBEAT_SECONDS), seed) as work:
        proxy.weather(Weather(mute=True))
        eventually(lambda: work.statuses() == {"degraded"}, "both workers notice the silence")
        work.await_degraded_and_grown()
        proxy.weather(FINE)
        work.judge("network mute")
