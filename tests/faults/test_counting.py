"""The count is believed only because it sees what is wrong when something is; and a seed gives one schedule."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, insert, update

from libs.common import ids
from libs.common.db import kernel_tables
from libs.common.events.subscriptions import Subscriptions
from libs.common.events.tests.cinema import publish_cuts, relay_of
from libs.common.events.tests.live import Cut, effect, eventually, running
from libs.common.events.tests.platform import Platform
from tests.faults.counting import FLAWLESS, counted, outbox_depth
from tests.faults.schedule import EVERYTHING, NAMES, schedule
from tests.faults.test_kills import LONG, SMALL

pytestmark = pytest.mark.faults

CUTS = 5


@pytest.fixture
def applied(bus: Platform, subscribed: Subscriptions) -> list[dict[str, Any]]:
    """Effects as they should be, written by hand."""
    publish_cuts(bus, range(CUTS))
    with running(*relay_of(bus)):
        eventually(lambda: outbox_depth(bus.studio) == 0, "all is published")
    archive = kernel_tables(bus.studio.metadata).event_archive
    with bus.studio.reader() as reader:
        rows = reader.all(archive.select().order_by(archive.c.sequence))
    effects = [
        {"event_id": row.event_id, "subject": row.aggregate_id, "sequence": row.sequence, "number": row.sequence}
        for row in rows
    ]
    with bus.cinema.transaction() as tx:
        for each in effects:
            tx.execute(insert(effect), each)
    return effects


def test_a_flawless_run_counts_nothing(bus: Platform, applied: list[dict[str, Any]]) -> None:
    result = counted(bus, [applied[0]["event_id"]], [ids.new_id()])
    assert (result.published, result.effects, result.verdict) == (CUTS, CUTS, FLAWLESS)


def test_a_run_in_which_nothing_flowed_proves_nothing(bus: Platform) -> None:
    with pytest.raises(AssertionError, match="nothing was published"):
        counted(bus)


def test_a_missing_effect_is_counted_as_lost(bus: Platform, applied: list[dict[str, Any]]) -> None:
    with bus.cinema.transaction() as tx:
        tx.execute(delete(effect).where(effect.c.event_id == applied[-1]["event_id"]))
    assert counted(bus).verdict == (1, 0, 0, 0)


def test_an_acknowledged_command_without_an_event_is_counted_as_lost(bus: Platform, applied: list[dict[str, Any]]) -> None:
    assert counted(bus, [ids.new_id()]).verdict == (1, 0, 0, 0)


def test_a_number_that_was_given_out_in_vain_is_counted_as_lost(bus: Platform, applied: list[dict[str, Any]]) -> None:
    numbers = kernel_tables(bus.studio.metadata).aggregate_sequence
    with bus.studio.transaction() as tx:
        tx.execute(update(numbers).values(last_sequence=numbers.c.last_sequence + 1))
    assert counted(bus).verdict == (1, 0, 0, 0)


def test_a_second_effect_is_counted_as_a_duplicate(bus: Platform, applied: list[dict[str, Any]]) -> None:
    with bus.cinema.transaction() as tx:
        tx.execute(insert(effect), applied[-1])
    lost, duplicates, _, phantoms = counted(bus).verdict
    assert (lost, duplicates, phantoms) == (0, 1, 0)


def test_effects_that_changed_places_are_counted_as_out_of_order(bus: Platform, applied: list[dict[str, Any]]) -> None:
    with bus.cinema.transaction() as tx:
        tx.execute(delete(effect).where(effect.c.event_id == applied[1]["event_id"]))
        tx.execute(insert(effect), applied[1])
    lost, duplicates, out_of_order, phantoms = counted(bus).verdict
    assert (lost, duplicates, phantoms) == (0, 0, 0)
    assert out_of_order > 0


def test_an_effect_of_what_was_taken_back_or_never_published_is_counted_as_a_phantom(
    bus: Platform, applied: list[dict[str, Any]]
) -> None:
    assert counted(bus, taken_back=[applied[0]["event_id"]]).verdict == (0, 0, 0, 1)
    with bus.cinema.transaction() as tx:
        tx.execute(insert(effect), {"event_id": ids.new_id(), "subject": "nobody", "sequence": 1, "number": 1})
    assert counted(bus).verdict == (0, 0, 0, 1)


def test_what_still_waits_is_not_counted_at_all(bus: Platform) -> None:
    with bus.studio.transaction() as tx:
        tx.publish(Cut(reel_id=UUID(int=1), number=1))
    with pytest.raises(AssertionError, match="1 events wait"):
        counted(bus)


@pytest.mark.parametrize("run", [SMALL, LONG], ids=["500", "5000"])
def test_one_seed_gives_one_schedule_with_every_kind_of_death_as_often_as_planned(run: Any) -> None:
    turns = schedule(7, run.times)
    assert turns == schedule(7, run.times)
    assert turns != schedule(8, run.times)
    assert {kind: sum(turn.kind == kind for turn in turns) for kind in run.times} == run.times
    assert all(turn.processes == NAMES for turn in turns if turn.kind == EVERYTHING)
