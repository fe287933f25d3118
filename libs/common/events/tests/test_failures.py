"""Failed deliveries: retried, dead-lettered with a reason, and holding nobody but their own aggregate."""

import threading

import orjson
import pytest

from libs.common import ids
from libs.common.errors import Conflict, Permanent, Unavailable
from libs.common.events import Envelope
from libs.common.events.tests.cinema import cinema, envelope_of, publish_cuts, stored, waited_dead_letters
from libs.common.events.tests.live import (
    Sold,
    eventually,
    seat,
    show,
)
from libs.common.events.tests.platform import Platform


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Permanent("the reel does not exist"), "the reel does not exist"),
        (Conflict("the film is closed"), "the film is closed"),
    ],
)
def test_a_permanent_failure_goes_to_the_dead_letters_with_its_reason_while_others_flow(
    platform: Platform, error: Exception, reason: str
) -> None:
    poison = ids.new_id()

    def refuse(envelope: Envelope) -> None:
        if envelope.subject == str(poison):
            raise error

    with cinema(platform, seat) as service:
        service.mood.before = refuse
        with platform.studio.transaction() as tx:
            for number, ticket in enumerate([ids.new_id(), poison, ids.new_id()]):
                tx.publish(Sold(ticket_id=ticket, number=number))
        eventually(lambda: len(service.effects()) == 2, "the others")
        ((body, headers),) = waited_dead_letters(service, 1)

    assert Envelope.decode(body).subject == str(poison)
    assert headers["x-reason"] == reason
    assert headers["x-error"] == type(error).__name__
    assert headers["x-attempts"] == 1
    assert headers["x-event-id"] == str(Envelope.decode(body).id)


@pytest.mark.parametrize("body", [b"not json", b"{}", b"\xff\xfe"])
def test_what_is_no_event_goes_to_the_dead_letters(platform: Platform, body: bytes) -> None:
    with cinema(platform, seat) as service:
        platform.inject(service.subscription, body)
        ((dead, headers),) = waited_dead_letters(service, 1)

    assert dead == body
    assert headers["x-error"] == "MalformedEvent"


def test_an_unknown_major_version_goes_to_the_dead_letters_with_what_to_do(platform: Platform) -> None:
    with cinema(platform, show) as service:
        platform.inject(service.subscription, envelope_of(ids.new_id(), 1, version=2).encode())
        ((_, headers),) = waited_dead_letters(service, 1)

    assert "upgrade the consumer" in str(headers["x-reason"])
    assert str(headers["traceparent"]).startswith("00-0af7651916cd43dd8448eb211c80319c")


def test_a_field_added_by_a_newer_producer_is_ignored(platform: Platform) -> None:
    with cinema(platform, show) as service:
        wire = orjson.loads(envelope_of(ids.new_id(), 1).encode())
        wire["data"]["colour"] = "blue"
        platform.inject(service.subscription, orjson.dumps(wire))
        eventually(lambda: len(service.effects()) == 1, "the effect")


@pytest.mark.parametrize("error", [Unavailable("the projector warms up"), RuntimeError("a film tear")])
def test_a_transient_failure_is_mended_by_the_retry_ladder(platform: Platform, error: Exception) -> None:
    attempts: list[str] = []

    def warm_up(envelope: Envelope) -> None:
        attempts.append(envelope.subject)
        if len(attempts) <= 4:
            raise error

    with cinema(platform, seat) as service:
        service.mood.before = warm_up
        with platform.studio.transaction() as tx:
            tx.publish(Sold(ticket_id=ids.new_id(), number=1))
        eventually(lambda: len(service.effects()) == 1, "the effect after retries")
        assert platform.take(service.subscription.dead_letter_queue) == []

    # Together and alone for each delivery: the third delivery succeeds.
    assert len(attempts) == 5


def test_a_retried_event_keeps_its_turn(platform: Platform) -> None:
    failures = iter([RuntimeError("once"), RuntimeError("twice")])

    def stumble(envelope: Envelope) -> None:
        if envelope.sequence == 2 and (failure := next(failures, None)):
            raise failure

    with cinema(platform, show) as service:
        service.mood.before = stumble
        reel = publish_cuts(platform, range(5))
        eventually(lambda: len(service.effects()) == 5, "all effects")

    assert service.effects() == [(reel, sequence) for sequence in range(1, 6)]


def test_a_dead_letter_of_an_ordered_subscription_holds_its_own_aggregate_only_and_a_redelivery_frees_it(
    platform: Platform,
) -> None:
    broken = threading.Event()
    broken.set()
    held = ids.new_id()

    def refuse(envelope: Envelope) -> None:
        if broken.is_set() and envelope.subject == str(held) and envelope.sequence == 2:
            raise Permanent("the second reel is torn")

    with cinema(platform, show) as service:
        service.mood.before = refuse
        publish_cuts(platform, range(4), held)
        free = publish_cuts(platform, range(4))
        eventually(lambda: len(service.effects()) == 5, "the free aggregate and the first of the held one")
        ((body, _),) = waited_dead_letters(service, 1)
        eventually(lambda: stored(platform.cinema, "parked_events") == 2, "the held ones are parked")
        assert [sequence for subject, sequence in service.effects() if subject == free] == [1, 2, 3, 4]

        broken.clear()
        platform.inject(service.subscription, body)
        eventually(lambda: len(service.effects()) == 8, "the held aggregate goes on")

    assert [sequence for subject, sequence in service.effects() if subject == str(held)] == [1, 2, 3, 4]
    assert stored(platform.cinema, "parked_events") == 0


def test_a_parked_event_that_fails_in_its_turn_is_to_blame_alone(platform: Platform) -> None:
    reel = ids.new_id()

    def refuse(envelope: Envelope) -> None:
        if envelope.sequence == 2:
            raise Permanent("torn")

    with cinema(platform, show) as service:
        service.mood.before = refuse
        platform.inject(service.subscription, envelope_of(reel, 2).encode())
        eventually(lambda: stored(platform.cinema, "parked_events") == 1, "the second is parked")
        platform.inject(service.subscription, envelope_of(reel, 1).encode())
        ((body, _),) = waited_dead_letters(service, 1)

    assert service.effects() == [(str(reel), 1)]
    assert Envelope.decode(body).sequence == 2
    assert stored(platform.cinema, "parked_events") == 0
