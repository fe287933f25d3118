"""The bus: what database and exactly-once effects cost on top of RabbitMQ itself."""

import sys
import threading
from collections.abc import Callable
from uuid import UUID

from sqlalchemy import select

from bench.figures import Figure, NothingMeasured, against, limit, percentile
from bench.timing import MILLISECONDS, bounded
from libs.common import clock
from libs.common.db import Database, Transaction, kernel_tables
from libs.common.events import Envelope, Recipient, on
from libs.common.events.broker import Outgoing, PipelinedPublisher, open_session, subscribe
from libs.common.events.consumer import BATCH_EVENTS as CONSUMED_TOGETHER
from libs.common.events.consumer import BATCH_IDLE_SECONDS, PREFETCH, Consumer
from libs.common.events.personal import generate_key_pair
from libs.common.events.relay import BATCH_EVENTS as PUBLISHED_TOGETHER
from libs.common.events.relay import CONFIRM_SECONDS
from libs.common.events.subscriptions import Subscriptions, collect
from libs.common.events.tests.cinema import relay_of, stored
from libs.common.events.tests.live import Noted, record, running
from libs.common.events.tests.platform import Platform, backing, databases, forget
from libs.common.ids import new_id

EVENTS_A_SECOND = 1_000
NOTE = "n" * 600
"""Makes an event of about a kilobyte."""
PACE_SECONDS = 1 / 50
POLL_SECONDS = 0.01
WAIT_SECONDS = 20.0


class Moments:
    """When each event was about to be committed by its producer, and when its effect was committed by its consumer."""

    def __init__(self) -> None:
        self.sent: dict[UUID, float] = {}
        self.done: dict[UUID, float] = {}

    def applied(self, event_id: UUID) -> None:
        """The effect of this event is committed."""
        self.done[event_id] = clock.monotonic()


@on(Noted)
def keep(event: Noted, tx: Transaction, envelope: Envelope, moments: Moments) -> None:
    """The effect: one row."""
    record(tx, envelope, len(event.note))
    tx.after_commit(lambda: moments.applied(envelope.id))


def measure(seconds: float) -> list[Figure]:
    """Events a second of each half, and the time across both at a steady pace; all loops run in threads of this process."""
    amqp_url, count = backing("AMQP_URL"), int(EVENTS_A_SECOND * seconds)
    consumer = f"bench_{new_id().hex[-10:]}"
    subscribed = collect(consumer, [sys.modules[__name__]])
    with bounded(), databases(Recipient(generate_key_pair()[1])) as (studio, cinema):
        platform = Platform(studio, cinema, amqp_url, consumer)
        try:
            subscribe(amqp_url, subscribed)
            return [*_throughput(platform, subscribed, count), *_latency(platform, subscribed, seconds)]
        finally:
            forget(amqp_url, subscribed)


def _throughput(platform: Platform, subscribed: Subscriptions, count: int) -> list[Figure]:
    confirmed = _publish_plainly(platform, count)
    taken = _take_plainly(platform, subscribed, count)
    relayed = _relay(platform, count)
    applied = _apply(platform, subscribed, count)
    publishing = limit("RabbitMQ alone: pipelined publishing, confirmed", count / confirmed, "events/s")
    consuming = limit("RabbitMQ alone: consuming in batches", count / taken, "events/s")
    return [
        publishing,
        against(publishing, "relay: outbox → confirmed, archived, removed", count / relayed),
        consuming,
        against(consuming, "consumer: inbox row and one effect each", count / applied),
    ]


def _publish_plainly(platform: Platform, count: int) -> float:
    """Seconds to publish and confirm as many messages of the same size and kind, from memory."""
    event = Outgoing("", Noted.event_type, _sample_body(platform))
    batches = [[event] * min(PUBLISHED_TOGETHER, count - start) for start in range(0, count, PUBLISHED_TOGETHER)]
    publisher = PipelinedPublisher(platform.amqp_url, platform.consumer)
    publisher.open()
    try:
        begun = clock.monotonic()
        for batch in batches:
            publisher.publish(batch, timeout_seconds=CONFIRM_SECONDS)
        return clock.monotonic() - begun
    finally:
        publisher.close()


def _sample_body(platform: Platform) -> bytes:
    """An event as the outbox holds it."""
    _commit_notes(platform.studio, 1)
    outbox = kernel_tables(platform.studio.metadata).outbox
    with platform.studio.transaction() as tx:
        body = bytes(tx.one(select(outbox.c.body)).body)
        tx.execute(outbox.delete())
    return body


def _take_plainly(platform: Platform, subscribed: Subscriptions, count: int) -> float:
    """Seconds to receive and acknowledge as many messages, in batches, without looking at them."""
    deadline, taken = clock.monotonic() + WAIT_SECONDS, 0
    with open_session(platform.amqp_url) as session:
        begun = clock.monotonic()
        session.consume(subscribed.queues[0].queue, prefetch=PREFETCH)
        while taken < count and clock.monotonic() < deadline:
            batch = session.receive(CONSUMED_TOGETHER, wait_seconds=1, idle_seconds=BATCH_IDLE_SECONDS)
            if batch:
                session.settle_until(batch[-1].tag)
            taken += len(batch)
        took = clock.monotonic() - begun
    if taken < count:
        raise NothingMeasured(f"Of {count} messages {taken} arrived within {WAIT_SECONDS:.0f} s.")
    return took


def _relay(platform: Platform, count: int) -> float:
    """Seconds from a commit of many events until the broker has them all and the outbox is empty."""

    def empty() -> bool:
        return stored(platform.studio, "outbox") == 0

    with running(*relay_of(platform)):
        _commit_notes(platform.studio, 1)
        _await("the relay to publish", empty)
        _commit_notes(platform.studio, count)
        begun = clock.monotonic()
        _await("the outbox to be empty", empty)
        return clock.monotonic() - begun


def _commit_notes(studio: Database, count: int) -> None:
    with studio.transaction() as tx:
        for _ in range(count):
            tx.publish(Noted(reel_id=new_id(), note=NOTE))


def _apply(platform: Platform, subscribed: Subscriptions, count: int) -> float:
    """Seconds from the consumer's readiness, with a full queue, until every effect is committed."""
    moments = Moments()
    consumer = Consumer(platform.cinema, platform.amqp_url, subscribed.queues[0], {Moments: moments})
    with running(consumer.run):
        _await("the consumer", consumer.consuming.is_set)
        begun = clock.monotonic()
        _await("every effect", lambda: len(moments.done) >= count)
    return max(moments.done.values()) - begun


def _latency(platform: Platform, subscribed: Subscriptions, seconds: float) -> list[Figure]:
    plain = _confirm_one_by_one(platform, subscribed, seconds)
    moments = Moments()
    consumer = Consumer(platform.cinema, platform.amqp_url, subscribed.queues[0], {Moments: moments})
    with running(consumer.run, *relay_of(platform)):
        _await("the consumer", consumer.consuming.is_set)
        _at_a_steady_pace(platform.studio, moments, seconds)
        _await("the last effect", lambda: moments.sent.keys() <= moments.done.keys())
    across = [(moments.done[each] - begun) * MILLISECONDS for each, begun in moments.sent.items()]
    base = limit("RabbitMQ alone: one event published and confirmed, p50", percentile(plain, 50), "ms")
    return [
        base,
        against(base, "commit → another service's commit at 50/s, p50", percentile(across, 50)),
        against(base, "commit → another service's commit at 50/s, p99", percentile(across, 99)),
    ]


def _confirm_one_by_one(platform: Platform, subscribed: Subscriptions, seconds: float) -> list[float]:
    """Milliseconds of each of some messages at the same pace; they are taken away again."""
    event = Outgoing("", Noted.event_type, _sample_body(platform))
    publisher, pause, took = PipelinedPublisher(platform.amqp_url, platform.consumer), threading.Event(), list[float]()
    publisher.open()
    try:
        deadline = clock.monotonic() + seconds
        while not took or clock.monotonic() < deadline:
            begun = clock.monotonic()
            publisher.publish([event], timeout_seconds=CONFIRM_SECONDS)
            took.append((clock.monotonic() - begun) * MILLISECONDS)
            pause.wait(PACE_SECONDS)
    finally:
        publisher.close()
    _take_plainly(platform, subscribed, len(took))
    return took


def _at_a_steady_pace(studio: Database, moments: Moments, seconds: float) -> None:
    pause, begun = threading.Event(), clock.monotonic()
    for number in range(max(1, int(seconds / PACE_SECONDS))):
        pause.wait(max(0.0, begun + number * PACE_SECONDS - clock.monotonic()))
        with studio.transaction() as tx:
            event_id = tx.publish(Noted(reel_id=new_id(), note=NOTE))
            moments.sent[event_id] = clock.monotonic()


def _await(what: str, condition: Callable[[], bool]) -> None:
    deadline, pause = clock.monotonic() + WAIT_SECONDS, threading.Event()
    while not condition():
        if clock.monotonic() > deadline:
            raise NothingMeasured(f"Waited {WAIT_SECONDS:.0f} s in vain for {what}.")
        pause.wait(POLL_SECONDS)
