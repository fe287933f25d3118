"""Subscriptions become queues; wrong declarations stop the start."""

from uuid import UUID

import pytest

from libs.common.db import Transaction
from libs.common.events import Envelope, Event, on, on_broadcast, on_every_event
from libs.common.events.subscriptions import SubscriptionError
from libs.common.events.tests.live import subscriptions
from libs.common.events.tests.samples import ReelBurnt, ReelCut
from libs.common.events.topology import DELIVERY_LIMIT, RETRY_DELAYS_MS, definitions, subscription_topology


class Projector:
    """A resource."""


class PersonLeft(Event, type="studio.person.left", version=1, aggregate="person_id"):
    """Somebody left."""

    person_id: UUID


@on(ReelCut, ordered=True)
def cut(event: ReelCut, tx: Transaction, envelope: Envelope) -> None: ...


@on(ReelBurnt, ordered=True)
def burnt(event: ReelBurnt, projector: Projector) -> None: ...


@on(PersonLeft)
def left(event: PersonLeft) -> None: ...


@on_every_event()
def file(envelope: Envelope, tx: Transaction) -> None: ...


@on_broadcast(PersonLeft)
def lock_out(event: PersonLeft) -> None: ...


for each in (cut, burnt, left, file, lock_out):
    each.__module__ = "libs.common.events.tests.live"


def test_handlers_of_one_aggregate_share_a_queue_named_for_consumer_producer_and_aggregate() -> None:
    subscribed = subscriptions("cinema", cut, burnt, left)

    assert [each.name for each in subscribed.queues] == ["cinema.studio.person", "cinema.studio.reel"]
    assert subscribed.queue("cinema.studio.reel").queue == "cinema.studio.reel.q2"
    assert set(subscribed.queue("cinema.studio.reel").handlers) == {"studio.reel.cut", "studio.reel.burnt"}


def test_an_ordered_queue_binds_the_whole_aggregate_an_unordered_one_its_types_and_the_ledger_everything() -> None:
    subscribed = subscriptions("cinema", cut, left, file)

    assert subscribed.queue("cinema.studio.reel").bindings == ["studio.reel.*"]
    assert subscribed.queue("cinema.studio.person").bindings == ["studio.person.left"]
    assert subscribed.queue("cinema.every.event").bindings == ["#"]


def test_a_broadcast_has_no_queue_of_the_service() -> None:
    subscribed = subscriptions("cinema", lock_out)

    assert subscribed.queues == ()
    assert [each.name for each in subscribed.broadcasts] == ["libs.common.events.tests.live.lock_out"]


def test_two_handlers_of_one_event_are_refused() -> None:
    def again(event: ReelCut) -> None: ...

    again.__module__ = cut.__module__

    with pytest.raises(SubscriptionError, match=r"both handle studio\.reel\.cut"):
        subscriptions("cinema", cut, on(ReelCut, ordered=True)(again))


def test_an_aggregate_both_ordered_and_unordered_is_refused() -> None:
    def loosely(event: ReelBurnt) -> None: ...

    loosely.__module__ = cut.__module__

    with pytest.raises(SubscriptionError, match=r"all of .* ordered, or none"):
        subscriptions("cinema", cut, on(ReelBurnt)(loosely))


def test_a_parameter_without_annotation_is_refused() -> None:
    def bare(event) -> None: ...  # type: ignore[no-untyped-def]

    bare.__module__ = cut.__module__

    with pytest.raises(SubscriptionError, match="annotate event"):
        subscriptions("cinema", on(ReelCut)(bare))


def test_a_parameter_that_no_resource_provides_is_refused() -> None:
    subscribed = subscriptions("cinema", burnt)

    with pytest.raises(SubscriptionError, match="burnt: projector"):
        subscribed.require({})
    subscribed.require({Projector: Projector()})


def test_queues_are_quorum_queues_with_a_delivery_limit_and_safe_dead_lettering() -> None:
    subscription = subscriptions("cinema", cut).queues[0]
    queues = {queue.name: queue.arguments for queue in subscription_topology(subscription).queues}

    main = queues[subscription.queue]
    assert {arguments["x-queue-type"] for arguments in queues.values()} == {"quorum"}
    assert main["x-delivery-limit"] == DELIVERY_LIMIT
    assert main["x-dead-letter-routing-key"] == subscription.dead_letter_queue
    assert (main["x-dead-letter-strategy"], main["x-overflow"]) == ("at-least-once", "reject-publish")
    for level, delay_ms in enumerate(RETRY_DELAYS_MS):
        retry = queues[subscription.retry_queue(level)]
        assert (retry["x-message-ttl"], retry["x-dead-letter-routing-key"]) == (delay_ms, subscription.queue)


def test_every_missing_broker_password_is_named_at_once() -> None:
    with pytest.raises(ValueError, match="cinema, gateway, operator"):
        definitions(["studio", "cinema"], {"studio": "x"})
