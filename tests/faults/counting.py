"""What Postgres says came of a run: nothing is lost, doubled, out of order or made up, or it is counted here."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ARRAY, Executable, Text, Uuid, cast, func, literal, select, union

from libs.common.db import Database, kernel_tables
from libs.common.db.database import psycopg2_url, single_connection_engine
from libs.common.events.tests.live import effect, eventually
from libs.common.events.tests.platform import Platform, backing

SETTLE_SECONDS: Final = 90.0


@dataclass(frozen=True)
class Count:
    """The verdict of a run."""

    published: int
    effects: int
    lost: int
    """Events of acknowledged commands, or filed in the archive, without an effect; and numbers that were given out in vain."""
    duplicates: int
    out_of_order: int
    phantoms: int
    """Effects of commands that were taken back, or of events that the archive does not know."""

    @property
    def verdict(self) -> tuple[int, int, int, int]:
        return self.lost, self.duplicates, self.out_of_order, self.phantoms

    def __str__(self) -> str:
        return (
            f"{self.published:,} events published, {self.effects:,} effects: lost {self.lost}, duplicate effects "
            f"{self.duplicates}, out of order {self.out_of_order}, phantoms {self.phantoms}"
        )


FLAWLESS: Final = (0, 0, 0, 0)


def await_settled(platform: Platform, acknowledged: Collection[UUID] = (), seconds: float = SETTLE_SECONDS) -> None:
    """Until the outbox is empty and every event that was archived or acknowledged has its effect."""
    statement = select(_waiting(platform), func.count()).select_from(_lost(platform, acknowledged))

    def settled() -> bool:
        waiting, lost = _ask(platform, statement)
        return not waiting and not lost

    eventually(settled, "every published event has its effect", seconds)


def counted(platform: Platform, acknowledged: Collection[UUID] = (), taken_back: Collection[UUID] = ()) -> Count:
    """Count in Postgres. Raises AssertionError while anything waits in the outbox or is parked, or when nothing ever flowed."""
    studio, cinema = kernel_tables(platform.studio.metadata), kernel_tables(platform.cinema.metadata)
    archive = studio.event_archive
    waiting, parked = _ask(
        platform, select(_waiting(platform), select(func.count()).select_from(cinema.parked_events).scalar_subquery())
    )
    assert (waiting, parked) == (0, 0), f"{waiting} events wait in the outbox and {parked} are parked"
    before = func.lag(effect.c.sequence, 1, 0).over(partition_by=effect.c.subject, order_by=effect.c.position)
    ordered = select(effect.c.event_id, (effect.c.sequence != before + 1).label("astray")).subquery()
    effects, distinct, astray = _ask(
        platform,
        select(
            func.count(),
            func.count(ordered.c.event_id.distinct()),
            func.count().filter(ordered.c.astray),
        ).select_from(ordered),
    )
    made_up = select(func.count(effect.c.event_id.distinct())).where(
        effect.c.event_id.not_in(select(archive.c.event_id)) | effect.c.event_id.in_(select(_ids(taken_back)))
    )
    numbered = select(func.coalesce(func.sum(studio.aggregate_sequence.c.last_sequence), 0)).scalar_subquery()
    filed = select(func.count()).select_from(archive).scalar_subquery()
    given_out, published = _ask(platform, select(numbered, filed))
    assert published, "nothing was published: a count of nothing proves nothing"
    (lost,) = _ask(platform, select(func.count()).select_from(_lost(platform, acknowledged)))
    (phantoms,) = _ask(platform, made_up)
    return Count(published, effects, lost + abs(int(given_out) - published), effects - distinct, astray, phantoms)


def outbox_depth(database: Database) -> int:
    """How many events wait to be published."""
    with database.reader() as reader:
        depth: int = reader.scalar(select(func.count()).select_from(kernel_tables(database.metadata).outbox))
        return depth


def effects_made(platform: Platform) -> int:
    """How many effects there are."""
    (made,) = _ask(platform, select(func.count()).select_from(effect))
    return int(made)


def _waiting(platform: Platform) -> Any:
    return select(func.count()).select_from(kernel_tables(platform.studio.metadata).outbox).scalar_subquery()


def _lost(platform: Platform, acknowledged: Collection[UUID]) -> Any:
    archive = kernel_tables(platform.studio.metadata).event_archive
    expected = union(select(archive.c.event_id), select(_ids(acknowledged))).subquery()
    return select(expected.c.event_id).where(expected.c.event_id.not_in(select(effect.c.event_id))).subquery()


def _ids(events: Collection[UUID]) -> Any:
    texts = literal([str(each) for each in events], ARRAY(Text))
    return func.unnest(cast(texts, ARRAY(Uuid))).label("event_id")


def _ask(platform: Platform, statement: Executable) -> tuple[Any, ...]:
    """One row, as the superuser: no service may look into another's schema."""
    url = psycopg2_url(backing("DATABASE_URL")).set(database=platform.studio.url.database)
    with single_connection_engine(url).connect() as admin:
        return tuple(admin.execute(statement).one())
