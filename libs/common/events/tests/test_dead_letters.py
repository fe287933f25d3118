"""Dead letters as an operator meets them: looked at in place, redriven with one effect, dropped without losing more."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from libs.common import clock, ids
from libs.common.audit import Auditor
from libs.common.db import Database, kernel_tables
from libs.common.errors import Permanent
from libs.common.events import Envelope, dead_letters
from libs.common.events.audited import AuditEvent
from libs.common.events.broker import BrokerUnavailable, open_session
from libs.common.events.dead_letters import DeadLetter, Fate, Selection, drop, look, looking, redrive
from libs.common.events.outbox import Outbox
from libs.common.events.tests.cinema import Cinema, cinema, envelope_of, publish_cuts, stored
from libs.common.events.tests.live import CINEMA, Sold, eventually, seat, show
from libs.common.events.tests.platform import Platform
from libs.common.events.topology import service_exchange

EVERYTHING = Selection()


class Recorded(AuditEvent, type=f"{CINEMA}.audit.recorded", version=1, aggregate="audit_id"):
    """An operator acted."""


@pytest.fixture
def operated(platform: Platform) -> Iterator[Database]:
    """The consumer's database as an operator's command opens it: with an audit trail."""
    metadata = platform.cinema.metadata
    database = Database(
        platform.cinema.url.render_as_string(hide_password=False),
        metadata,
        outbox=Outbox(metadata),
        audit_trail=Auditor(kernel_tables(metadata), Recorded),
    )
    yield database
    database.dispose()


@contextmanager
def poisoned(platform: Platform, subject: UUID) -> Iterator[tuple[Cinema, threading.Event]]:
    """A cinema whose handler fails for the second event of a reel until the event `mended` is set."""
    mended = threading.Event()

    def refuse(envelope: Envelope) -> None:
        if not mended.is_set() and envelope.subject == str(subject) and envelope.sequence == 2:
            raise Permanent("the reel is torn")

    with cinema(platform, show) as service:
        service.mood.before = refuse
        yield service, mended


def waited(service: Cinema, count: int) -> list[DeadLetter]:
    found: list[DeadLetter] = []

    def there() -> bool:
        found[:] = look(service.platform.amqp_url, service.subscription)
        return len(found) == count

    eventually(there, f"{count} dead letters")
    return found


def sequences(service: Cinema, subject: object) -> list[int]:
    return [sequence for each, sequence in service.effects() if each == str(subject)]


def test_looking_tells_what_failed_and_leaves_it_where_it_is(platform: Platform) -> None:
    reel = ids.new_id()
    with poisoned(platform, reel) as (service, _):
        publish_cuts(platform, range(2), reel)
        (letter,) = waited(service, 1)
        for _ in range(25):  # more than RabbitMQ 4 lets a message return by default
            assert [each.event_id for each in look(platform.amqp_url, service.subscription)] == [letter.event_id]

    assert letter.envelope is not None
    assert (letter.envelope.subject, letter.envelope.sequence) == (str(reel), 2)
    assert (letter.error, letter.reason, letter.attempts) == ("Permanent", "the reel is torn", 1)
    assert letter.failed_at is not None
    assert letter.vouched


def test_letters_are_selected_by_id_and_by_type(platform: Platform) -> None:
    with cinema(platform, seat) as service:
        service.mood.before = lambda _: (_ for _ in ()).throw(Permanent("no seats"))
        with platform.studio.transaction() as tx:
            first, second = (tx.publish(Sold(ticket_id=ids.new_id(), number=each)) for each in range(2))
        waited(service, 2)

        def found(**narrowed: object) -> set[str | None]:
            selection = Selection(**narrowed)  # type: ignore[arg-type]
            return {each.event_id for each in look(platform.amqp_url, service.subscription, selection)}

        assert found(event_id=str(first)) == {str(first)}
        assert found(type_pattern=f"{Sold.service()}.*.*") == {str(first), str(second)}
        assert found(type_pattern="other.#") == set()
        assert len(found(limit=1)) == 1


def test_a_redriven_event_takes_effect_once_and_frees_its_aggregate_in_order(platform: Platform) -> None:
    reel = ids.new_id()
    with poisoned(platform, reel) as (service, mended):
        publish_cuts(platform, range(4), reel)
        waited(service, 1)
        eventually(lambda: stored(platform.cinema, "parked_events") == 2, "the later ones are held")
        mended.set()

        (settled,) = redrive(platform.amqp_url, service.subscription, EVERYTHING)
        assert settled.fate is Fate.REDRIVEN
        eventually(lambda: len(service.effects()) == 4, "the aggregate goes on")
        # As if the operator's command had died between the confirm and the acknowledgement.
        platform.inject(service.subscription, settled.letter.received.body)
        publish_cuts(platform, range(1), reel)
        eventually(lambda: len(service.effects()) >= 5, "the next event")

        assert sequences(service, reel) == [1, 2, 3, 4, 5]
        assert look(platform.amqp_url, service.subscription) == []


def test_a_redriven_event_that_fails_again_comes_back_with_its_count(platform: Platform) -> None:
    reel = ids.new_id()
    with poisoned(platform, reel) as (service, _):
        publish_cuts(platform, range(2), reel)
        waited(service, 1)
        redrive(platform.amqp_url, service.subscription, EVERYTHING)
        (letter,) = waited(service, 1)

    assert letter.attempts == 1


@pytest.mark.parametrize(("handler", "fate"), [(seat, Fate.REFUSED), (show, Fate.REDRIVEN)])
def test_what_the_inbox_has_forgotten_is_redriven_only_where_a_gate_knows_it(
    platform: Platform, handler: object, fate: Fate
) -> None:
    with cinema(platform, handler) as service:
        dead(service, envelope_of(ids.new_id(), 1))
        (letter,) = waited(service, 1)
        made_at = clock.now()

        def redriven(since: datetime) -> list[Fate]:
            settled = redrive(platform.amqp_url, service.subscription, EVERYTHING, remembered_since=since)
            return [each.fate for each in settled]

        assert redriven(made_at + timedelta(seconds=1)) == [fate]
        if fate is Fate.REFUSED:
            assert [each.event_id for each in waited(service, 1)] == [letter.event_id]
            assert redriven(made_at - timedelta(seconds=60)) == [Fate.REDRIVEN]


def test_what_nobody_vouched_for_stays_so_when_it_is_redriven(platform: Platform) -> None:
    with cinema(platform, seat) as service:
        body = envelope_of(ids.new_id(), 1).encode()
        exchange = service_exchange(service.subscription.consumer)
        with open_session(platform.amqp_url) as session:
            session.publish(exchange, service.subscription.queue, body, {}, vouched=False)
        (letter,) = waited(service, 1)
        assert (letter.error, letter.vouched) == ("ForgedEvent", False)

        redrive(platform.amqp_url, service.subscription, EVERYTHING)
        (again,) = waited(service, 1)

    assert (again.error, again.vouched) == ("ForgedEvent", False)
    assert service.effects() == []


def test_a_drop_lets_the_aggregate_go_on_without_it_and_leaves_an_audit_record(platform: Platform, operated: Database) -> None:
    reel = ids.new_id()
    with poisoned(platform, reel) as (service, _):
        publish_cuts(platform, range(4), reel)
        waited(service, 1)
        eventually(lambda: stored(platform.cinema, "parked_events") == 2, "the later ones are held")

        (settled,) = drop(operated, platform.amqp_url, service.subscription, EVERYTHING, reason="cut by mistake")
        assert (settled.fate, settled.detail) == (Fate.DROPPED, "its aggregate goes on")
        eventually(lambda: len(service.effects()) == 3, "the successors are applied by the running consumer")

        assert sequences(service, reel) == [1, 3, 4]
        assert look(platform.amqp_url, service.subscription) == []
    with operated.reader() as reader:
        row = reader.one(select(kernel_tables(operated.metadata).audit_record))
    assert (row.action, row.entity_id, row.roles) == ("event.dropped", settled.letter.event_id, "operator")
    assert row.details["reason"] == "cut by mistake"


def test_a_drop_that_died_before_the_removal_can_be_repeated(platform: Platform, operated: Database) -> None:
    reel = ids.new_id()
    with poisoned(platform, reel) as (service, _):
        publish_cuts(platform, range(3), reel)
        (letter,) = waited(service, 1)
        drop(operated, platform.amqp_url, service.subscription, EVERYTHING, reason="first")
        with open_session(platform.amqp_url) as session:
            exchange = service_exchange(service.subscription.consumer)
            session.publish(exchange, service.subscription.dead_letter_queue, letter.received.body, letter.received.headers)

        (settled,) = drop(operated, platform.amqp_url, service.subscription, EVERYTHING, reason="again")
        assert (settled.fate, settled.detail) == (Fate.DROPPED, "")
        eventually(lambda: len(service.effects()) == 2, "the successor")

        assert sequences(service, reel) == [1, 3]


def dead(service: Cinema, *envelopes: Envelope, vouched: bool = True) -> None:
    with open_session(service.platform.amqp_url) as session:
        for each in envelopes:
            exchange = service_exchange(service.subscription.consumer)
            session.publish(exchange, service.subscription.dead_letter_queue, each.encode(), {}, vouched=vouched)


def test_a_drop_that_would_pass_over_earlier_events_is_refused_and_tells_what_to_do(
    platform: Platform, operated: Database
) -> None:
    reel = ids.new_id()
    with cinema(platform, show) as service:
        dead(service, envelope_of(reel, 3))
        waited(service, 1)
        (settled,) = drop(operated, platform.amqp_url, service.subscription, EVERYTHING, reason="impatience")

        assert settled.fate is Fate.REFUSED
        assert "number 1 to 2 has not been applied" in settled.detail
        assert "Redrive it instead" in settled.detail
        waited(service, 1)
    assert stored(operated, "audit_record") == 0


def test_dead_letters_of_one_aggregate_are_dropped_in_their_order(platform: Platform, operated: Database) -> None:
    reel = ids.new_id()
    with cinema(platform, show) as service:
        dead(service, envelope_of(reel, 2), envelope_of(reel, 1))
        waited(service, 2)
        settled = drop(operated, platform.amqp_url, service.subscription, EVERYTHING, reason="both are void")
        platform.inject(service.subscription, envelope_of(reel, 3).encode())
        eventually(lambda: sequences(service, reel) == [3], "the next one")

    assert [each.fate for each in settled] == [Fate.DROPPED, Fate.DROPPED]


def test_only_what_was_looked_at_is_dropped_and_nothing_that_came_since(platform: Platform, operated: Database) -> None:
    with cinema(platform, show) as service:
        dead(service, envelope_of(ids.new_id(), 1))
        (seen,) = waited(service, 1)
        dead(service, envelope_of(ids.new_id(), 1))
        waited(service, 2)
        chosen = Selection(bodies=frozenset({seen.received.body}))
        settled = drop(operated, platform.amqp_url, service.subscription, chosen, reason="this one only")
        (left,) = waited(service, 1)

    assert [each.letter.event_id for each in settled] == [seen.event_id]
    assert left.event_id != seen.event_id


def test_no_gate_moves_for_what_nobody_vouched_for(platform: Platform, operated: Database) -> None:
    reel = ids.new_id()
    with cinema(platform, show) as service:
        dead(service, envelope_of(reel, 1), vouched=False)
        waited(service, 1)
        (settled,) = drop(operated, platform.amqp_url, service.subscription, EVERYTHING, reason="forged")
        assert settled.fate is Fate.DROPPED
        publish_cuts(platform, range(1), reel)
        eventually(lambda: sequences(service, reel) == [1], "the true first event")


def test_a_subscription_whose_queues_do_not_exist_has_no_dead_letters(platform: Platform) -> None:
    with cinema(platform, show) as service:
        subscription = service.subscription

    assert look(platform.amqp_url, subscription) == []


def test_who_looks_waits_for_another_who_holds_the_dead_letters_instead_of_finding_none(platform: Platform) -> None:
    reel = ids.new_id()
    with poisoned(platform, reel) as (service, _):
        publish_cuts(platform, range(2), reel)
        waited(service, 1)
        with ThreadPoolExecutor(1) as pool:
            with looking(platform.amqp_url, service.subscription, EVERYTHING):
                second = pool.submit(look, platform.amqp_url, service.subscription)
                with pytest.raises(TimeoutError):
                    second.result(0.5)
            assert len(second.result(10)) == 1


def test_who_waits_too_long_for_another_is_told_so(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "TURN_SECONDS", 0.1)
    with cinema(platform, show) as service, looking(platform.amqp_url, service.subscription, EVERYTHING):
        with pytest.raises(BrokerUnavailable, match="try again"):
            look(platform.amqp_url, service.subscription)
