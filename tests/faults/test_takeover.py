"""A relay dies or loses its lock, and Postgres dies amid a batch: another relay goes on, and order holds."""

import threading
from collections.abc import Callable, Sequence
from uuid import UUID

import pytest
from sqlalchemy import text

from libs.common.db.database import psycopg2_url, single_connection_engine
from libs.common.db.locks import AdvisoryLocks
from libs.common.events import Envelope
from libs.common.events.broker.publisher import Outgoing, Sent
from libs.common.events.consumer import Consumer
from libs.common.events.relay import Relay
from libs.common.events.subscriptions import Subscriptions
from libs.common.events.tests.cinema import publish_cuts, relay_of
from libs.common.events.tests.live import Mood, eventually, running
from libs.common.events.tests.platform import Platform, backing
from tests.faults.counting import FLAWLESS, await_settled, counted, effects_made
from tests.faults.processes import Processes
from tests.faults.servers import POSTGRES, Servers, await_up

pytestmark = pytest.mark.faults

TAKEOVER_SECONDS = 5.0
"""A promise of the bus, counted from the death to the next event's effect."""
BATCH = 40
_HOLDERS = (
    "FROM pg_locks AS held JOIN pg_stat_activity AS session USING (pid) "
    "WHERE held.locktype = 'advisory' AND held.granted AND session.datname = current_database()"
)


def ask(bus: Platform, statement: str) -> list[str]:
    url = psycopg2_url(backing("DATABASE_URL")).set(database=bus.studio.url.database)
    with single_connection_engine(url).connect() as admin:
        return [str(each) for each in admin.execute(text(statement)).scalars()]


def holders(bus: Platform) -> list[str]:
    """Who holds the relay's lock."""
    return ask(bus, f"SELECT session.application_name {_HOLDERS}")


def test_a_standby_relay_takes_over_within_five_seconds_when_the_active_one_is_killed(
    bus: Platform, subscribed: Subscriptions, processes: Processes
) -> None:
    for name in ("relay-1", "relay-2"):
        processes.start(name)
    eventually(lambda: processes.all_started() and len(holders(bus)) == 1, "one relay is active")
    with running(Consumer(bus.cinema, bus.amqp_url, subscribed.queues[0], {Mood: Mood()}).run):
        publish_cuts(bus, range(BATCH))
        await_settled(bus)
        (active,) = holders(bus)
        processes.leave_dead(active)
        publish_cuts(bus, range(BATCH))
        eventually(lambda: effects_made(bus) == 2 * BATCH, "the standby relay published", TAKEOVER_SECONDS)
        (standby,) = holders(bus)
        assert {active, standby} == {"relay-1", "relay-2"}
        await_settled(bus)
    assert counted(bus).verdict == FLAWLESS


class Witness:
    """A relay whose batches are written down, and which may be made to wait in the midst of the first."""

    def __init__(self, bus: Platform, order: list[tuple[str, int]]) -> None:
        self.relay = Relay(bus.studio, bus.amqp_url, AdvisoryLocks(bus.studio))
        self.amid = threading.Event()
        self.go_on = threading.Event()
        self._order = order
        self._send = self.relay._publisher.send
        self.relay._publisher.send = self._witnessed  # type: ignore[method-assign]

    def _witnessed(self, events: Sequence[Outgoing]) -> Sent:
        if events:
            self.amid.set()
            assert self.go_on.wait(20)
        envelopes = [Envelope.decode(each.body) for each in events]
        self._order += [(each.subject, each.sequence) for each in envelopes]
        return self._send(events)


def test_a_relay_that_lost_its_lock_amid_a_batch_is_not_overtaken_by_the_next_one(
    bus: Platform, subscribed: Subscriptions
) -> None:
    order: list[tuple[str, int]] = []
    first, second = Witness(bus, order), Witness(bus, order)
    second.go_on.set()
    reel = publish_cuts(bus, range(BATCH))
    with running(first.relay.run, Consumer(bus.cinema, bus.amqp_url, subscribed.queues[0], {Mood: Mood()}).run):
        eventually(first.amid.is_set, "the first relay is amid a batch")
        assert ask(bus, f"SELECT pg_terminate_backend(pid) {_HOLDERS}") == ["True"]
        publish_cuts(bus, range(BATCH), UUID(reel))
        with running(second.relay.run):
            eventually(second.relay.active.is_set, "the second relay holds the lock")
            eventually(lambda: _waits_for_rows(bus), "the second relay waits for the first one's rows")
            assert order == []
            first.go_on.set()
            await_settled(bus)
            eventually(lambda: not first.relay._publisher.is_open, "the first relay lets go of its connection")
            second.relay.wake()
    assert order == [(reel, number + 1) for number in range(2 * BATCH)]
    assert counted(bus).verdict == FLAWLESS


def _waits_for_rows(bus: Platform) -> bool:
    waiting = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return len(ask(bus, waiting)) == 1


def test_when_postgres_dies_between_the_confirms_and_the_commit_a_batch_is_published_again_and_applied_once(
    servers: Servers, bus: Platform, subscribed: Subscriptions
) -> None:
    relay = Relay(bus.studio, bus.amqp_url, AdvisoryLocks(bus.studio))
    die = Once(lambda: servers.kill([POSTGRES]))
    confirm = relay._publisher.confirm

    def confirm_and_die(sent: Sent, *, timeout_seconds: float) -> None:
        carries_events = bool(sent.unconfirmed)
        confirm(sent, timeout_seconds=timeout_seconds)
        if carries_events:
            die()

    relay._publisher.confirm = confirm_and_die  # type: ignore[method-assign]
    publish_cuts(bus, range(BATCH))
    with running(relay.run, Consumer(bus.cinema, bus.amqp_url, subscribed.queues[0], {Mood: Mood()}).run):
        eventually(die.done.is_set, "Postgres died amid a batch")
        await_up(servers)
        await_settled(bus)
    result = counted(bus)
    assert (result.published, result.verdict) == (BATCH, FLAWLESS)


def test_when_postgres_dies_amid_the_effects_of_a_batch_each_happens_once(
    servers: Servers, bus: Platform, subscribed: Subscriptions
) -> None:
    die = Once(lambda: servers.kill([POSTGRES]))

    def before(envelope: Envelope) -> None:
        if envelope.sequence == BATCH // 2:
            die()

    consumer = Consumer(bus.cinema, bus.amqp_url, subscribed.queues[0], {Mood: Mood(before=before)})
    publish_cuts(bus, range(BATCH))
    with running(consumer.run, *relay_of(bus)):
        eventually(die.done.is_set, "Postgres died amid the effects")
        await_up(servers)
        await_settled(bus)
    result = counted(bus)
    assert (result.published, result.verdict) == (BATCH, FLAWLESS)


class Once:
    """Does something the first time it is called."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act = act
        self.done = threading.Event()

    def __call__(self) -> None:
        if not self.done.is_set():
            self._act()
            self.done.set()
