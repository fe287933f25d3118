"""From one service's commit to another's, through a real broker."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from uuid import UUID

import orjson
import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from libs.common import ids
from libs.common.db import Database, kernel_tables
from libs.common.db.locks import AdvisoryLocks
from libs.common.errors import Conflict, Permanent, Unavailable
from libs.common.events import Envelope
from libs.common.events.broadcast import Broadcast
from libs.common.events.broker import BrokerUnavailable, Outgoing, PipelinedPublisher, declare, subscribe
from libs.common.events.consumer import Consumer
from libs.common.events.envelope import schema_address
from libs.common.events.listener import Listener
from libs.common.events.outbox import CHANNEL
from libs.common.events.relay import LOCK, Relay
from libs.common.events.subscriptions import Subscriptions
from libs.common.events.tests.live import (
    Alarmed,
    Cut,
    Labelled,
    Mood,
    Sold,
    effects,
    eventually,
    leave,
    running,
    seat,
    show,
    subscriptions,
)
from libs.common.events.tests.platform import Platform, forget
from libs.common.events.topology import RETRY_DELAYS_MS, UNROUTABLE_QUEUE, Topology
from libs.common.worker import Worker


class Cinema:
    """A consumer service on the platform, with `replicas` processes' worth of consumers."""

    def __init__(self, platform: Platform, subscribed: Subscriptions) -> None:
        self.platform = platform
        self.subscribed = subscribed
        self.subscription = subscribed.queues[0]
        self.mood = Mood()

    def effects(self) -> list[tuple[str, int]]:
        return effects(self.platform.cinema)

    def consumer(self) -> Consumer:
        return Consumer(self.platform.cinema, self.platform.amqp_url, self.subscription, {Mood: self.mood})


@contextmanager
def cinema(platform: Platform, handler: object, *, replicas: int = 1) -> Iterator[Cinema]:
    subscribed = subscriptions(platform.consumer, handler)  # type: ignore[arg-type]
    service = Cinema(platform, subscribed)
    subscribe(platform.amqp_url, subscribed)
    consumers = [service.consumer() for _ in range(replicas)]
    try:
        with running(*(each.run for each in consumers), *relay_of(platform)):
            eventually(lambda: all(each.consuming.is_set() for each in consumers), "consumers receive")
            yield service
    finally:
        forget(platform.amqp_url, subscribed)


def relay_of(platform: Platform) -> tuple[Callable[[threading.Event], None], ...]:
    listener = Listener(platform.studio)
    relay = Relay(platform.studio, platform.amqp_url, AdvisoryLocks(platform.studio))
    listener.subscribe(CHANNEL, lambda _: relay.wake())
    return relay.run, listener.run


def publish_cuts(platform: Platform, numbers: range, reel: UUID | None = None) -> str:
    reel = reel or ids.new_id()
    with platform.studio.transaction() as tx:
        for number in numbers:
            tx.publish(Cut(reel_id=reel, number=number))
    return str(reel)


def stored(database: Database, table: str) -> int:
    with database.reader() as reader:
        rows: int = reader.scalar(select(func.count()).select_from(getattr(kernel_tables(database.metadata), table)))
        return rows


def test_what_one_service_commits_another_applies_once_and_in_order(platform: Platform) -> None:
    with cinema(platform, show) as service:
        reel = publish_cuts(platform, range(250))

        eventually(lambda: len(service.effects()) >= 250, "all effects")

    assert service.effects() == [(reel, sequence) for sequence in range(1, 251)]
    assert stored(platform.studio, "outbox") == 0
    assert stored(platform.studio, "event_archive") == 250


def test_many_replicas_keep_the_order_of_each_aggregate(platform: Platform) -> None:
    with cinema(platform, show, replicas=3) as service:
        reels = [ids.new_id() for _ in range(5)]
        for start in range(0, 40, 4):
            for reel in reels:
                publish_cuts(platform, range(start, start + 4), reel)
        eventually(lambda: len(service.effects()) >= 200, "all effects")

    for reel in reels:
        assert [sequence for subject, sequence in service.effects() if subject == str(reel)] == list(range(1, 41))
    assert stored(platform.cinema, "parked_events") == 0


def test_a_message_delivered_twice_by_the_broker_changes_once(platform: Platform) -> None:
    with cinema(platform, seat) as service:
        with platform.studio.transaction() as tx:
            ticket = ids.new_id()
            tx.publish(Sold(ticket_id=ticket, number=1))
        eventually(lambda: len(service.effects()) == 1, "the effect")
        archive = kernel_tables(platform.studio.metadata).event_archive
        with platform.studio.reader() as reader:
            again = bytes(reader.scalar(select(archive.c.body)))
        platform.inject(service.subscription, again)
        with platform.studio.transaction() as tx:
            tx.publish(Sold(ticket_id=ids.new_id(), number=2))
        eventually(lambda: len(service.effects()) >= 2, "the next effect")

    assert len(service.effects()) == 2


def test_what_overtakes_is_parked_in_the_database_and_applied_in_turn(platform: Platform) -> None:
    with cinema(platform, show) as service:
        reel = ids.new_id()
        bodies = [envelope_of(reel, sequence).encode() for sequence in (3, 2)]
        for body in bodies:
            platform.inject(service.subscription, body)
        eventually(lambda: stored(platform.cinema, "parked_events") == 2, "both parked")
        assert service.effects() == []

        platform.inject(service.subscription, envelope_of(reel, 1).encode())
        eventually(lambda: len(service.effects()) == 3, "all effects")

    assert service.effects() == [(str(reel), 1), (str(reel), 2), (str(reel), 3)]


def envelope_of(reel: UUID, sequence: int, version: int = 1) -> Envelope:
    """An event as another process of the producer would have published it."""
    fact = Cut(reel_id=reel, number=sequence)
    return Envelope.model_validate(
        {
            "id": ids.new_id(),
            "source": f"/services/{Cut.service()}",
            "type": Cut.event_type,
            "subject": str(reel),
            "time": "2026-01-02T03:04:05Z",
            "dataschema": schema_address(Cut.event_type, version),
            "sequence": sequence,
            "correlation_id": "test",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
            "data": fact.wire_data(None),
        },
        strict=False,
    )


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Permanent("the reel does not exist"), "the reel does not exist"),
        (Conflict("the film is closed"), "the film is closed"),
    ],
)
def test_a_permanent_failure_goes_to_the_dead_letters_with_its_reason_while_others_flow(
    platform: Platform, error: Exception, reason: str
) -> None:
    poison = ids.new_id()

    def refuse(envelope: Envelope) -> None:
        if envelope.subject == str(poison):
            raise error

    with cinema(platform, seat) as service:
        service.mood.before = refuse
        with platform.studio.transaction() as tx:
            for number, ticket in enumerate([ids.new_id(), poison, ids.new_id()]):
                tx.publish(Sold(ticket_id=ticket, number=number))
        eventually(lambda: len(service.effects()) == 2, "the others")
        ((body, headers),) = waited_dead_letters(service, 1)

    assert Envelope.decode(body).subject == str(poison)
    assert headers["x-reason"] == reason
    assert headers["x-error"] == type(error).__name__
    assert headers["x-attempts"] == 1
    assert headers["x-event-id"] == str(Envelope.decode(body).id)


def waited_dead_letters(service: Cinema, count: int) -> list[tuple[bytes, dict[str, object]]]:
    found: list[tuple[bytes, dict[str, object]]] = []

    def arrived() -> bool:
        found.extend(service.platform.dead_letters(service.subscription))
        return len(found) >= count

    eventually(arrived, f"{count} dead letters")
    return found


@pytest.mark.parametrize("body", [b"not json", b"{}", b"\xff\xfe"])
def test_what_is_no_event_goes_to_the_dead_letters(platform: Platform, body: bytes) -> None:
    with cinema(platform, seat) as service:
        platform.inject(service.subscription, body)
        ((dead, headers),) = waited_dead_letters(service, 1)

    assert dead == body
    assert headers["x-error"] == "MalformedEvent"


def test_an_unknown_major_version_goes_to_the_dead_letters_with_what_to_do(platform: Platform) -> None:
    with cinema(platform, show) as service:
        platform.inject(service.subscription, envelope_of(ids.new_id(), 1, version=2).encode())
        ((_, headers),) = waited_dead_letters(service, 1)

    assert "upgrade the consumer" in str(headers["x-reason"])
    assert str(headers["traceparent"]).startswith("00-0af7651916cd43dd8448eb211c80319c")


def test_a_field_added_by_a_newer_producer_is_ignored(platform: Platform) -> None:
    with cinema(platform, show) as service:
        wire = orjson.loads(envelope_of(ids.new_id(), 1).encode())
        wire["data"]["colour"] = "blue"
        platform.inject(service.subscription, orjson.dumps(wire))
        eventually(lambda: len(service.effects()) == 1, "the effect")


@pytest.mark.parametrize("error", [Unavailable("the projector warms up"), RuntimeError("a film tear")])
def test_a_transient_failure_is_mended_by_the_retry_ladder(platform: Platform, error: Exception) -> None:
    attempts: list[str] = []

    def warm_up(envelope: Envelope) -> None:
        attempts.append(envelope.subject)
        if len(attempts) <= 4:
            raise error

    with cinema(platform, seat) as service:
        service.mood.before = warm_up
        with platform.studio.transaction() as tx:
            tx.publish(Sold(ticket_id=ids.new_id(), number=1))
        eventually(lambda: len(service.effects()) == 1, "the effect after retries")
        assert platform.take(service.subscription.dead_letter_queue) == []

    # Together and alone for each delivery: the third delivery succeeds.
    assert len(attempts) == 5


def test_a_retried_event_keeps_its_turn(platform: Platform) -> None:
    failures = iter([RuntimeError("once"), RuntimeError("twice")])

    def stumble(envelope: Envelope) -> None:
        if envelope.sequence == 2 and (failure := next(failures, None)):
            raise failure

    with cinema(platform, show) as service:
        service.mood.before = stumble
        reel = publish_cuts(platform, range(5))
        eventually(lambda: len(service.effects()) == 5, "all effects")

    assert service.effects() == [(reel, sequence) for sequence in range(1, 6)]


def test_a_dead_letter_of_an_ordered_subscription_holds_its_own_aggregate_only_and_a_redelivery_frees_it(
    platform: Platform,
) -> None:
    broken = threading.Event()
    broken.set()
    held = ids.new_id()

    def refuse(envelope: Envelope) -> None:
        if broken.is_set() and envelope.subject == str(held) and envelope.sequence == 2:
            raise Permanent("the second reel is torn")

    with cinema(platform, show) as service:
        service.mood.before = refuse
        publish_cuts(platform, range(4), held)
        free = publish_cuts(platform, range(4))
        eventually(lambda: len(service.effects()) == 5, "the free aggregate and the first of the held one")
        ((body, _),) = waited_dead_letters(service, 1)
        eventually(lambda: stored(platform.cinema, "parked_events") == 2, "the held ones are parked")
        assert [sequence for subject, sequence in service.effects() if subject == free] == [1, 2, 3, 4]

        broken.clear()
        platform.inject(service.subscription, body)
        eventually(lambda: len(service.effects()) == 8, "the held aggregate goes on")

    assert [sequence for subject, sequence in service.effects() if subject == str(held)] == [1, 2, 3, 4]
    assert stored(platform.cinema, "parked_events") == 0


def test_a_parked_event_that_fails_in_its_turn_is_to_blame_alone(platform: Platform) -> None:
    reel = ids.new_id()

    def refuse(envelope: Envelope) -> None:
        if envelope.sequence == 2:
            raise Permanent("torn")

    with cinema(platform, show) as service:
        service.mood.before = refuse
        platform.inject(service.subscription, envelope_of(reel, 2).encode())
        eventually(lambda: stored(platform.cinema, "parked_events") == 1, "the second is parked")
        platform.inject(service.subscription, envelope_of(reel, 1).encode())
        ((body, _),) = waited_dead_letters(service, 1)

    assert service.effects() == [(str(reel), 1)]
    assert Envelope.decode(body).sequence == 2
    assert stored(platform.cinema, "parked_events") == 0


def test_an_event_without_a_handler_advances_the_gate(platform: Platform) -> None:
    with cinema(platform, show) as service:
        reel = ids.new_id()
        with platform.studio.transaction() as tx:
            tx.publish(Labelled(reel_id=reel))
            tx.publish(Cut(reel_id=reel, number=1))
        eventually(lambda: service.effects() == [(str(reel), 2)], "the cut after the label")


def test_a_broadcast_reaches_every_process(platform: Platform) -> None:
    subscribed = subscriptions(platform.consumer, leave)
    moods = [Mood(), Mood(), Mood()]
    connected: list[int] = []
    ears = [
        Broadcast(
            platform.amqp_url,
            platform.consumer,
            subscribed.broadcasts,
            {Mood: mood},
            on_connected=lambda: connected.append(1),
        )
        for mood in moods
    ]
    with running(*(ear.run for ear in ears), *relay_of(platform)):
        eventually(lambda: all(ear.receiving.is_set() for ear in ears), "all listen")
        with platform.studio.transaction() as tx:
            event_id = tx.publish(Alarmed(alarm_id=ids.new_id()))
        eventually(lambda: all(len(mood.heard) == 1 for mood in moods), "all heard it")

    assert [mood.heard[0].id for mood in moods] == [event_id] * 3
    assert len(connected) == 3


def test_a_broadcast_that_fails_in_one_handler_does_not_end_the_listening(platform: Platform) -> None:
    mood = Mood()

    def stumble_once(_envelope: Envelope) -> None:
        mood.before = lambda _: None
        raise RuntimeError("once")

    mood.before = stumble_once
    ear = Broadcast(platform.amqp_url, platform.consumer, subscriptions(platform.consumer, leave).broadcasts, {Mood: mood})
    with running(ear.run, *relay_of(platform)):
        eventually(ear.receiving.is_set, "it listens")
        for _ in range(2):
            with platform.studio.transaction() as tx:
                tx.publish(Alarmed(alarm_id=ids.new_id()))
        eventually(lambda: len(mood.heard) == 1, "the second was heard")


def test_a_lost_database_blames_no_message(platform: Platform) -> None:
    outages = iter([1, 2, 3])

    def lose_database(_envelope: Envelope) -> None:
        if next(outages, None):
            raise OperationalError("SELECT 1", {}, Exception("server closed the connection unexpectedly"))

    with cinema(platform, seat) as service:
        service.mood.before = lose_database
        with platform.studio.transaction() as tx:
            tx.publish(Sold(ticket_id=ids.new_id(), number=1))
        eventually(lambda: len(service.effects()) == 1, "the effect after the outage")
        assert platform.dead_letters(service.subscription) == []
        for level in range(len(RETRY_DELAYS_MS)):
            assert platform.take(service.subscription.retry_queue(level)) == []


def test_only_one_relay_works_and_another_takes_over(platform: Platform) -> None:
    first, second = (AdvisoryLocks(platform.studio) for _ in range(2))
    relays = [Relay(platform.studio, platform.amqp_url, locks) for locks in (first, second)]
    stop_first = threading.Event()
    leader = threading.Thread(target=relays[0].run, args=(stop_first,))
    leader.start()
    eventually(relays[0].active.is_set, "the first is active")
    with running(relays[1].run):
        assert not second.try_acquire(LOCK)
        stop_first.set()
        leader.join()
        eventually(relays[1].active.is_set, "the second took over", seconds=5)
    first.close()
    second.close()


def test_an_event_that_nobody_wants_is_kept_where_it_is_counted_and_blocks_nobody(platform: Platform) -> None:
    with running(*relay_of(platform)):
        with platform.studio.transaction() as tx:
            event_id = tx.publish(Sold(ticket_id=ids.new_id(), number=1))
        eventually(lambda: stored(platform.studio, "outbox") == 0, "it left")
        kept: list[str] = []

        def found() -> bool:
            kept.extend(orjson.loads(body)["id"] for body, _ in platform.take(UNROUTABLE_QUEUE))
            return str(event_id) in kept

        eventually(found, "it lies among the unroutable")


def test_commands_succeed_while_the_broker_is_away_and_nothing_is_lost(platform: Platform) -> None:
    away = Relay(platform.studio, "amqp://nobody:wrong@127.0.0.1:1/", AdvisoryLocks(platform.studio))
    with cinema_without_relay(platform) as service:
        with running(away.run):
            reel = publish_cuts(platform, range(20))
        assert stored(platform.studio, "outbox") == 20
        assert stored(platform.studio, "event_archive") == 0
        with running(*relay_of(platform)):
            eventually(lambda: len(service.effects()) == 20, "all effects once it is back")
    assert service.effects() == [(reel, sequence) for sequence in range(1, 21)]


@contextmanager
def cinema_without_relay(platform: Platform) -> Iterator[Cinema]:
    service = Cinema(platform, subscriptions(platform.consumer, show))
    consumer = service.consumer()
    with ExitStack() as stack:
        stack.callback(forget, platform.amqp_url, service.subscribed)
        stack.enter_context(running(consumer.run))
        eventually(consumer.consuming.is_set, "the consumer receives")
        yield service


def test_a_batch_without_an_exchange_is_refused_and_stays_in_the_outbox(platform: Platform) -> None:
    publisher = PipelinedPublisher(platform.amqp_url, "test")
    with pytest.raises(BrokerUnavailable, match="not connected"):
        publisher.publish([Outgoing("1", "studio.reel.cut", b"{}")], timeout_seconds=1)


def test_a_failure_never_tells_the_password() -> None:
    with pytest.raises(BrokerUnavailable) as refusal:
        declare("amqp://studio:very-secret@127.0.0.1:1/", Topology())

    assert "very-secret" not in str(refusal.value)


def test_a_worker_starts_works_reports_and_drains(platform: Platform) -> None:
    subscribed = subscriptions(platform.consumer, seat, leave)
    mood = Mood()
    worker = Worker(platform.cinema, platform.amqp_url, subscriptions=subscribed, resources={Mood: mood})
    worker.start()
    try:
        with running(*relay_of(platform)):
            eventually(lambda: worker.health()["status"] == "ready", "it is ready")
            with platform.studio.transaction() as tx:
                tx.publish(Sold(ticket_id=ids.new_id(), number=1))
                tx.publish(Alarmed(alarm_id=ids.new_id()))
            eventually(lambda: len(effects(platform.cinema)) == 1 and len(mood.heard) == 1, "both arrive")
        health = worker.health()
        assert health["outbox_depth"] == 0
        assert all(health["threads"].values())
    finally:
        assert worker.stop()
        forget(platform.amqp_url, subscribed)
    assert not worker.failed.is_set()
    assert worker.health()["status"] == "degraded"
