"""A relay or a consumer dies between two of its steps, whichever they are; another one takes over and nothing shows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from libs.common import ids
from libs.common.events.consumer import Consumer
from libs.common.events.subscriptions import Subscriptions
from libs.common.events.tests.cinema import publish_cuts, relay_of
from libs.common.events.tests.live import Mood, eventually, running
from libs.common.events.tests.platform import Platform
from tests.faults.counting import FLAWLESS, await_settled, counted
from tests.faults.crashes import CONSUMER_POINTS, RELAY_POINTS, RETRY_POINTS
from tests.faults.process import STUMBLES, stumbling
from tests.faults.processes import Processes

pytestmark = pytest.mark.faults

REELS = 5
CUTS = 12


@pytest.fixture
def stumbles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Mood]:
    """Handlers fail for some events, once, in all processes of the test."""
    folder = tmp_path / "stumbles"
    folder.mkdir()
    monkeypatch.setenv(STUMBLES, str(folder))
    return lambda: Mood(before=stumbling(folder))


def work(bus: Platform) -> None:
    for reel in [ids.new_id() for _ in range(REELS)]:
        publish_cuts(bus, range(CUTS), reel)


@contextmanager
def healthy_consumer(bus: Platform, subscribed: Subscriptions, mood: Mood) -> Iterator[None]:
    consumer = Consumer(bus.cinema, bus.amqp_url, subscribed.queues[0], {Mood: mood})
    with running(consumer.run):
        yield


def await_death(processes: Processes, name: str, point: str) -> None:
    eventually(lambda: processes.crashed(name), point)
    assert processes.said(name, point), "it was killed somewhere else"


def judge(bus: Platform) -> None:
    await_settled(bus)
    result = counted(bus)
    assert (result.published, result.verdict) == (2 * REELS * CUTS, FLAWLESS)


@pytest.mark.parametrize("point", RELAY_POINTS)
def test_nothing_shows_when(point: str, bus: Platform, subscribed: Subscriptions, processes: Processes) -> None:
    work(bus)
    processes.start("relay-1", crash=point)
    with healthy_consumer(bus, subscribed, Mood()):
        await_death(processes, "relay-1", point)
        work(bus)
        with running(*relay_of(bus)):
            judge(bus)


@pytest.mark.parametrize("point", CONSUMER_POINTS)
def test_no_effect_is_lost_or_doubled_when(point: str, bus: Platform, subscribed: Subscriptions, processes: Processes) -> None:
    die_and_take_over(point, bus, subscribed, processes, Mood())


@pytest.mark.parametrize("point", RETRY_POINTS)
def test_a_failed_message_is_retried_once_when(
    point: str, bus: Platform, subscribed: Subscriptions, processes: Processes, stumbles: Callable[[], Mood]
) -> None:
    die_and_take_over(point, bus, subscribed, processes, stumbles())


def die_and_take_over(point: str, bus: Platform, subscribed: Subscriptions, processes: Processes, mood: Mood) -> None:
    with running(*relay_of(bus)):
        work(bus)
        processes.start("consumer-1", crash=point)
        # It meets some points only while more keeps coming.
        work(bus)
        await_death(processes, "consumer-1", point)
        with healthy_consumer(bus, subscribed, mood):
            judge(bus)
