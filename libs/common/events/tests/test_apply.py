"""Outbox, inbox and gate on a real database, without a broker."""

import threading
from contextlib import nullcontext
from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import func, select

from libs.common import ids
from libs.common.db import Database, kernel_tables
from libs.common.events import Envelope, Keyring, Personal
from libs.common.events.inbox import Outcome, apply, gate_of
from libs.common.events.outbox import EVENT_BYTES_MAX, EventTooLarge, Outbox
from libs.common.events.subscriptions import Subscription
from libs.common.events.tests.cinema import envelope_of
from libs.common.events.tests.live import (
    Cut,
    Hired,
    Labelled,
    Mood,
    Noted,
    Sold,
    effects,
    file,
    seat,
    show,
    studio_metadata,
    subscriptions,
)
from libs.common.events.tests.platform import Platform
from libs.common.events.tests.samples import ReelCut
from libs.common.telemetry import context


def ordered(platform: Platform) -> Subscription:
    return subscriptions(platform.consumer, show).queues[0]


def unordered(platform: Platform) -> Subscription:
    return subscriptions(platform.consumer, seat).queues[0]


def in_outbox(database: Database) -> list[Envelope]:
    outbox = kernel_tables(database.metadata).outbox
    with database.reader() as reader:
        return [Envelope.decode(bytes(row.body)) for row in reader.all(select(outbox).order_by(outbox.c.id))]


def cuts(platform: Platform, count: int, reel: UUID | None = None) -> list[Envelope]:
    """That many events of one reel, as they were published."""
    reel = reel or ids.new_id()
    with platform.studio.transaction() as tx:
        published = {tx.publish(Cut(reel_id=reel, number=number)) for number in range(count)}
    return [each for each in in_outbox(platform.studio) if each.id in published]


def count(database: Database, table: str) -> int:
    with database.reader() as reader:
        rows: int = reader.scalar(select(func.count()).select_from(getattr(kernel_tables(database.metadata), table)))
        return rows


# A whole second is written without microseconds: a fixed moment keeps sizes exact.
FIXED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RESOURCES: dict[type, object] = {Mood: Mood()}


def test_a_fact_leaves_if_and_only_if_its_transaction_commits(platform: Platform) -> None:
    reel = ids.new_id()

    def publish_and_fail() -> None:
        with platform.studio.transaction() as tx:
            tx.publish(Cut(reel_id=reel, number=1))
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        publish_and_fail()
    with platform.studio.transaction() as tx:
        tx.publish(Cut(reel_id=reel, number=2))

    assert [(each.sequence, each.data["number"]) for each in in_outbox(platform.studio)] == [(1, 2)]


def test_sequences_are_contiguous_within_an_aggregate_though_many_publish_at_once(platform: Platform) -> None:
    reels = [ids.new_id(), ids.new_id()]

    def publish() -> None:
        for number in range(10):
            with platform.studio.transaction() as tx:
                tx.publish(Cut(reel_id=reels[number % 2], number=number))

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for reel in reels:
        assert [each.sequence for each in in_outbox(platform.studio) if each.subject == str(reel)] == list(range(1, 21))


def test_an_event_carries_who_caused_it(platform: Platform) -> None:
    with context.bound(request_id="r-1", causation_id="c-1", actor="user:1", traceparent="00-ab-cd-01"):
        (envelope,) = cuts(platform, 1)

    assert (envelope.correlation_id, envelope.causation_id, envelope.actor) == ("r-1", "c-1", "user:1")
    assert envelope.traceparent == "00-ab-cd-01"


def test_what_a_handler_publishes_is_caused_by_the_event_that_it_handles(platform: Platform) -> None:
    seen: list[context.Context] = []
    mood = Mood(before=lambda _envelope: seen.append(context.current()))
    with context.bound(request_id="r-1", actor="user:1"):
        (envelope,) = cuts(platform, 1)

    apply(platform.cinema, ordered(platform), [envelope], {Mood: mood})

    assert (seen[0].correlation_id, seen[0].causation_id, seen[0].actor) == ("r-1", str(envelope.id), "user:1")
    assert context.current().causation_id is None


def test_personal_values_leave_sealed_and_stay_out_of_the_archive(platform: Platform, keyring: Keyring) -> None:
    person = ids.new_id()
    with platform.studio.transaction() as tx:
        event_id = tx.publish(Hired(person_id=person, email=Personal.of("ada@example.org", about=person)))
    tables = kernel_tables(platform.studio.metadata)

    with platform.studio.reader() as reader:
        row = reader.one(select(tables.outbox))
        kept = reader.one(select(tables.personal_commitment))

    received = Envelope.decode(bytes(row.body)).event(Hired)
    assert received.email.open(keyring) == "ada@example.org"
    assert b"ada@example.org" not in bytes(row.body) + bytes(row.archive_body)
    assert Envelope.decode(bytes(row.archive_body)).data["email"] == {"commitment": received.email.commitment}
    assert (kept.event_id, kept.field, kept.about) == (event_id, "email", person)
    assert received.email.matches(bytes(kept.salt), "ada@example.org")


def test_a_service_publishes_its_own_facts_only(platform: Platform) -> None:
    with pytest.raises(TypeError, match="belongs to studio"), platform.studio.transaction() as tx:
        tx.publish(ReelCut(reel_id=ids.new_id(), number=1))


def test_personal_values_do_not_leave_without_a_key_to_seal_them_to(platform: Platform) -> None:
    person = ids.new_id()
    with platform.studio.transaction() as tx, pytest.raises(TypeError, match="no public key"):
        Outbox(studio_metadata).append(tx, Hired(person_id=person, email=Personal.of("x", about=person)))


@pytest.mark.parametrize(("over", "refused"), [(-1, False), (0, False), (1, True)])
def test_an_event_over_the_limit_is_refused(platform: Platform, over: int, refused: bool) -> None:
    reel = ids.new_id()
    with platform.studio.transaction() as tx, context.bound(correlation_id="c"):
        tx.now = FIXED
        event_id = tx.publish(Noted(reel_id=reel, note=""))
        outbox = kernel_tables(studio_metadata).outbox
        bare = len(tx.scalar(select(outbox.c.body).where(outbox.c.event_id == event_id)))
    fact = Noted(reel_id=reel, note="x" * (EVENT_BYTES_MAX + over - bare))

    with platform.studio.transaction() as tx, context.bound(correlation_id="c"):
        tx.now = FIXED
        with pytest.raises(EventTooLarge, match="publish a reference") if refused else nullcontext():
            tx.publish(fact)


@pytest.mark.parametrize("times", [1, 2, 5])
def test_an_event_delivered_many_times_changes_once(platform: Platform, times: int) -> None:
    reel = ids.new_id()
    with platform.studio.transaction() as tx:
        tx.publish(Sold(ticket_id=reel, number=1))
    (envelope,) = in_outbox(platform.studio)

    outcomes = [apply(platform.cinema, unordered(platform), [envelope], RESOURCES)[0] for _ in range(times)]

    assert outcomes == [Outcome.APPLIED] + [Outcome.DUPLICATE] * (times - 1)
    assert effects(platform.cinema) == [(str(reel), 1)]


def test_the_same_event_twice_in_one_batch_changes_once(platform: Platform) -> None:
    (cut,) = cuts(platform, 1)

    assert apply(platform.cinema, ordered(platform), [cut, cut], RESOURCES) == [Outcome.APPLIED, Outcome.DUPLICATE]
    assert len(effects(platform.cinema)) == 1


def test_the_same_event_at_many_replicas_at_once_changes_once(platform: Platform) -> None:
    (envelope,) = cuts(platform, 1)
    barrier = threading.Barrier(4)
    outcomes: list[Outcome] = []

    def deliver() -> None:
        barrier.wait()
        outcomes.extend(apply(platform.cinema, ordered(platform), [envelope], RESOURCES))

    threads = [threading.Thread(target=deliver) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == [Outcome.APPLIED] + [Outcome.DUPLICATE] * 3
    assert len(effects(platform.cinema)) == 1


def test_early_events_are_parked_and_applied_when_their_turn_comes(platform: Platform) -> None:
    first, second, third = cuts(platform, 3)
    subscription = ordered(platform)

    assert apply(platform.cinema, subscription, [third], RESOURCES) == [Outcome.PARKED]
    assert apply(platform.cinema, subscription, [second], RESOURCES) == [Outcome.PARKED]
    assert effects(platform.cinema) == []
    assert apply(platform.cinema, subscription, [first], RESOURCES) == [Outcome.APPLIED]

    assert [sequence for _, sequence in effects(platform.cinema)] == [1, 2, 3]
    assert count(platform.cinema, "parked_events") == 0


def test_an_event_that_nobody_handles_lets_the_next_pass(platform: Platform) -> None:
    reel = ids.new_id()
    with platform.studio.transaction() as tx:
        tx.publish(Labelled(reel_id=reel))
        tx.publish(Cut(reel_id=reel, number=1))
    labelled, cut = in_outbox(platform.studio)

    assert apply(platform.cinema, ordered(platform), [cut], RESOURCES) == [Outcome.PARKED]
    assert apply(platform.cinema, ordered(platform), [labelled], RESOURCES) == [Outcome.IGNORED]

    assert effects(platform.cinema) == [(str(reel), 2)]


def test_a_failing_handler_leaves_no_trace(platform: Platform) -> None:
    envelopes = cuts(platform, 2)

    def fail(envelope: Envelope) -> None:
        if envelope.sequence == 2:
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        apply(platform.cinema, ordered(platform), envelopes, {Mood: Mood(before=fail)})

    assert effects(platform.cinema) == []
    assert count(platform.cinema, "inbox") == 0
    assert apply(platform.cinema, ordered(platform), envelopes, RESOURCES) == [Outcome.APPLIED, Outcome.APPLIED]


def test_one_aggregate_that_waits_does_not_hold_another(platform: Platform) -> None:
    waiting, flowing = cuts(platform, 2), cuts(platform, 2)

    apply(platform.cinema, ordered(platform), [waiting[1], *flowing], RESOURCES)

    assert effects(platform.cinema) == [(flowing[0].subject, 1), (flowing[0].subject, 2)]


def test_advancing_the_gate_drops_an_event_and_lets_its_successors_become_due(platform: Platform) -> None:
    envelopes = cuts(platform, 3)
    subscription, gate = ordered(platform), gate_of(platform.cinema.metadata)
    apply(platform.cinema, subscription, envelopes[1:], RESOURCES)

    with platform.cinema.transaction() as tx:
        gate.advance(tx, subscription.name, {envelopes[0].subject: 1})
    with platform.cinema.reader() as reader:
        due = gate.due(reader, subscription.name)

    assert [each.sequence for each in due] == [2]
    assert apply(platform.cinema, subscription, due, RESOURCES) == [Outcome.APPLIED]
    assert [sequence for _, sequence in effects(platform.cinema)] == [2, 3]


def test_a_parked_event_that_was_applied_meanwhile_is_forgotten(platform: Platform) -> None:
    envelopes = cuts(platform, 2)
    subscription, gate = ordered(platform), gate_of(platform.cinema.metadata)
    apply(platform.cinema, subscription, envelopes, RESOURCES)
    with platform.cinema.transaction() as tx:
        gate.park(tx, subscription.name, envelopes[1:])
    with platform.cinema.reader() as reader:
        stale = gate.due(reader, subscription.name)

    assert apply(platform.cinema, subscription, stale, RESOURCES) == [Outcome.DUPLICATE]
    assert count(platform.cinema, "parked_events") == 0


def test_the_gate_never_goes_back(platform: Platform) -> None:
    envelopes = cuts(platform, 3)
    subscription, gate = ordered(platform), gate_of(platform.cinema.metadata)
    apply(platform.cinema, subscription, envelopes, RESOURCES)

    with platform.cinema.transaction() as tx:
        gate.advance(tx, subscription.name, {envelopes[0].subject: 1})

    assert apply(platform.cinema, subscription, envelopes, RESOURCES) == [Outcome.DUPLICATE] * 3


def test_a_number_that_a_restored_producer_gives_out_again_is_told_from_a_duplicate(platform: Platform) -> None:
    reel, subscription = ids.new_id(), ordered(platform)
    first, second = envelope_of(reel, 1), envelope_of(reel, 2)
    apply(platform.cinema, subscription, [first, second], RESOURCES)
    again, third = envelope_of(reel, 2), envelope_of(reel, 3)

    outcomes = apply(platform.cinema, subscription, [second, again, third], RESOURCES)

    assert outcomes == [Outcome.DUPLICATE, Outcome.PASSED, Outcome.APPLIED]
    assert effects(platform.cinema) == [(str(reel), 1), (str(reel), 2), (str(reel), 3)]


def test_a_subscription_to_everything_gets_each_envelope_once(platform: Platform) -> None:
    (subscription,) = subscriptions(platform.consumer, file).queues
    envelopes = cuts(platform, 2)

    assert apply(platform.cinema, subscription, envelopes, {}) == [Outcome.APPLIED] * 2
    assert apply(platform.cinema, subscription, envelopes, {}) == [Outcome.DUPLICATE] * 2
