"""What a service published, from its own archive: read in pages, so that a long replay holds no transaction open."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    BindParameter,
    DateTime,
    MetaData,
    Row,
    Select,
    Text,
    Uuid,
    bindparam,
    func,
    literal,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from libs.common import clock
from libs.common.db import Database, Reader, kernel_tables
from libs.common.events.patterns import matching

PAGE_EVENTS: Final = 500
PAGE_AGGREGATES: Final = 2_000
BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
EVERYTHING: Final = ("#",)
_FIRST_ID: Final = UUID(int=0)


@dataclass(frozen=True)
class Span:
    """Which archived events are meant: recorded from `since` on and before `until`, of types that a pattern gets."""

    since: datetime = BEGINNING
    until: datetime | None = None
    """None is the moment at which reading begins."""
    patterns: tuple[str, ...] = EVERYTHING


class Archive:
    """The archive of one service; its statements are built once."""

    def __init__(self, metadata: MetaData) -> None:
        self._types = _types(metadata)
        self._page = _page(metadata)
        self._baselines = _baselines(metadata)
        self._newest = _newest(metadata, "recorded_at")
        self._latest = _newest(metadata, "recorded_at", "body")
        tables = kernel_tables(metadata)
        archive, outbox = tables.event_archive, tables.outbox
        self._about = (
            select(archive.c.body)
            .where(
                archive.c.aggregate_type.in_(bindparam("aggregate_types", expanding=True)),
                archive.c.aggregate_id == bindparam("subject"),
            )
            .order_by(archive.c.sequence.desc())
            .limit(bindparam("rows"))
        )
        of_types: BindParameter[list[str]] = bindparam("types", expanding=True)
        moment: BindParameter[datetime] = bindparam("moment")
        self._at = union_all(
            select(archive.c.body).where(archive.c.type.in_(of_types), archive.c.recorded_at == moment),
            select(outbox.c.archive_body).where(outbox.c.type.in_(of_types), outbox.c.created_at == moment),
        )
        self._archived = select(archive.c.body, archive.c.recorded_at).where(archive.c.event_id == bindparam("event_id"))
        self._count = select(func.count()).where(
            archive.c.type == bindparam("type"),
            archive.c.recorded_at >= bindparam("since"),
            archive.c.recorded_at < bindparam("until"),
        )
        self._waiting = select(outbox.c.archive_body.label("body"), outbox.c.created_at.label("recorded_at")).where(
            outbox.c.event_id == bindparam("event_id")
        )

    def types(self, reader: Reader) -> list[str]:
        """Every event type that the archive holds, in a step a type however many events there are."""
        return [row.type for row in reader.all(self._types)]

    def events(self, database: Database, span: Span) -> Iterator[bytes]:
        """The events' bodies in the order in which they were recorded, within one moment in the order of their numbers."""
        until = span.until or clock.now()
        with database.reader() as reader:
            types = matching(span.patterns, self.types(reader))
        place = {"after_at": span.since, "after_sequence": 0, "after_id": _FIRST_ID}
        while types:
            # A connection a page: between two, whoever reads may take as long as they like.
            with database.reader() as reader:
                rows = reader.all(self._page, {"types": types, "until": until, **place})
            for row in rows:
                yield bytes(row.body)
            if len(rows) < PAGE_EVENTS:
                return
            last = rows[-1]
            place = {"after_at": last.recorded_at, "after_sequence": last.sequence, "after_id": last.event_id}

    def baselines(self, database: Database, aggregate_type: str, since: datetime) -> Iterator[tuple[str, int]]:
        """(aggregate, sequence) after which a reader from `since` on sees the aggregate without a gap; those above 0.

        An aggregate that has nothing from then on begins after its last committed event. One statement reads a page, so what
        is committed before belongs to the past, and what comes after it follows without a gap.
        """
        after = ""
        while True:
            with database.reader() as reader:
                given = {"aggregate_type": aggregate_type, "since": since, "after": after}
                rows = reader.all(self._baselines, given)
            yield from ((row.aggregate_id, row.first_sequence - 1) for row in rows if row.first_sequence > 1)
            if len(rows) < PAGE_AGGREGATES:
                return
            after = rows[-1].aggregate_id

    def newest(self, reader: Reader, types: Iterable[str], limit: int) -> list[datetime]:
        """When the newest events of these types were recorded, newest first."""
        rows = reader.all(self._newest, {"types": sorted(types), "rows": limit})
        return [row.recorded_at for row in rows]

    def counts(self, database: Database, types: Iterable[str], since: datetime, until: datetime) -> dict[str, int]:
        """How many events of each type were recorded in a span."""
        counted = {}
        for event_type in types:
            with database.reader() as reader:
                given = {"type": event_type, "since": since, "until": until}
                counted[event_type] = int(reader.scalar(self._count, given))
        return counted

    def latest(self, reader: Reader, types: Iterable[str], limit: int) -> list[bytes]:
        """The newest events of these types, newest first."""
        return [bytes(row.body) for row in reader.all(self._latest, {"types": sorted(types), "rows": limit})]

    def about(self, reader: Reader, aggregate_types: Iterable[str], subject: str, limit: int) -> list[bytes]:
        """The newest events about one aggregate, newest first."""
        given = {"aggregate_types": sorted(set(aggregate_types)), "subject": subject, "rows": limit}
        return [bytes(row.body) for row in reader.all(self._about, given)]

    def recorded_at(self, reader: Reader, types: Iterable[str], moment: datetime) -> list[bytes]:
        """What was committed in this very moment, published or not: one transaction has one moment."""
        given = {"types": sorted(types), "moment": moment}
        return [bytes(row.body) for row in reader.all(self._at, given)]

    def find(self, reader: Reader, event_id: UUID) -> tuple[Row[Any], bool] | None:
        """(`body` and `recorded_at`, whether it is published) of one event, or None."""
        for statement, published in ((self._waiting, False), (self._archived, True)):
            row = reader.first(statement, {"event_id": event_id})
            if row is not None:
                return row, published
        return None


@lru_cache(maxsize=32)
def archive_of(metadata: MetaData) -> Archive:
    """The archive of a schema."""
    return Archive(metadata)


def _types(metadata: MetaData) -> Select[Any]:
    archive = kernel_tables(metadata).event_archive
    step = select(func.min(archive.c.type).label("type")).cte("step", recursive=True)
    further = select(func.min(archive.c.type)).where(archive.c.type > step.c.type).scalar_subquery()
    steps = step.union_all(select(further).where(step.c.type.is_not(None)))
    return select(steps.c.type).where(steps.c.type.is_not(None))


def _wanted_types() -> Any:
    return func.unnest(bindparam("types", type_=ARRAY(Text))).table_valued("type", name="wanted").render_derived()


def _page(metadata: MetaData) -> Select[Any]:
    """A page of several types merged by time: each type's part comes from the index in order."""
    archive, wanted = kernel_tables(metadata).event_archive, _wanted_types()
    after_at = bindparam("after_at", type_=DateTime(timezone=True))
    after = tuple_(after_at, bindparam("after_sequence", type_=BigInteger), bindparam("after_id", type_=Uuid))
    order = (archive.c.recorded_at, archive.c.sequence, archive.c.event_id)
    of_one_type = (
        select(archive.c.event_id, archive.c.recorded_at, archive.c.sequence, archive.c.body)
        .where(
            archive.c.type == wanted.c.type,
            archive.c.recorded_at >= after_at,
            archive.c.recorded_at < bindparam("until", type_=DateTime(timezone=True)),
            tuple_(*order) > after,
        )
        .order_by(*order)
        .limit(PAGE_EVENTS)
        .lateral("part")
    )
    part = of_one_type.c
    columns = (part.event_id, part.recorded_at, part.sequence, part.body)
    return (
        select(*columns)
        .select_from(wanted.join(of_one_type, literal(True)))
        .order_by(*columns[1:3], part.event_id)
        .limit(PAGE_EVENTS)
    )


def _newest(metadata: MetaData, *names: str) -> Select[Any]:
    """These columns of the newest events; `recorded_at` is the first of them."""
    archive, wanted = kernel_tables(metadata).event_archive, _wanted_types()
    rows = bindparam("rows", type_=BigInteger)
    of_one_type = (
        select(*(archive.c[name] for name in names))
        .where(archive.c.type == wanted.c.type)
        .order_by(archive.c.recorded_at.desc())
        .limit(rows)
        .lateral("part")
    )
    part = of_one_type.c
    columns = (part[name] for name in names)
    return select(*columns).select_from(wanted.join(of_one_type, literal(True))).order_by(part.recorded_at.desc()).limit(rows)


def _baselines(metadata: MetaData) -> Select[Any]:
    tables = kernel_tables(metadata)
    counter, archive, outbox = tables.aggregate_sequence, tables.event_archive, tables.outbox
    since = bindparam("since", type_=DateTime(timezone=True))
    aggregate_type = bindparam("aggregate_type", type_=Text)
    numbered = (
        select(archive.c.sequence, func.lag(archive.c.sequence).over(order_by=archive.c.sequence).label("before"))
        .where(
            archive.c.aggregate_type == counter.c.aggregate_type,
            archive.c.aggregate_id == counter.c.aggregate_id,
            archive.c.recorded_at >= since,
        )
        .correlate(counter)
        .subquery("numbered")
    )
    # Times within an aggregate may be a little out of order: what counts is where the last run without a gap begins.
    begins = numbered.c.before.is_(None) | (numbered.c.before != numbered.c.sequence - 1)
    archived = select(func.max(numbered.c.sequence)).where(begins).correlate(counter).scalar_subquery()
    waiting = (
        select(outbox.c.aggregate_id, func.min(outbox.c.sequence).label("sequence"))
        .where(outbox.c.aggregate_type == aggregate_type, outbox.c.created_at >= since)
        .group_by(outbox.c.aggregate_id)
        .subquery("waiting")
    )
    first = func.coalesce(archived, waiting.c.sequence, counter.c.last_sequence + 1)
    return (
        select(counter.c.aggregate_id, first.label("first_sequence"))
        .select_from(counter.outerjoin(waiting, waiting.c.aggregate_id == counter.c.aggregate_id))
        .where(counter.c.aggregate_type == aggregate_type, counter.c.aggregate_id > bindparam("after", type_=Text))
        .order_by(counter.c.aggregate_id)
        .limit(PAGE_AGGREGATES)
    )
