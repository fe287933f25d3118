"""The relay with a backlog: one batch is taken while another is confirmed, and none overtakes another."""

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Row, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import make_url

from libs.common import ids
from libs.common.db import Database, kernel_tables
from libs.common.db.database import psycopg2_url, single_connection_engine
from libs.common.db.locks import AdvisoryLocks
from libs.common.events import Envelope
from libs.common.events import relay as relay_module
from libs.common.events.broker import BrokerUnavailable, subscribe
from libs.common.events.broker.publisher import Outgoing, PipelinedPublisher, Sent
from libs.common.events.relay import Relay, _claim
from libs.common.events.retention import Retention, keep_archive
from libs.common.events.tests.cinema import Cinema, publish_cuts, stored
from libs.common.events.tests.live import Noted, eventually, file, running, show, subscriptions
from libs.common.events.tests.platform import Platform, backing, forget
from libs.common.telemetry import context
from libs.common.telemetry.traces import collect_spans, new_traceparent

BATCH = 10


class Watched(PipelinedPublisher):
    """Tells what was sent and how many batches were unconfirmed then; some confirms never come."""

    def __init__(self, platform: Platform, missing: Collection[int] = ()) -> None:
        super().__init__(platform.amqp_url, "watched")
        self.batches: list[list[str]] = []
        self.in_flight: list[int] = []
        self._missing = missing
        self._waits = 0

    def send(self, events: Sequence[Outgoing]) -> Sent:
        if events:
            self.batches.append([each.event_id for each in events])
        sent = super().send(events)
        self.in_flight.append(sum(1 for each in self._sent if each.unconfirmed))
        return sent

    def confirm(self, sent: Sent, *, timeout_seconds: float) -> None:
        self._waits += 1
        if self._waits in self._missing:
            raise BrokerUnavailable("publish: refused on purpose")
        super().confirm(sent, timeout_seconds=timeout_seconds)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "BATCH_EVENTS", BATCH)


def relayed(platform: Platform, publisher: Watched, service: Cinema, events: int) -> list[str]:
    """Ids of the events, in the order of their commits, after all of them took effect."""
    reel = publish_cuts(platform, range(events))
    outbox = kernel_tables(platform.studio.metadata).outbox
    with platform.studio.reader() as reader:
        waiting = [str(row.event_id) for row in reader.all(select(outbox.c.event_id).order_by(outbox.c.id))]
    relay = Relay(platform.studio, platform.amqp_url, AdvisoryLocks(platform.studio))
    relay._publisher = publisher
    with running(relay.run):
        eventually(lambda: stored(platform.studio, "outbox") == 0, "the outbox is empty")
        eventually(lambda: len(service.effects()) >= events, "all effects")
    assert service.effects() == [(reel, sequence) for sequence in range(1, events + 1)]
    assert stored(platform.studio, "event_archive") == events
    return waiting


@contextmanager
def listening(platform: Platform) -> Iterator[Cinema]:
    """A consumer without a relay beside it."""
    service = Cinema(platform, subscriptions(platform.consumer, show), {})
    subscribe(platform.amqp_url, service.subscribed)
    try:
        with running(service.consumer().run):
            yield service
    finally:
        forget(platform.amqp_url, service.subscribed)


@pytest.mark.parametrize("events", [BATCH - 1, BATCH, BATCH + 1, 5 * BATCH + 3])
def test_a_backlog_leaves_in_order_whatever_its_length(platform: Platform, events: int) -> None:
    publisher = Watched(platform)
    with listening(platform) as service:
        waiting = relayed(platform, publisher, service, events)

    assert [each for batch in publisher.batches for each in batch] == waiting
    assert {len(batch) for batch in publisher.batches[:-1]} <= {BATCH}


@pytest.mark.parametrize("missing", [{1}, {2}, {1, 2, 3}])
def test_a_batch_that_is_not_confirmed_takes_the_one_behind_it_back_with_it(platform: Platform, missing: set[int]) -> None:
    publisher = Watched(platform, missing)
    with listening(platform) as service:
        waiting = relayed(platform, publisher, service, 5 * BATCH)

    seen: list[str] = []
    for batch in publisher.batches:
        # Whatever is sent again begins where the first unconfirmed batch began: nothing is left out, nothing overtakes.
        start = waiting.index(batch[0])
        assert start <= len(seen)
        assert batch == waiting[start : start + BATCH]
        seen[start:] = batch
    assert seen == waiting
    assert len(publisher.batches) > 5


def test_never_more_batches_are_in_flight_than_allowed(platform: Platform) -> None:
    publisher = Watched(platform)
    with listening(platform) as service:
        relayed(platform, publisher, service, 8 * BATCH)

    assert max(publisher.in_flight) <= relay_module.BATCHES_IN_FLIGHT


@pytest.mark.parametrize("note_bytes", [0, 130_000, 131_072, 250_000])
def test_an_event_of_several_frames_arrives_whole(platform: Platform, note_bytes: int) -> None:
    subscribed = subscriptions(platform.consumer, file)
    subscribe(platform.amqp_url, subscribed)
    relay = Relay(platform.studio, platform.amqp_url, AdvisoryLocks(platform.studio))
    try:
        with platform.studio.transaction() as tx:
            event_id = tx.publish(Noted(reel_id=ids.new_id(), note="n" * note_bytes))
        with running(relay.run):
            eventually(lambda: stored(platform.studio, "outbox") == 0, "it left")
        bodies = [body for body, _ in platform.take(subscribed.queues[0].queue) if str(event_id).encode() in body]
    finally:
        forget(platform.amqp_url, subscribed)

    assert [Envelope.decode(body).event(Noted).note for body in bodies] == ["n" * note_bytes]


def test_the_oldest_events_are_found_by_key_though_statistics_say_that_there_are_none(platform: Platform) -> None:
    publish_cuts(platform, range(200))
    outbox = kernel_tables(platform.studio.metadata).outbox
    with platform.studio.transaction() as tx:
        tx.execute(outbox.delete())
    analyse(platform.studio)
    publish_cuts(platform, range(2_000))

    dialect = postgresql.psycopg2.dialect()  # type: ignore[no-untyped-call]
    statement = str(_claim(platform.studio.metadata).compile(dialect=dialect))
    with platform.studio.transaction() as tx:
        rows = tx.connection.exec_driver_sql(f"EXPLAIN {statement}", {"batch": 500, "held": [1, 2]}).all()

    plan = "\n".join(row[0] for row in rows)
    assert "Nested Loop" not in plan
    assert "Seq Scan" not in plan


def analyse(database: Database) -> None:
    as_superuser(database, f"VACUUM (ANALYZE, TRUNCATE false) {database.schema}.outbox")


def as_superuser(database: Database, statement: str) -> list[Row[Any]]:
    url = make_url(backing("DATABASE_URL")).set(database=database.url.database)
    with single_connection_engine(psycopg2_url(url.render_as_string(hide_password=False))).connect() as admin:
        answer = admin.execute(text(statement))
        return list(answer.all()) if answer.returns_rows else []


NEWEST_WEEK = text(
    "SELECT max(relname) FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid "
    "WHERE inhparent = 'event_archive'::regclass AND relname <> 'event_archive_other'"
)
WAITING_FOR_THE_ARCHIVE = text(
    "SELECT count(*) FROM pg_locks WHERE relation = 'event_archive'::regclass AND mode = 'AccessExclusiveLock' AND NOT granted"
)


def test_a_week_of_the_archive_is_made_between_two_batches_of_a_relay_that_never_rests(platform: Platform) -> None:
    with platform.studio.reader() as reader:
        newest = reader.scalar(NEWEST_WEEK)
    as_superuser(platform.studio, f"DROP TABLE {platform.studio.schema}.{newest}")
    publish_cuts(platform, range(3 * BATCH))
    relay = Relay(platform.studio, platform.amqp_url, AdvisoryLocks(platform.studio))
    relay._publisher = Watched(platform)
    relay._publisher.open()

    def made() -> int:
        with platform.studio.transaction() as tx:
            return keep_archive(tx, Retention())

    def waits() -> bool:
        with platform.studio.reader() as reader:
            return bool(reader.scalar(WAITING_FOR_THE_ARCHIVE))

    with ThreadPoolExecutor(1) as pool:
        assert relay.publish_batch() == BATCH  # and it stays in flight
        making = pool.submit(made)
        eventually(waits, "the week waits for the batch in flight")
        assert [relay.publish_batch() for _ in range(3)] == [BATCH, BATCH, 0]
        assert making.result() == 0
    relay._publisher.close()

    with platform.studio.reader() as reader:
        assert reader.scalar(NEWEST_WEEK) == newest
    assert stored(platform.studio, "event_archive") == 3 * BATCH


def test_confirms_count_for_the_batch_that_they_belong_to() -> None:
    first, second = Sent({1, 2, 3}, 1), Sent({4, 5}, 4)

    def confirm(tag: int, *, multiple: bool) -> tuple[set[int], set[int]]:
        for each in (first, second):
            each.confirm(tag, multiple=multiple)
        return set(first.unconfirmed), set(second.unconfirmed)

    assert confirm(2, multiple=False) == ({1, 3}, {4, 5})
    assert confirm(1, multiple=True) == ({3}, {4, 5})
    assert confirm(1, multiple=True) == ({3}, {4, 5})
    assert confirm(4, multiple=True) == (set(), {5})
    assert confirm(5, multiple=False) == (set(), set())


def test_each_sampled_event_has_a_span_of_its_publishing_in_its_own_trace(platform: Platform) -> None:
    sampled, unsampled = new_traceparent(sampled=True), new_traceparent(sampled=False)
    for each in (sampled, unsampled, None):
        with context.bound(traceparent=each):
            publish_cuts(platform, range(1))
    spans = collect_spans("tests")
    relay = Relay(platform.studio, platform.amqp_url, AdvisoryLocks(platform.studio))
    with running(relay.run):
        eventually(lambda: stored(platform.studio, "outbox") == 0, "they left")

    (span,) = spans.spans
    assert span.parent is not None
    assert span.name.endswith(".reel.cut publish")
    assert (format(span.parent.trace_id, "032x"), format(span.parent.span_id, "016x")) == tuple(sampled.split("-")[1:3])
