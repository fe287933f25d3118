"""From one service's commit to another's, through a real broker."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from libs.common import ids
from libs.common import worker as workers
from libs.common.db import kernel_tables
from libs.common.db.locks import AdvisoryLocks
from libs.common.events import Envelope
from libs.common.events import consumer as consumers
from libs.common.events.broadcast import Broadcast
from libs.common.events.broker import BrokerUnavailable, declare
from libs.common.events.broker.publisher import Outgoing, PipelinedPublisher
from libs.common.events.inbox import gate_of
from libs.common.events.relay import LOCK, Relay
from libs.common.events.subscriptions import Subscriptions
from libs.common.events.tests.cinema import Cinema, cinema, envelope_of, publish_cuts, relay_of, stored
from libs.common.events.tests.live import (
    STUDIO,
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


@pytest.mark.parametrize("due", [2, 3, 4, 7])
def test_parked_events_that_become_due_at_once_are_applied_in_portions(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, due: int
) -> None:
    monkeypatch.setattr(consumers, "SUCCESSORS_AT_ONCE", 3)
    reels, gate, stopping = [ids.new_id() for _ in range(due)], gate_of(platform.cinema.metadata), threading.Event()
    with cinema(platform, show, replicas=0) as service:
        with platform.cinema.transaction() as tx:
            gate.park(tx, service.subscription.name, [envelope_of(reel, 2) for reel in reels])
            gate.advance(tx, service.subscription.name, {str(reel): 1 for reel in reels})
        service.mood.before = lambda _: stopping.set()
        service.consumer().run(stopping)
        assert len(service.effects()) == min(due, 3)  # between two portions it hears that it is to stop

        with running(service.consumer().run):
            eventually(lambda: len(service.effects()) == due, "all of them, long before the next scan is due", seconds=4)
    assert sorted(service.effects()) == sorted((str(reel), 2) for reel in reels)


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
        kept: list[bytes] = []

        def found() -> bool:
            kept.extend(body for body, _ in platform.take(UNROUTABLE_QUEUE))
            return any(str(event_id).encode() in body for body in kept)

        eventually(found, "it lies among the unroutable")


def test_the_worker_whose_relay_is_active_counts_what_nobody_wants(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "MEASURE_SECONDS", 0.05)
    monkeypatch.setattr(workers, "QUEUES_SECONDS", 0.0)
    platform.take(UNROUTABLE_QUEUE)
    worker = Worker(platform.studio, platform.amqp_url, subscriptions=Subscriptions(STUDIO, (), ()))
    worker.start()
    try:
        with platform.studio.transaction() as tx:
            for number in range(3):
                tx.publish(Sold(ticket_id=ids.new_id(), number=number))
        eventually(
            lambda: REGISTRY.get_sample_value("lumiere_unroutable_events", {"service": STUDIO}) == 3, "three are counted"
        )
        assert stored(platform.studio, "outbox") == 0
    finally:
        assert worker.stop()


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
    service = Cinema(platform, subscriptions(platform.consumer, show), {})
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


def test_a_worker_starts_works_reports_and_drains(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "MEASURE_SECONDS", 0.05)
    monkeypatch.setattr(workers, "QUEUES_SECONDS", 0.0)
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
        delivered = {"subscription": subscribed.queues[0].name}
        assert REGISTRY.get_sample_value("lumiere_event_delivery_seconds_count", delivered) == 1
        eventually(
            lambda: REGISTRY.get_sample_value("lumiere_queue_consumers", delivered) == 1, "the worker has looked at its queue"
        )
        assert REGISTRY.get_sample_value("lumiere_dead_letters", delivered) == 0
        health = worker.health()
        assert health["outbox_depth"] == 0
        assert all(health["threads"].values())
    finally:
        assert worker.stop()
        forget(platform.amqp_url, subscribed)
    assert not worker.failed.is_set()
    assert worker.health()["status"] == "degraded"
