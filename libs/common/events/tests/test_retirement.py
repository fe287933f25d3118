"""A release with other queue arguments takes over what lies in the queues of the one before it; no 406 and nothing lost."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from libs.common import ids
from libs.common.events import Envelope
from libs.common.events import retirement as retirements
from libs.common.events.broker import BrokerUnavailable, Session, declare, open_session
from libs.common.events.consumer import Consumer
from libs.common.events.retirement import Retirement
from libs.common.events.subscriptions import RETIRED_VERSIONS, Subscription
from libs.common.events.tests.cinema import envelope_of
from libs.common.events.tests.live import Mood, effects, eventually, running, show, subscriptions
from libs.common.events.tests.platform import Platform, forget
from libs.common.events.topology import EVENTS_EXCHANGE, Binding, Queue, Topology, service_exchange, subscription_topology

OLD = RETIRED_VERSIONS[-1]


def old_topology(subscription: Subscription) -> Topology:
    """What the older release declared: the arguments of a dead-letter queue were others."""
    quorum = {"x-queue-type": "quorum"}
    names = list(subscription.retired(OLD))
    exchange = service_exchange(subscription.consumer)
    return Topology(
        exchanges=subscription_topology(subscription).exchanges,
        queues=tuple(Queue(name, quorum) for name in names),
        bindings=(
            *(Binding(name, exchange, name) for name in names),
            *(Binding(names[-1], EVENTS_EXCHANGE, pattern) for pattern in subscription.bindings),
        ),
    )


class Old:
    """The queues of an older release."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.subscribed = subscriptions(platform.consumer, show)
        self.subscription = self.subscribed.queues[0]
        self.queues = list(self.subscription.retired(OLD))
        declare(platform.amqp_url, old_topology(self.subscription))

    def put(self, queue: str, envelope: Envelope, headers: dict[str, Any] | None = None, *, vouched: bool = True) -> None:
        with open_session(self.platform.amqp_url) as session:
            session.publish(service_exchange(self.platform.consumer), queue, envelope.encode(), headers or {}, vouched=vouched)

    def left(self) -> list[str]:
        with open_session(self.platform.amqp_url) as session:
            return [queue for queue in self.queues if session.look(queue) is not None]

    def consumer(self) -> Consumer:
        return Consumer(self.platform.cinema, self.platform.amqp_url, self.subscription, {Mood: Mood()})


@pytest.fixture
def old(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Iterator[Old]:
    monkeypatch.setattr(retirements, "LOOK_SECONDS", 0.2)
    made = Old(platform)
    declare(platform.amqp_url, subscription_topology(made.subscription))
    yield made
    with open_session(platform.amqp_url) as session:
        for queue in made.queues:
            session.delete(queue)
    forget(platform.amqp_url, made.subscribed)


def test_what_lies_in_queues_of_an_older_release_is_applied_in_order_and_the_queues_go(platform: Platform, old: Old) -> None:
    reel = ids.new_id()
    first, second, third = (envelope_of(reel, sequence) for sequence in (1, 2, 3))
    old.put(old.queues[0], first, {"x-attempts": 1})
    old.put(old.queues[-1], second)
    old.put(old.queues[-1], third)

    with running(old.consumer().run):
        eventually(lambda: len(effects(platform.cinema)) == 3, "every event has its effect")
        eventually(lambda: old.left() == [], "the old queues are gone")

    assert effects(platform.cinema) == [(str(reel), sequence) for sequence in (1, 2, 3)]


def test_dead_letters_of_an_older_release_stay_dead_letters_with_their_reason(platform: Platform, old: Old) -> None:
    letter = envelope_of(ids.new_id(), 1)
    old.put(f"{old.queues[-1]}.dead", letter, {"x-reason": "the reel does not exist", "x-attempts": 5})

    with running(old.consumer().run):
        eventually(lambda: old.left() == [], "the old queues are gone")

    ((body, headers),) = platform.dead_letters(old.subscription)
    assert Envelope.decode(body).id == letter.id
    assert (headers["x-reason"], headers["x-attempts"]) == ("the reel does not exist", 5)
    assert effects(platform.cinema) == []


def test_what_nobody_vouched_for_does_not_become_ours_by_being_moved(platform: Platform, old: Old) -> None:
    old.put(old.queues[-1], envelope_of(ids.new_id(), 1), vouched=False)

    with running(old.consumer().run):
        eventually(lambda: old.left() == [], "the old queues are gone")

    ((_, headers),) = platform.dead_letters(old.subscription)
    assert headers["x-error"] == "ForgedEvent"


def test_a_queue_that_a_replica_of_the_older_release_still_consumes_stays_until_it_is_gone(
    platform: Platform, old: Old
) -> None:
    held = envelope_of(ids.new_id(), 1)
    old.put(old.queues[-1], held)
    with open_session(platform.amqp_url) as replica:
        replica.consume(old.queues[-1], prefetch=10)
        assert len(replica.receive(1, wait_seconds=5, idle_seconds=0)) == 1
        with open_session(platform.amqp_url) as session:
            retirement = Retirement(old.subscription)
            for _ in range(3):
                retirement.look(session)
            assert not retirement.over
            # Nor do those go into which it may put aside what fails.
            assert old.left() == old.queues
            failed = envelope_of(ids.new_id(), 1)
            old.put(f"{old.queues[-1]}.dead", failed)
        # Not settled: its connection gives it back.

    with running(old.consumer().run):
        eventually(lambda: len(effects(platform.cinema)) == 1, "what the old replica gave back is applied")
        eventually(lambda: old.left() == [], "the old queues are gone")
    assert [Envelope.decode(body).id for body, _ in platform.dead_letters(old.subscription)] == [failed.id]


def test_a_move_that_is_interrupted_after_any_step_loses_and_doubles_nothing(
    platform: Platform, old: Old, monkeypatch: pytest.MonkeyPatch
) -> None:
    reel = ids.new_id()
    for sequence in (1, 2, 3):
        old.put(old.queues[-1], envelope_of(reel, sequence))
    steps, real = count(), Session.settle

    def dies_once(session: Session, tag: int) -> None:
        if next(steps) == 1:
            raise BrokerUnavailable("the connection is lost after the copy was confirmed, before the original was settled")
        real(session, tag)

    monkeypatch.setattr(Session, "settle", dies_once)
    with running(old.consumer().run):
        eventually(lambda: old.left() == [], "the old queues are gone")
        eventually(lambda: len(effects(platform.cinema)) == 3, "every event has its effect")

    assert effects(platform.cinema) == [(str(reel), sequence) for sequence in (1, 2, 3)]


def test_a_new_version_never_declares_a_queue_of_the_old_name(old: Old) -> None:
    names = {queue.name for queue in subscription_topology(old.subscription).queues}
    assert names.isdisjoint(old.queues)
    assert replace(old.subscription, ordered=False).queue in names
