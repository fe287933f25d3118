"""Each broker user may do what its service needs and nothing else, on the broker itself."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import amqp as untyped_amqp  # type: ignore[import-untyped]
import httpx
import kombu as untyped_kombu
import pytest

from libs.common import ids
from libs.common.config import process_environment
from libs.common.events.broker import BrokerUnavailable, Session, declare, subscribe
from libs.common.events.broker.publisher import Outgoing, PipelinedPublisher
from libs.common.events.tests.live import subscriptions
from libs.common.events.tests.platform import backing
from libs.common.events.tests.test_subscriptions import cut, file
from libs.common.events.topology import (
    EVENTS_EXCHANGE,
    UNROUTABLE,
    UNROUTABLE_QUEUE,
    Binding,
    Exchange,
    Queue,
    Topology,
    broadcast_topology,
    definitions,
)

amqp: Any = untyped_amqp
kombu: Any = untyped_kombu
PASSWORDS = {name: ids.random_token() for name in ("studio", "cinema", "gateway", "operator")}


@dataclass
class Rights:
    """Users in a virtual host of their own, made from the definitions."""

    prefix: str
    vhost: str

    def url(self, service: str) -> str:
        address = backing("AMQP_URL").split("@", 1)[1].split("/", 1)[0]
        return f"amqp://{self.prefix}{service}:{PASSWORDS[service]}@{address}/{self.vhost}"


@pytest.fixture(scope="module")
def rights() -> Iterator[Rights]:
    """The definitions, with user names of this run's own, loaded into a virtual host of this run's own."""
    management_url = process_environment().get("AMQP_MANAGEMENT_URL")
    if not management_url:
        pytest.skip("AMQP_MANAGEMENT_URL is not set: users are made through RabbitMQ's management; `make test` has one")
    run = ids.new_id().hex[-10:]
    prefix, vhost = f"{run}-", f"test-{run}"
    document = definitions(["studio", "cinema"], PASSWORDS, vhost=vhost)
    for entry in document["users"]:
        entry["name"] = prefix + entry["name"]
    for entry in document["permissions"] + document["topic_permissions"]:
        entry["user"] = prefix + entry["user"]
    names = [entry["name"] for entry in document["users"]]
    with httpx.Client(base_url=management_url, trust_env=False, timeout=20) as management:
        management.post("/api/definitions", json=document).raise_for_status()
        yield Rights(prefix, vhost)
        management.delete(f"/api/vhosts/{vhost}").raise_for_status()
        for name in names:
            management.delete(f"/api/users/{name}").raise_for_status()


def publish(url: str, routing_key: str) -> None:
    publisher = PipelinedPublisher(url, "test")
    publisher.open()
    try:
        publisher.publish([Outgoing("1", routing_key, b"{}")], timeout_seconds=5)
    finally:
        publisher.close()


def test_a_service_publishes_its_own_facts(rights: Rights) -> None:
    publish(rights.url("studio"), "studio.reel.cut")


@pytest.mark.parametrize(
    ("user", "routing_key"),
    [("studio", "cinema.show.begun"), ("studio", "studiox.reel.cut"), ("studio", "audit"), ("gateway", "auth.user.registered")],
)
def test_a_user_that_publishes_as_another_is_refused(rights: Rights, user: str, routing_key: str) -> None:
    with pytest.raises(BrokerUnavailable, match="403"):
        publish(rights.url(user), routing_key)


def test_a_service_sets_up_and_uses_its_own_subscriptions(rights: Rights) -> None:
    subscribe(rights.url("cinema"), subscriptions("cinema", cut, file))
    session = Session(rights.url("cinema"))
    session.consume("cinema.studio.reel.q2", prefetch=1)
    publish(rights.url("studio"), "studio.reel.cut")

    received = session.receive(1, wait_seconds=10, idle_seconds=0.01)

    assert [each.routing_key for each in received] == ["studio.reel.cut"]
    session.publish("cinema.queues", "cinema.studio.reel.q2.retry.0", b"{}", {})
    session.close()


def test_a_service_sees_how_much_is_unroutable_but_not_what(rights: Rights) -> None:
    publish(rights.url("studio"), "studio.reel.nobody_wants_this")
    session = Session(rights.url("cinema"))

    found = session.look(UNROUTABLE_QUEUE)

    assert found is not None
    assert found.messages >= 1
    assert session.look("cinema.no.such.queue") is None
    with pytest.raises(BrokerUnavailable, match="403"):
        session.get(UNROUTABLE_QUEUE)
    session.sever()


def test_a_service_may_not_read_anothers_queue(rights: Rights) -> None:
    subscribe(rights.url("cinema"), subscriptions("cinema", cut))
    session = Session(rights.url("studio"))

    with pytest.raises(BrokerUnavailable, match="403"):
        session.consume("cinema.studio.reel.q2", prefetch=1)
    session.sever()


def test_a_service_may_not_write_into_anothers_queue(rights: Rights) -> None:
    session = Session(rights.url("studio"))
    for exchange in ("", "cinema.queues"):
        with pytest.raises(BrokerUnavailable, match=r"403|404"):
            session.publish(exchange, "cinema.studio.reel.q2", b"{}", {})
        session.sever()
        session = Session(rights.url("studio"))
    session.sever()


@pytest.mark.parametrize(
    "foreign",
    [
        Topology(queues=(Queue("cinema.mine.q2"),)),
        Topology(exchanges=(Exchange("cinema.queues", "direct"),)),
        Topology(exchanges=(Exchange(EVENTS_EXCHANGE, "topic"),)),
        Topology(bindings=(Binding("cinema.studio.reel.q2", EVENTS_EXCHANGE, "#"),)),
    ],
)
def test_a_service_may_not_change_what_is_not_its_own(rights: Rights, foreign: Topology) -> None:
    with pytest.raises(BrokerUnavailable, match="403"):
        declare(rights.url("studio"), foreign)


OTHERS_QUEUES = ("cinema.studio.reel.q2", "cinema.studio.reel.q2.dead", "cinema.studio.reel.q2.retry.0", UNROUTABLE_QUEUE)
READING: dict[str, Callable[[Any, str], object]] = {
    "get": lambda channel, queue: channel.basic_get(queue),
    "consume": lambda channel, queue: channel.basic_consume(queue),
    "empty": lambda channel, queue: channel.queue_purge(queue),
    "delete": lambda channel, queue: channel.queue_delete(queue),
    "have a copy": lambda channel, queue: channel.queue_bind("studio.mine", "cinema.queues", queue),
}


@pytest.mark.parametrize("queue", OTHERS_QUEUES)
@pytest.mark.parametrize("reading", READING)
@pytest.mark.parametrize("user", ["studio", "gateway"])
def test_a_user_may_not_touch_what_waits_for_others(rights: Rights, user: str, reading: str, queue: str) -> None:
    subscribe(rights.url("cinema"), subscriptions("cinema", cut))
    if reading == "have a copy":
        declare(rights.url("studio"), Topology(queues=(Queue("studio.mine", {"x-queue-type": "quorum"}),)))
    with kombu.Connection(rights.url(user)) as connection, connection.channel() as channel:
        with pytest.raises(amqp.exceptions.AccessRefused):
            READING[reading](channel, queue)


@pytest.mark.parametrize("exchange", [UNROUTABLE, "cinema.queues", "amq.topic", "amq.fanout", "amq.direct", ""])
@pytest.mark.parametrize("user", ["studio", "gateway"])
def test_a_user_may_not_write_to_any_exchange_but_its_own_and_that_of_events(rights: Rights, user: str, exchange: str) -> None:
    subscribe(rights.url("cinema"), subscriptions("cinema", cut))
    with kombu.Connection(rights.url(user), transport_options={"confirm_publish": True}) as connection:
        with connection.channel() as channel, pytest.raises(amqp.exceptions.AccessRefused):
            message = channel.prepare_message(b"{}")
            channel.basic_publish(message, exchange=exchange, routing_key="studio.reel.cut", confirm_timeout=10)


@pytest.mark.parametrize("user", ["studio", "gateway"])
def test_a_service_has_no_part_in_the_brokers_management(rights: Rights, user: str) -> None:
    management = backing("AMQP_MANAGEMENT_URL").rpartition("@")[2]
    credentials = (rights.prefix + user, PASSWORDS[user])

    assert httpx.get(f"http://{management}/api/queues", auth=credentials, trust_env=False).status_code == 401


def test_the_gateway_hears_broadcasts_of_auth_and_nothing_else(rights: Rights) -> None:
    declare(rights.url("gateway"), broadcast_topology("gateway", ["auth.session.revoked", "auth.key.changed"]))

    for foreign in (
        "tasks.task.validated",
        "#",
        "auth.#",
        "auth.email.requested",
        "auth.session.revoked.x",
        "auth.user.registered",
    ):
        with pytest.raises(BrokerUnavailable, match="403"):
            declare(rights.url("gateway"), broadcast_topology("gateway", [foreign]))


def test_a_wrong_password_is_refused(rights: Rights) -> None:
    with pytest.raises(BrokerUnavailable, match="403"):
        Session(rights.url("studio").replace(PASSWORDS["studio"], "wrong"))


def test_the_operator_may_look_into_every_queue(rights: Rights) -> None:
    subscribe(rights.url("cinema"), subscriptions("cinema", cut))
    with kombu.Connection(rights.url("operator")) as connection, connection.channel() as channel:
        assert channel.queue_declare("cinema.studio.reel.q2", passive=True).queue == "cinema.studio.reel.q2"
