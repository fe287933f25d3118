"""Only the producer's own broker user can make a consumer believe a fact, whichever way the message comes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import kombu as untyped_kombu
import pytest

from libs.common import clock, ids
from libs.common.events import Envelope
from libs.common.events.broadcast import Broadcast
from libs.common.events.broker import BrokerUnavailable, Received, declare
from libs.common.events.broker.publisher import Outgoing, PipelinedPublisher
from libs.common.events.consumer import Consumer
from libs.common.events.origin import ForgedEvent, authenticated
from libs.common.events.tests.live import CINEMA, RUN, STUDIO, Mood, effects, eventually, leave, running, seat, subscriptions
from libs.common.events.tests.platform import Platform, backing
from libs.common.events.topology import EVENTS_EXCHANGE, definitions, subscription_topology

kombu: Any = untyped_kombu
THIEF = f"thief_{RUN}"
PASSWORDS = {name: ids.random_token() for name in (STUDIO, CINEMA, THIEF, "gateway", "operator")}
SOLD = f"{STUDIO}.ticket.sold"
OWN_KEY = f"{THIEF}.purse.taken"
RAISED = f"{STUDIO}.alarm.raised"


@pytest.fixture
def vhost() -> Iterator[str]:
    """The definitions of three services, loaded into a virtual host of this test's own."""
    name = f"test-{ids.new_id().hex[-10:]}"
    document = definitions([STUDIO, CINEMA, THIEF], PASSWORDS, vhost=name)
    users = {STUDIO, CINEMA, THIEF}
    document["users"] = [entry for entry in document["users"] if entry["name"] in users]
    for kind in ("permissions", "topic_permissions"):
        document[kind] = [entry for entry in document[kind] if entry["user"] in users]
    with httpx.Client(base_url=backing("AMQP_MANAGEMENT_URL"), trust_env=False, timeout=20) as management:
        management.post("/api/definitions", json=document).raise_for_status()
        yield name
        management.delete(f"/api/vhosts/{name}").raise_for_status()
        for user in users:
            management.delete(f"/api/users/{user}").raise_for_status()


def url(user: str, vhost: str) -> str:
    address = backing("AMQP_URL").split("@", 1)[1].split("/", 1)[0]
    return f"amqp://{user}:{PASSWORDS[user]}@{address}/{vhost}"


def envelope(kind: str = SOLD, **data: Any) -> Envelope:
    subject = str(ids.new_id())
    return Envelope(
        id=ids.new_id(),
        source=f"/services/{STUDIO}",
        type=kind,
        subject=subject,
        time=clock.now(),
        dataschema=f"https://lumiere.film/events/{kind}/1",
        sequence=1,
        correlation_id="tests",
        data=data or {"ticket_id": subject, "number": 7},
    )


@dataclass(frozen=True)
class Way:
    """How a message is brought before a consumer without a right to its routing key."""

    name: str
    send: Callable[[Any, str, bytes], None]


def under_an_own_key(channel: Any, key: str, body: bytes) -> None:
    channel.basic_publish(channel.prepare_message(body, headers={"CC": [key]}), exchange=EVENTS_EXCHANGE, routing_key=OWN_KEY)


def through_an_own_exchange(channel: Any, key: str, body: bytes) -> None:
    own = f"{THIEF}.queues"
    channel.exchange_declare(own, "topic", durable=True, auto_delete=False)
    channel.exchange_bind(EVENTS_EXCHANGE, own, "#")
    channel.basic_publish(channel.prepare_message(body), exchange=own, routing_key=key)


WAYS = (Way("further routing keys", under_an_own_key), Way("an exchange of one's own", through_an_own_exchange))


def forge(vhost: str, way: Way, key: str, body: bytes) -> None:
    with kombu.Connection(url(THIEF, vhost)) as connection, connection.channel() as channel:
        way.send(channel, key, body)


def tell(vhost: str, event: Envelope) -> None:
    publisher = PipelinedPublisher(url(STUDIO, vhost), STUDIO)
    publisher.open()
    try:
        publisher.publish([Outgoing(str(event.id), event.type, event.encode())], timeout_seconds=5)
    finally:
        publisher.close()


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_a_fact_told_by_another_service_has_no_effect_and_lands_among_the_dead_letters(
    platform: Platform, vhost: str, way: Way
) -> None:
    (subscription,) = subscriptions(CINEMA, seat).queues
    declare(url(CINEMA, vhost), subscription_topology(subscription))
    genuine, forged = envelope(), envelope()
    consumer = Consumer(platform.cinema, url(CINEMA, vhost), subscription, {Mood: Mood()})

    forge(vhost, way, SOLD, forged.encode())
    tell(vhost, genuine)
    with running(consumer.run):
        eventually(lambda: bool(effects(platform.cinema)), "the genuine fact has its effect")

    assert effects(platform.cinema) == [(genuine.subject, 1)]
    as_cinema = Platform(platform.studio, platform.cinema, url(CINEMA, vhost), CINEMA)
    ((body, headers),) = as_cinema.dead_letters(subscription)
    assert (body, headers["x-error"]) == (forged.encode(), "ForgedEvent")


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_a_broadcast_by_another_service_is_not_heard(vhost: str, way: Way) -> None:
    mood = Mood()
    heard = subscriptions(CINEMA, leave).broadcasts
    broadcast = Broadcast(url(CINEMA, vhost), CINEMA, heard, {Mood: mood})
    forged, genuine = (envelope(RAISED, alarm_id=str(ids.new_id())) for _ in range(2))
    forged, genuine = (each.model_copy(update={"subject": each.data["alarm_id"]}) for each in (forged, genuine))

    with running(broadcast.run):
        eventually(broadcast.receiving.is_set, "the broadcast is received")
        forge(vhost, way, RAISED, forged.encode())
        tell(vhost, genuine)
        eventually(lambda: bool(mood.heard), "the genuine broadcast is heard")

    assert [each.id for each in mood.heard] == [genuine.id]


def test_the_broker_refuses_a_sender_that_states_another_user(vhost: str) -> None:
    publisher = PipelinedPublisher(url(THIEF, vhost), THIEF)
    publisher.open()
    publisher._user = STUDIO

    with pytest.raises(BrokerUnavailable, match="406"):
        publisher.publish([Outgoing("1", OWN_KEY, b"{}")], timeout_seconds=5)
    publisher.close()


@pytest.mark.parametrize("user", [None, THIEF, ""], ids=["nobody", "thief", "empty"])
def test_what_the_broker_vouches_for_nobody_or_somebody_else_is_forged(user: str | None) -> None:
    with pytest.raises(ForgedEvent):
        authenticated(Received(envelope().encode(), {}, SOLD, 1, user), CINEMA)


@pytest.mark.parametrize("user", [STUDIO, CINEMA], ids=["studio", "cinema"])
def test_the_producer_and_the_consumers_own_retries_are_believed(user: str) -> None:
    event = envelope()

    assert authenticated(Received(event.encode(), {}, SOLD, 1, user), CINEMA) == event
