"""A message ends every consumer that takes it, or the database refuses for long: nobody else pays for it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from libs.common import ids
from libs.common.events import Envelope
from libs.common.events.backoff import Backoff
from libs.common.events.consumer import Consumer
from libs.common.events.failures import DatabaseGone
from libs.common.events.subscriptions import Subscriptions
from libs.common.events.tests.cinema import publish_cuts, relay_of
from libs.common.events.tests.live import Mood, eventually, running
from libs.common.events.tests.platform import Platform
from libs.common.events.topology import DELIVERY_LIMIT
from tests.faults.counting import FLAWLESS, await_settled, counted, effects_made, outbox_depth

pytestmark = pytest.mark.faults

REELS = 40
GUILTY = 25
"""Its place in the queue."""
CRASHES_MAX = 2 * DELIVERY_LIMIT


class Died(BaseException):
    """The process is no more: nothing catches this, as nothing catches SIGKILL."""


@contextmanager
def published(bus: Platform) -> Iterator[list[str]]:
    """One event of each of many aggregates, all in the queue."""
    reels = [publish_cuts(bus, range(1), ids.new_id()) for _ in range(REELS)]
    with running(*relay_of(bus)):
        eventually(lambda: outbox_depth(bus.studio) == 0, "all is published")
        yield reels


def hasty(bus: Platform, subscribed: Subscriptions, mood: Mood) -> Consumer:
    """A consumer that waits for next to nothing between attempts."""
    consumer = Consumer(bus.cinema, bus.amqp_url, subscribed.queues[0], {Mood: mood})
    consumer._backoff = Backoff(0.001, 0.002)
    return consumer


def test_a_message_that_ends_its_consumer_becomes_a_dead_letter_and_takes_no_other_with_it(
    bus: Platform, subscribed: Subscriptions
) -> None:
    with published(bus) as reels:
        guilty = reels[GUILTY]
        deaths = 0

        def before(envelope: Envelope) -> None:
            if envelope.subject == guilty:
                raise Died

        mood = Mood(before=before)
        dead: list[str] = []
        while not dead and deaths < CRASHES_MAX:
            consumer, stopping = hasty(bus, subscribed, mood), threading.Event()
            watch = threading.Thread(target=_stop_when_through, args=(bus, stopping))
            watch.start()
            with suppress(Died):
                consumer.run(stopping)
                deaths -= 1
            deaths += 1
            stopping.set()
            watch.join()
            dead += [Envelope.decode(body).subject for body, _ in bus.dead_letters(subscribed.queues[0])]
        assert dead == [guilty]
        assert effects_made(bus) == REELS - 1


def _stop_when_through(bus: Platform, stopping: threading.Event) -> None:
    while effects_made(bus) < REELS - 1:
        if stopping.wait(0.05):
            return
    stopping.wait(0.2)
    stopping.set()


def test_a_database_that_refuses_for_long_makes_no_dead_letter(bus: Platform, subscribed: Subscriptions) -> None:
    refusals = 0

    def before(_: Envelope) -> None:
        nonlocal refusals
        refusals += 1
        if refusals <= CRASHES_MAX:
            raise DatabaseGone("DiskFull")

    with published(bus), running(hasty(bus, subscribed, Mood(before=before)).run):
        await_settled(bus)
    assert refusals > CRASHES_MAX
    assert bus.dead_letters(subscribed.queues[0]) == []
    assert counted(bus).verdict == FLAWLESS
