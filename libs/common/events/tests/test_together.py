"""Set-based handlers: many events in one call, each applied once, in order, and alone when one of them is bad."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from libs.common import ids
from libs.common.db import Transaction
from libs.common.errors import Permanent
from libs.common.events import Delivered, Envelope, caused_by, on, on_every_event
from libs.common.events.inbox import Outcome, apply
from libs.common.events.subscriptions import Subscription, SubscriptionError
from libs.common.events.tests.cinema import cinema, envelope_of, publish_cuts, waited_dead_letters
from libs.common.events.tests.live import Cut, Labelled, Mood, Sold, effects, eventually, record, subscriptions
from libs.common.events.tests.platform import Platform
from libs.common.events.tests.samples import ReelCut
from libs.common.events.tests.test_apply import cuts, in_outbox
from libs.common.telemetry import context
from libs.common.telemetry.traces import collect_spans, new_traceparent


@dataclass
class Calls:
    """How many events each call got, in the order of the calls."""

    sizes: list[int] = field(default_factory=list)
    contexts: list[context.Context] = field(default_factory=list)


@on(Cut, ordered=True, together=True)
def show_all(events: Sequence[Delivered[Cut]], tx: Transaction, mood: Mood, calls: Calls) -> None:
    calls.sizes.append(len(events))
    calls.contexts.append(context.current())
    for each in events:
        mood.before(each.envelope)
        record(tx, each.envelope, each.event.number)


@on(Labelled, ordered=True)
def label(event: Labelled, tx: Transaction, envelope: Envelope) -> None:
    record(tx, envelope, 0)


@on(Sold, together=True)
def seat_all(events: Sequence[Delivered[Sold]], tx: Transaction, mood: Mood, calls: Calls) -> None:
    calls.sizes.append(len(events))
    for each in events:
        mood.before(each.envelope)
        record(tx, each.envelope, each.event.number)


@on_every_event(together=True)
def file_all(envelopes: Sequence[Envelope], tx: Transaction, calls: Calls) -> None:
    calls.sizes.append(len(envelopes))
    for each in envelopes:
        record(tx, each, 0)


for marked in (show_all, label, seat_all, file_all):
    marked.__module__ = "libs.common.events.tests.live"


def subscribed(platform: Platform, *handlers: Callable[..., object]) -> Subscription:
    return subscriptions(platform.consumer, *handlers).queues[0]


def sales(platform: Platform, count: int) -> list[Envelope]:
    with platform.studio.transaction() as tx:
        for number in range(count):
            tx.publish(Sold(ticket_id=ids.new_id(), number=number))
    return in_outbox(platform.studio)


def test_the_events_of_a_batch_reach_a_set_based_handler_in_one_call(platform: Platform) -> None:
    envelopes, calls = sales(platform, 5), Calls()

    outcomes = apply(platform.cinema, subscribed(platform, seat_all), envelopes, {Mood: Mood(), Calls: calls})

    assert outcomes == [Outcome.APPLIED] * 5
    assert calls.sizes == [5]
    assert effects(platform.cinema) == [(each.subject, 1) for each in envelopes]


def test_a_handler_of_every_event_gets_the_envelopes_of_all_types_in_one_call(platform: Platform) -> None:
    calls = Calls()
    envelopes = [*cuts(platform, 2), *sales(platform, 2)[2:]]

    assert apply(platform.cinema, subscribed(platform, file_all), envelopes, {Calls: calls}) == [Outcome.APPLIED] * 4
    assert calls.sizes == [4]


@pytest.mark.parametrize("handler", [show_all, file_all])
def test_what_was_applied_or_comes_twice_in_a_batch_is_in_no_second_call(
    platform: Platform, handler: Callable[..., object]
) -> None:
    first, second = cuts(platform, 2)
    subscription, calls = subscribed(platform, handler), Calls()
    resources: dict[type, object] = {Mood: Mood(), Calls: calls}

    assert apply(platform.cinema, subscription, [first, first], resources) == [Outcome.APPLIED, Outcome.DUPLICATE]
    assert apply(platform.cinema, subscription, [first, second], resources) == [Outcome.DUPLICATE, Outcome.APPLIED]
    assert apply(platform.cinema, subscription, [first, second], resources) == [Outcome.DUPLICATE, Outcome.DUPLICATE]

    assert calls.sizes == [1, 1]
    assert len(effects(platform.cinema)) == 2


def test_the_order_of_an_aggregate_holds_where_set_based_handlers_and_others_take_turns(platform: Platform) -> None:
    reel, other = ids.new_id(), ids.new_id()
    with platform.studio.transaction() as tx:
        for number in (1, 2):
            tx.publish(Cut(reel_id=reel, number=number))
        tx.publish(Labelled(reel_id=reel))
        tx.publish(Cut(reel_id=reel, number=3))
        tx.publish(Cut(reel_id=other, number=1))
    calls = Calls()

    outcomes = apply(
        platform.cinema, subscribed(platform, show_all, label), in_outbox(platform.studio), {Mood: Mood(), Calls: calls}
    )

    assert outcomes == [Outcome.APPLIED] * 5
    assert calls.sizes == [2, 2]
    assert effects(platform.cinema) == [*((str(reel), sequence) for sequence in (1, 2, 3, 4)), (str(other), 1)]


def test_events_that_nobody_handles_neither_cut_a_set_nor_stop_the_order(platform: Platform) -> None:
    reel, calls = ids.new_id(), Calls()
    with platform.studio.transaction() as tx:
        tx.publish(Cut(reel_id=reel, number=1))
        tx.publish(Labelled(reel_id=reel))
        tx.publish(Cut(reel_id=reel, number=2))

    outcomes = apply(platform.cinema, subscribed(platform, show_all), in_outbox(platform.studio), {Mood: Mood(), Calls: calls})

    assert outcomes == [Outcome.APPLIED, Outcome.IGNORED, Outcome.APPLIED]
    assert calls.sizes == [2]
    assert effects(platform.cinema) == [(str(reel), 1), (str(reel), 3)]


def test_early_events_are_parked_and_join_the_set_when_their_turn_comes(platform: Platform) -> None:
    first, second, third = cuts(platform, 3)
    subscription, calls = subscribed(platform, show_all), Calls()
    resources: dict[type, object] = {Mood: Mood(), Calls: calls}

    assert apply(platform.cinema, subscription, [third, second], resources) == [Outcome.PARKED] * 2
    assert apply(platform.cinema, subscription, [first], resources) == [Outcome.APPLIED]

    assert calls.sizes == [3]
    assert [sequence for _, sequence in effects(platform.cinema)] == [1, 2, 3]


def test_a_batch_with_a_bad_event_is_applied_one_by_one_and_only_the_bad_one_is_a_dead_letter(platform: Platform) -> None:
    poison, calls = ids.new_id(), Calls()

    def refuse(envelope: Envelope) -> None:
        if envelope.subject == str(poison):
            raise Permanent("the ticket is forged")

    with cinema(platform, seat_all, resources={Calls: calls}) as service:
        service.mood.before = refuse
        with platform.studio.transaction() as tx:
            for number, ticket in enumerate([ids.new_id(), poison, ids.new_id()]):
                tx.publish(Sold(ticket_id=ticket, number=number))
        eventually(lambda: len(service.effects()) == 2, "the others")
        ((body, headers),) = waited_dead_letters(service, 1)

    assert Envelope.decode(body).subject == str(poison)
    assert headers["x-reason"] == "the ticket is forged"
    assert {size for size in calls.sizes if size > 1} <= {2, 3}
    assert 1 in calls.sizes


def test_one_event_of_a_future_version_does_not_take_the_set_with_it(platform: Platform) -> None:
    with cinema(platform, show_all, resources={Calls: Calls()}) as service:
        stranger = envelope_of(ids.new_id(), 1, version=2)
        platform.inject(service.subscription, stranger.encode())
        reel = publish_cuts(platform, range(3))
        eventually(lambda: len(service.effects()) == 3, "the others")
        ((_, headers),) = waited_dead_letters(service, 1)

    assert service.effects() == [(reel, 1), (reel, 2), (reel, 3)]
    assert "upgrade the consumer" in str(headers["x-reason"])


def test_many_replicas_keep_the_order_of_each_aggregate_in_sets_too(platform: Platform) -> None:
    with cinema(platform, show_all, replicas=3, resources={Calls: Calls()}) as service:
        reels = [ids.new_id() for _ in range(5)]
        for start in range(0, 40, 4):
            for reel in reels:
                publish_cuts(platform, range(start, start + 4), reel)
        eventually(lambda: len(service.effects()) >= 200, "all effects")

    for reel in reels:
        assert [sequence for subject, sequence in service.effects() if subject == str(reel)] == list(range(1, 41))


@pytest.mark.parametrize("count", [1, 3])
def test_a_set_has_no_cause_of_its_own_however_small_and_each_event_lends_its_own(platform: Platform, count: int) -> None:
    with context.bound(correlation_id="r-1", actor="user:1", traceparent=new_traceparent(sampled=False)):
        envelopes = cuts(platform, count)
    calls, within = Calls(), list[context.Context]()

    def remember(envelope: Envelope) -> None:
        with caused_by(envelope):
            within.append(context.current())

    apply(platform.cinema, subscribed(platform, show_all), envelopes, {Mood: Mood(before=remember), Calls: calls})

    (outside,) = calls.contexts
    assert (outside.correlation_id, outside.causation_id, outside.actor, outside.traceparent) == (None,) * 4
    assert [each.causation_id for each in within] == [str(each.id) for each in envelopes]
    assert {(each.correlation_id, each.actor) for each in within} == {("r-1", "user:1")}
    assert [each.traceparent for each in within] == [each.traceparent for each in envelopes]


def test_the_span_of_a_set_is_linked_to_the_traces_of_its_sampled_events_and_each_of_them_to_it(platform: Platform) -> None:
    sampled, unsampled = new_traceparent(sampled=True), new_traceparent(sampled=False)
    for each in (sampled, unsampled):
        with context.bound(traceparent=each):
            cuts(platform, 1)
    spans = collect_spans("tests")

    apply(platform.cinema, subscribed(platform, show_all), in_outbox(platform.studio), {Mood: Mood(), Calls: Calls()})

    (part, whole) = spans.spans
    assert [format(link.context.trace_id, "032x") for link in whole.links] == [sampled.split("-")[1]]
    assert whole.parent is None
    assert part.parent is not None
    assert format(part.parent.trace_id, "032x") == sampled.split("-")[1]
    assert [link.context for link in part.links] == [whole.context]


def refused(handler: Callable[..., object]) -> pytest.RaisesExc[SubscriptionError]:
    handler.__module__ = "libs.common.events.tests.live"
    return pytest.raises(SubscriptionError, match=r"handles events together: declare (events|envelopes): Sequence\[")


def test_a_set_based_handler_that_takes_no_set_is_refused() -> None:
    @on(ReelCut, together=True)
    def none(tx: Transaction) -> None: ...

    @on_every_event(together=True)
    def nothing(tx: Transaction) -> None: ...

    for handler in (none, nothing):
        with refused(handler):
            subscriptions("cinema", handler)


def test_a_set_based_handler_that_takes_one_event_or_envelope_is_refused() -> None:
    @on(ReelCut, together=True)
    def one(event: ReelCut) -> None: ...

    @on(ReelCut, together=True)
    def also_one(events: Sequence[Delivered[ReelCut]], envelope: Envelope) -> None: ...

    @on_every_event(together=True)
    def bare(envelope: Envelope) -> None: ...

    for handler in (one, also_one, bare):
        with refused(handler):
            subscriptions("cinema", handler)


def test_a_set_of_other_events_or_of_something_else_is_refused() -> None:
    @on(ReelCut, together=True)
    def others(events: Sequence[Delivered[Cut]]) -> None: ...

    @on(ReelCut, together=True)
    def undelivered(events: Sequence[ReelCut]) -> None: ...

    @on_every_event(together=True)
    def delivered(envelopes: Sequence[Delivered[ReelCut]]) -> None: ...

    for handler in (others, undelivered, delivered):
        with refused(handler):
            subscriptions("cinema", handler)


def test_a_handler_of_one_event_at_a_time_gets_no_set() -> None:
    @on(ReelCut)
    def one(events: Sequence[Delivered[ReelCut]]) -> None: ...

    one.__module__ = "libs.common.events.tests.live"

    with pytest.raises(SubscriptionError, match="one: events"):
        subscriptions("cinema", one).require({})
