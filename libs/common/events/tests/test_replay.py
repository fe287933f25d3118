"""Archived events into a subscription: nothing twice, nothing out of order, and a rebuild from nothing."""

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

import orjson
import pytest
from sqlalchemy import delete, insert, select, text
from sqlalchemy.engine import make_url

from libs.common import clock, ids
from libs.common.db import Database, kernel_tables
from libs.common.db.database import single_connection_engine
from libs.common.errors import Permanent
from libs.common.events import Envelope, Personal
from libs.common.events.archive import PAGE_EVENTS, Span, archive_of
from libs.common.events.inbox import Outcome, apply, gate_of
from libs.common.events.replay import FAILURES_NAMED_MAX, FactsLeave, Replay, is_consumed, lines_of, under
from libs.common.events.subscriptions import Subscription
from libs.common.events.tests.cinema import cinema, envelope_of, publish_cuts, stored
from libs.common.events.tests.live import STUDIO, Cut, Hired, Labelled, Mood, Sold, effect, effects, seat, show, subscriptions
from libs.common.events.tests.platform import Platform, backing

REEL = f"{STUDIO}.reel"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def ordered(platform: Platform) -> Subscription:
    return subscriptions(platform.consumer, show).queues[0]


def unordered(platform: Platform) -> Subscription:
    return subscriptions(platform.consumer, seat).queues[0]


def publish_sold(platform: Platform, count: int) -> None:
    with platform.studio.transaction() as tx:
        for number in range(count):
            tx.publish(Sold(ticket_id=ids.new_id(), number=number))


def filed(platform: Platform) -> None:
    """File what is in the outbox, as the relay does once the broker has it."""
    tables = kernel_tables(platform.studio.metadata)
    outbox, names = tables.outbox, ["event_id", "type", "aggregate_type", "aggregate_id", "sequence", "body", "recorded_at"]
    columns = (*(outbox.c[name] for name in names[:5]), outbox.c.archive_body, outbox.c.created_at)
    with platform.studio.transaction() as tx:
        tx.execute(insert(tables.event_archive).from_select(names, select(*columns)))
        tx.execute(delete(outbox))


def archived(platform: Platform, span: Span | None = None) -> list[Envelope]:
    archive = archive_of(platform.studio.metadata)
    return [Envelope.decode(body) for body in archive.events(platform.studio, span or Span())]


def baselines(platform: Platform, since: datetime = LONG_AGO) -> dict[str, int]:
    return dict(archive_of(platform.studio.metadata).baselines(platform.studio, REEL, since))


def lines(platform: Platform, span: Span | None = None) -> Iterator[bytes]:
    archive, chosen = archive_of(platform.studio.metadata), span or Span(patterns=(f"{REEL}.*",))
    return lines_of(archive.events(platform.studio, chosen), archive.baselines(platform.studio, REEL, chosen.since))


def replay(platform: Platform, subscription: Subscription, source: Iterator[bytes], **options: object) -> Replay:
    mood = options.pop("mood", Mood())
    run = Replay(platform.cinema, subscription, {Mood: mood}, **options)  # type: ignore[arg-type]
    run.run(source)
    return run


def emptied(database: Database) -> None:
    """What an operator does to a projection before it is rebuilt."""
    with database.transaction() as tx:
        tx.execute(delete(effect))


def pruned(platform: Platform, subject: UUID, below: int) -> None:
    """As if retention had taken the early events of an aggregate; nobody but a superuser may."""
    archive = kernel_tables(platform.studio.metadata).event_archive
    url = make_url(backing("DATABASE_URL")).set(drivername="postgresql+psycopg2", database=platform.studio.url.database)
    with single_connection_engine(url).connect() as connection:
        connection.execute(text("SET session_replication_role = replica"))
        connection.execute(delete(archive).where(archive.c.aggregate_id == str(subject), archive.c.sequence < below))


# ---- the archive


def test_the_archive_is_read_whole_over_many_pages_each_aggregate_in_its_order(platform: Platform) -> None:
    reel = publish_cuts(platform, range(PAGE_EVENTS + 1))  # one transaction: all were recorded in the same moment
    publish_sold(platform, PAGE_EVENTS)
    filed(platform)

    found = archived(platform)

    assert len(found) == len({each.id for each in found}) == 2 * PAGE_EVENTS + 1
    assert [each.sequence for each in found if each.subject == reel] == list(range(1, PAGE_EVENTS + 2))
    assert [each.time for each in found] == sorted(each.time for each in found)


def test_a_span_narrows_by_time_and_type(platform: Platform) -> None:
    publish_cuts(platform, range(2))
    between = clock.now()
    publish_sold(platform, 3)
    filed(platform)

    assert len(archived(platform, Span(until=between))) == 2
    assert len(archived(platform, Span(since=between))) == 3
    assert len(archived(platform, Span(patterns=(f"{STUDIO}.ticket.#",)))) == 3
    assert archived(platform, Span(patterns=("other.#",))) == []


def test_an_aggregate_begins_where_its_last_run_without_a_gap_begins(platform: Platform) -> None:
    whole, cut, waiting, silent = (ids.new_id() for _ in range(4))
    for reel in (whole, cut, silent):
        publish_cuts(platform, range(5), reel)
    filed(platform)
    pruned(platform, cut, below=4)
    publish_cuts(platform, range(2), waiting)
    silent_since = clock.now()
    publish_cuts(platform, range(1), whole)

    assert baselines(platform) == {str(cut): 3}
    # From now on: everything committed before belongs to the past, whether it is published or not.
    later = baselines(platform, silent_since)
    assert later == {str(whole): 5, str(cut): 5, str(waiting): 2, str(silent): 5}


# ---- into an existing inbox


def test_a_replay_changes_nothing_where_everything_was_applied(platform: Platform) -> None:
    publish_cuts(platform, range(5))
    filed(platform)
    replay(platform, ordered(platform), lines(platform))
    before = effects(platform.cinema)

    report = replay(platform, ordered(platform), lines(platform)).report

    assert (report.read, report.duplicates, report.applied, report.failed) == (5, 5, 0, 0)
    assert effects(platform.cinema) == before
    assert len(before) == 5


def test_a_replay_makes_up_for_what_was_missed_in_order(platform: Platform) -> None:
    reel = ids.new_id()
    publish_cuts(platform, range(250), reel)
    filed(platform)
    early = archived(platform)[:100]
    apply(platform.cinema, ordered(platform), early, {Mood: Mood()})

    report = replay(platform, ordered(platform), lines(platform)).report

    assert (report.duplicates, report.applied) == (100, 150)
    assert effects(platform.cinema) == [(str(reel), sequence) for sequence in range(1, 251)]


def test_a_failure_is_named_and_holds_its_own_aggregate_only_until_the_replay_is_repeated(platform: Platform) -> None:
    held = ids.new_id()
    with platform.studio.transaction() as tx:
        torn = [tx.publish(Cut(reel_id=held, number=number)) for number in range(4)][1]
    free = publish_cuts(platform, range(4))
    filed(platform)

    def refuse(envelope: Envelope) -> None:
        if envelope.id == torn:
            raise Permanent("the second reel is torn")

    report = replay(platform, ordered(platform), lines(platform), mood=Mood(before=refuse)).report
    assert (report.applied, report.parked, report.failed) == (5, 2, 1)
    assert report.failures[0]["id"] == str(torn)
    assert report.failures[0]["reason"] == "the second reel is torn"
    assert [sequence for subject, sequence in effects(platform.cinema) if subject == free] == [1, 2, 3, 4]

    again = replay(platform, ordered(platform), lines(platform)).report
    assert again.failed == 0
    assert [sequence for subject, sequence in effects(platform.cinema) if subject == str(held)] == [1, 2, 3, 4]
    assert stored(platform.cinema, "parked_events") == 0


@pytest.mark.parametrize(
    ("failing", "named"),
    [
        (FAILURES_NAMED_MAX - 1, FAILURES_NAMED_MAX - 1),
        (FAILURES_NAMED_MAX, FAILURES_NAMED_MAX),
        (FAILURES_NAMED_MAX + 1, FAILURES_NAMED_MAX),
    ],
)
def test_every_failure_is_counted_and_the_first_are_named(platform: Platform, failing: int, named: int) -> None:
    publish_sold(platform, failing)
    filed(platform)

    def refuse(_envelope: Envelope) -> None:
        raise Permanent("no seats")

    tickets = lines(platform, Span(patterns=(f"{STUDIO}.ticket.*",)))
    report = replay(platform, unordered(platform), tickets, mood=Mood(before=refuse)).report

    assert (report.failed, len(report.failures)) == (failing, named)


def test_a_line_that_is_no_event_is_a_failure_and_the_rest_goes_on(platform: Platform) -> None:
    publish_cuts(platform, range(1))
    filed(platform)

    report = replay(platform, ordered(platform), iter([b'{"id": 1}\n', b"\n", *lines(platform)])).report

    assert (report.applied, report.failed) == (1, 1)
    assert report.failures[0]["error"] == "MalformedEvent"


# ---- baselines


def test_what_the_archive_no_longer_begins_waits_for_a_baseline_and_is_not_parked(platform: Platform) -> None:
    reel = ids.new_id()
    publish_cuts(platform, range(5), reel)
    filed(platform)
    pruned(platform, reel, below=3)

    report = replay(platform, ordered(platform), lines(platform)).report
    assert (report.applied, report.parked, report.out_of_reach) == (0, 0, 3)
    assert stored(platform.cinema, "parked_events") == 0

    report = replay(platform, ordered(platform), lines(platform), baseline=True).report
    assert (report.baselines, report.applied) == (1, 3)
    assert effects(platform.cinema) == [(str(reel), sequence) for sequence in (3, 4, 5)]


def test_a_baseline_from_now_on_begins_with_the_next_event_and_frees_what_was_parked_in_vain(platform: Platform) -> None:
    reel = ids.new_id()
    publish_cuts(platform, range(5), reel)
    filed(platform)
    apply(platform.cinema, ordered(platform), archived(platform)[3:], {Mood: Mood()})
    assert stored(platform.cinema, "parked_events") == 2
    span = Span(since=clock.now(), patterns=(f"{REEL}.*",))

    report = replay(platform, ordered(platform), lines(platform, span), baseline=True).report
    assert (report.read, report.baselines) == (0, 1)
    assert stored(platform.cinema, "parked_events") == 0

    publish_cuts(platform, range(1), reel)
    filed(platform)
    assert apply(platform.cinema, ordered(platform), archived(platform)[5:], {Mood: Mood()}) == [Outcome.APPLIED]


def test_a_baseline_moves_no_gate_that_has_moved_and_none_whose_event_is_a_dead_letter(platform: Platform) -> None:
    begun, dead, fresh = (ids.new_id() for _ in range(3))
    for reel in (begun, dead, fresh):
        publish_cuts(platform, range(3), reel)
    filed(platform)
    first = [each for each in archived(platform) if each.subject == str(begun) and each.sequence == 1]
    apply(platform.cinema, ordered(platform), first, {Mood: Mood()})
    span = Span(since=clock.now(), patterns=(f"{REEL}.*",))

    run = replay(platform, ordered(platform), lines(platform, span), baseline=True, held=frozenset({str(dead)}))

    assert run.report.baselines == 1
    with platform.cinema.transaction() as tx:
        last = gate_of(platform.cinema.metadata).lock(tx, ordered(platform).name, map(str, (begun, dead, fresh)))
    assert last == {str(begun): 1, str(dead): 0, str(fresh): 3}


# ---- from nothing


def rebuilt(platform: Platform, subscription: Subscription, source: Iterator[bytes], **options: object) -> Replay:
    return replay(platform, under(subscription, "rebuild_1"), source, **options)


def test_a_rebuild_restores_an_emptied_projection_and_leaves_to_the_queue_what_is_still_in_it(platform: Platform) -> None:
    reel = ids.new_id()
    publish_cuts(platform, range(5), reel)
    with platform.studio.transaction() as tx:
        tx.publish(Labelled(reel_id=reel))
    publish_cuts(platform, range(2), reel)
    filed(platform)
    apply(platform.cinema, ordered(platform), archived(platform)[:7], {Mood: Mood()})
    before = effects(platform.cinema)
    emptied(platform.cinema)

    report = rebuilt(platform, ordered(platform), lines(platform)).report

    assert (report.applied, report.ignored, report.left) == (6, 1, 1)
    assert effects(platform.cinema) == before == [(str(reel), sequence) for sequence in (1, 2, 3, 4, 5, 7)]
    # The queue delivers the rest under the subscription's own name, in its turn.
    assert apply(platform.cinema, ordered(platform), archived(platform)[7:], {Mood: Mood()}) == [Outcome.APPLIED]
    # Repeated, a rebuild is a no-op for what it applied.
    assert rebuilt(platform, ordered(platform), lines(platform)).report.applied == 1


def test_a_rebuild_of_an_unordered_subscription_applies_what_it_had_applied(platform: Platform) -> None:
    publish_sold(platform, 3)
    filed(platform)
    apply(platform.cinema, unordered(platform), archived(platform)[:2], {Mood: Mood()})
    before = effects(platform.cinema)
    emptied(platform.cinema)

    report = rebuilt(platform, unordered(platform), lines(platform, Span(patterns=(f"{STUDIO}.ticket.*",)))).report

    assert (report.applied, report.left) == (2, 1)
    assert sorted(effects(platform.cinema)) == sorted(before)


def test_a_rebuild_passes_over_what_was_dropped(platform: Platform) -> None:
    reel = ids.new_id()
    publish_cuts(platform, range(4), reel)
    filed(platform)
    events = archived(platform)
    apply(platform.cinema, ordered(platform), events[:1], {Mood: Mood()})
    with platform.cinema.transaction() as tx:
        gate_of(platform.cinema.metadata).advance(tx, ordered(platform).name, {str(reel): 2})
    apply(platform.cinema, ordered(platform), events[2:], {Mood: Mood()})
    emptied(platform.cinema)

    report = rebuilt(platform, ordered(platform), lines(platform)).report

    assert (report.applied, report.passed_over) == (3, 1)
    assert effects(platform.cinema) == [(str(reel), sequence) for sequence in (1, 3, 4)]


def test_a_rebuild_begins_where_the_archive_begins(platform: Platform) -> None:
    reel = ids.new_id()
    publish_cuts(platform, range(5), reel)
    filed(platform)
    apply(platform.cinema, ordered(platform), archived(platform), {Mood: Mood()})
    pruned(platform, reel, below=3)
    emptied(platform.cinema)

    report = rebuilt(platform, ordered(platform), lines(platform)).report

    assert (report.baselines, report.applied) == (1, 3)


def test_a_handler_that_publishes_facts_is_refused_a_rebuild(platform: Platform) -> None:
    publish_sold(platform, 1)
    filed(platform)
    apply(platform.cinema, unordered(platform), archived(platform), {Mood: Mood()})
    run = Replay(platform.cinema, under(unordered(platform), "rebuild_1"), {Mood: Mood()})

    with run._database.transaction() as tx, pytest.raises(FactsLeave, match="only projections are rebuilt"):
        tx.publish(Sold(ticket_id=ids.new_id(), number=1))


@pytest.mark.parametrize("name", ["", "a b", "über", "x" * 61, "a.b"])
def test_a_rebuild_needs_a_plain_name(platform: Platform, name: str) -> None:
    with pytest.raises(ValueError, match="for example rebuild_1"):
        under(ordered(platform), name)


@pytest.mark.parametrize("name", ["r", "rebuild_1", "x" * 60])
def test_a_rebuild_has_an_inbox_of_its_own_and_the_queue_of_its_subscription(platform: Platform, name: str) -> None:
    alias = under(ordered(platform), name)

    assert alias.name != ordered(platform).name
    assert (alias.queue, alias.declared_name) == (ordered(platform).queue, ordered(platform).name)


def test_a_running_consumer_is_noticed(platform: Platform) -> None:
    with cinema(platform, show) as service:
        assert is_consumed(platform.amqp_url, service.subscription)
    assert not is_consumed(platform.amqp_url, service.subscription)


def test_archived_personal_values_cannot_be_opened_and_say_so(platform: Platform, keyring: object) -> None:
    with platform.studio.transaction() as tx:
        tx.publish(Hired(person_id=ids.new_id(), email=Personal.of("ada@example.org", about=ids.new_id())))
    filed(platform)
    (envelope,) = archived(platform)

    with pytest.raises(ValueError, match="only the commitment is left"):
        envelope.event(Hired).email.open(keyring)  # type: ignore[arg-type]
    assert b"ada@" not in orjson.dumps(envelope.data)


def test_a_rebuild_passes_over_numbers_that_were_recorded_out_of_their_order(platform: Platform) -> None:
    reel, subscription = ids.new_id(), ordered(platform)
    events = [envelope_of(reel, sequence) for sequence in range(1, 6)]
    with platform.cinema.transaction() as tx:
        # As a baseline or drops leave it: the first three never took effect here.
        gate_of(platform.cinema.metadata).advance(tx, subscription.name, {str(reel): 3})
    apply(platform.cinema, subscription, events[3:], {Mood: Mood()})
    emptied(platform.cinema)

    # The moment of a fact is that of its transaction's beginning: within an aggregate 3 may have an earlier one than 2.
    source = [events[place].encode() for place in (0, 2, 1, 3, 4)]
    run = replay(platform, under(subscription, "rebuild"), iter(source))

    assert effects(platform.cinema) == [(str(reel), 4), (str(reel), 5)]
    assert (run.report.passed_over, run.report.applied, run.report.parked) == (3, 2, 0)
