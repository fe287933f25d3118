"""The archive keeps whole weeks for a time; the running service can neither end that time early nor touch what is kept."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy.exc import DBAPIError

from libs.common import clock, ids
from libs.common.config import RETENTION_DAYS_MIN
from libs.common.db import archive as archives
from libs.common.db import kernel_tables
from libs.common.db.archive import WEEKS_AHEAD, set_up_archive
from libs.common.db.database import single_connection_engine
from libs.common.events import retention as keeping
from libs.common.events.retention import INBOX_MARGIN_DAYS, Retention, keep_archive, prune_inbox
from libs.common.tests.conftest import PREFIX, Sample, metadata

archive, inbox = kernel_tables(metadata).event_archive, kernel_tables(metadata).inbox
PARTITIONS = text(
    "SELECT c.relname FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid "
    "WHERE inhparent = 'sample.event_archive'::regclass ORDER BY c.relname"
)


def file_event(sample: Sample, recorded_at: datetime) -> UUID:
    event_id = ids.new_id()
    row = {"event_id": event_id, "type": "sample.audit.recorded", "aggregate_type": "sample.audit", "aggregate_id": "1"}
    with sample.database.transaction() as tx:
        tx.execute(insert(archive), row | {"sequence": 1, "body": b"{}", "recorded_at": recorded_at})
    return event_id


def filed(sample: Sample) -> set[UUID]:
    with sample.database.reader() as reader:
        return {row.event_id for row in reader.all(select(archive.c.event_id))}


def kept(sample: Sample, days: int) -> int:
    with sample.database.transaction() as tx:
        return keep_archive(tx, Retention(days))


@pytest.fixture
def owner(sample: Sample) -> Iterator[Connection]:
    """The schema's owner; afterwards the archive has the weeks that are due and no other."""
    engine = single_connection_engine(sample.superuser_url)
    with engine.connect() as connection:
        connection.execute(text(f"SET ROLE {PREFIX}_sample_owner"))
        yield connection
        for name in partitions(connection):
            connection.execute(text(f"DROP TABLE sample.{name}"))
        set_up_archive(connection, archive)
    engine.dispose()


def partitions(connection: Connection) -> list[str]:
    return list(connection.scalars(PARTITIONS))


def add_week(owner: Connection, moment: datetime) -> str:
    before = set(partitions(owner))
    owner.execute(text("SELECT sample.add_archive_week(date_trunc('week', CAST(:at AS timestamptz), 'UTC'))"), {"at": moment})
    (made,) = set(partitions(owner)) - before
    return made


def test_this_week_and_those_to_come_are_made_ahead_and_making_them_again_changes_nothing(
    sample: Sample, owner: Connection
) -> None:
    before = partitions(owner)
    assert len(before) == 1 + WEEKS_AHEAD + 1
    assert kept(sample, 90) == 0
    assert partitions(owner) == before


def test_a_week_goes_when_all_of_it_is_over_the_retention_and_not_a_day_earlier(sample: Sample, owner: Connection) -> None:
    now = clock.now()
    monday = (now - timedelta(days=now.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)
    week = monday - timedelta(weeks=10)
    made = add_week(owner, week)
    event = file_event(sample, week + timedelta(days=6, hours=23))
    days_since_its_end = (now - (week + timedelta(weeks=1))).days

    assert kept(sample, days_since_its_end + 1) == 0
    assert event in filed(sample)
    assert kept(sample, days_since_its_end) == 1
    assert event not in filed(sample)
    assert made not in partitions(owner)


@pytest.mark.parametrize("days", [0, -1, 1, RETENTION_DAYS_MIN - 1])
def test_whoever_holds_the_running_service_cannot_make_the_past_go_away(sample: Sample, owner: Connection, days: int) -> None:
    recent = clock.now() - timedelta(days=RETENTION_DAYS_MIN - 1)
    add_week(owner, recent)
    event = file_event(sample, recent)

    assert kept(sample, days) == 0
    assert event in filed(sample)


def test_what_no_week_was_made_for_is_filed_all_the_same_and_goes_in_its_time(sample: Sample, owner: Connection) -> None:
    late, over = clock.now() - timedelta(days=50), clock.now() - timedelta(days=100)
    events = [file_event(sample, late), file_event(sample, over)]
    assert set(events) <= filed(sample)

    kept(sample, 90)

    assert events[0] in filed(sample)
    assert events[1] not in filed(sample)


def test_a_week_for_which_events_came_before_it_was_made_leaves_them_where_they_are(sample: Sample, owner: Connection) -> None:
    far = clock.now() + timedelta(weeks=WEEKS_AHEAD + 3)
    event = file_event(sample, far)
    owner.execute(text("SELECT sample.add_archive_week(date_trunc('week', CAST(:at AS timestamptz), 'UTC'))"), {"at": far})

    assert event in filed(sample)
    assert len(partitions(owner)) == 1 + WEEKS_AHEAD + 1


@pytest.mark.parametrize("verb", ["UPDATE {} SET type = 'x'", "DELETE FROM {}", "TRUNCATE {}"])
def test_no_part_of_the_archive_can_be_changed_even_by_its_owner(sample: Sample, owner: Connection, verb: str) -> None:
    file_event(sample, clock.now())
    for name in ["event_archive", *partitions(owner)]:
        with pytest.raises(DBAPIError, match="append-only"):
            owner.execute(text(verb.format(f"sample.{name}")))


@pytest.mark.parametrize("statement", ["SELECT * FROM sample.{}", "DROP TABLE sample.{}", "DELETE FROM sample.{}"])
def test_the_running_service_reaches_the_weeks_only_through_the_archive(
    sample: Sample, owner: Connection, statement: str
) -> None:
    for name in partitions(owner):
        with pytest.raises(DBAPIError, match=r"permission denied|must be owner"), sample.database.transaction() as tx:
            tx.execute(text(statement.format(name)))


def test_the_one_table_of_an_older_release_becomes_a_part_with_everything_in_it(sample: Sample, owner: Connection) -> None:
    owner.execute(text("DROP TABLE sample.event_archive"))
    owner.execute(
        text(
            "CREATE TABLE sample.event_archive (event_id uuid NOT NULL, type text NOT NULL, aggregate_type text NOT NULL, "
            "aggregate_id text NOT NULL, sequence bigint NOT NULL, body bytea NOT NULL, recorded_at timestamptz NOT NULL, "
            "CONSTRAINT pk_event_archive PRIMARY KEY (event_id, recorded_at))"
        )
    )
    owner.execute(text("CREATE INDEX ix_event_archive_type ON sample.event_archive (type, recorded_at)"))
    owner.execute(text(f"GRANT SELECT, INSERT ON sample.event_archive TO {PREFIX}_sample"))
    old = file_event(sample, clock.now() - timedelta(days=200))

    for _ in range(2):
        set_up_archive(owner, archive)
        owner.execute(text(f"GRANT SELECT, INSERT ON sample.event_archive TO {PREFIX}_sample"))
    new = file_event(sample, clock.now())

    assert {old, new} <= filed(sample)
    assert "event_archive_before" in partitions(owner)


@pytest.mark.parametrize(
    ("days_over", "forgotten"), [(-1, False), (1, True)], ids=["a day before the limit", "a day after the limit"]
)
def test_the_inbox_forgets_what_was_applied_before_anything_that_can_be_replayed(
    sample: Sample, monkeypatch: pytest.MonkeyPatch, days_over: int, forgotten: bool
) -> None:
    monkeypatch.setattr(keeping, "INBOX_BATCH", 2)
    then = clock.now() - timedelta(days=90 + INBOX_MARGIN_DAYS + days_over)
    old = [UUID(int=ids.lowest_at(then).int + number) for number in range(5)]
    rows = [
        {"subscription": name, "event_id": each, "applied_at": then} for name in ("sample.b.c", "sample.a.b") for each in old
    ]
    replayed = {"subscription": "sample.z.z", "event_id": old[0], "applied_at": clock.now()}
    fresh = {"subscription": "sample.a.b", "event_id": ids.new_id(), "applied_at": clock.now()}
    with sample.database.transaction() as tx:
        tx.execute(insert(inbox), [*rows, replayed, fresh])

    assert prune_inbox(sample.database, Retention(90)) == (10 if forgotten else 0)

    with sample.database.reader() as reader:
        assert reader.scalar(select(func.count()).select_from(inbox)) == (2 if forgotten else 12)


@pytest.mark.parametrize("days_ahead", [0, 365])
def test_a_process_whose_clock_is_ahead_forgets_nothing_that_can_still_be_replayed(
    sample: Sample, monkeypatch: pytest.MonkeyPatch, days_ahead: int
) -> None:
    now = clock.now()
    row = {"subscription": "sample.a.b", "event_id": ids.lowest_at(now), "applied_at": now}
    with sample.database.transaction() as tx:
        tx.execute(insert(inbox), row)
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(days=days_ahead))

    assert prune_inbox(sample.database, Retention(90)) == 0


@pytest.mark.parametrize(("events", "left"), [(1, 0), (2, 0), (3, 1)])
def test_what_lies_outside_all_weeks_goes_in_portions(
    sample: Sample, owner: Connection, monkeypatch: pytest.MonkeyPatch, events: int, left: int
) -> None:
    monkeypatch.setattr(archives, "OTHER_BATCH", 2)
    set_up_archive(owner, archive)
    old = {file_event(sample, clock.now() - timedelta(days=200)) for _ in range(events)}

    kept(sample, 90)
    assert len(old & filed(sample)) == left
    kept(sample, 90)
    assert not old & filed(sample)


@given(st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2100, 1, 1)))  # noqa: DTZ001 - made aware below
def test_the_lowest_id_of_a_moment_lies_between_those_made_before_and_after(moment: datetime) -> None:
    aware = moment.replace(tzinfo=clock.now().tzinfo)
    bound = ids.lowest_at(aware)
    assert ids.lowest_at(aware - timedelta(milliseconds=1)) < bound <= ids.lowest_at(aware + timedelta(milliseconds=1))


def test_new_ids_are_above_the_lowest_of_their_moment() -> None:
    before = clock.now()
    made = ids.new_id()
    assert ids.lowest_at(before) <= made < ids.lowest_at(clock.now() + timedelta(milliseconds=2))
