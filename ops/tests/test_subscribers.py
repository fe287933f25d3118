"""A subscriber outside reads its own queue and can do nothing else, on the broker itself; operators manage it by command."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import pika  # type: ignore[import-untyped]
import pytest
from click.testing import CliRunner, Result
from pika.exceptions import AMQPError, ConnectionClosed  # type: ignore[import-untyped]

from libs.common.config import load
from libs.common.events.broker import declare
from libs.common.events.broker.publisher import Outgoing, PipelinedPublisher
from libs.common.events.tests.live import eventually
from libs.common.events.tests.platform import backing
from libs.common.events.topology import EVENTS_EXCHANGE, UNROUTABLE_QUEUE, definitions, platform_topology
from libs.common.ids import random_token
from ops.bus import subscribers as commands
from ops.bus.admission import (
    CHANNELS_MAX,
    CONNECTIONS_MAX,
    PREFIX,
    QUEUE_ARGUMENTS,
    Subscribers,
    queue_of,
)
from ops.cli import main
from ops.errors import OperationError
from ops.layout import Layout
from ops.management import Management
from ops.settings import PlatformSettings


@dataclass
class Broker:
    """The tests' broker as its administrator."""

    management: Management

    @property
    def subscribers(self) -> Subscribers:
        return Subscribers(self.management)

    def connect(self, user: str, password: str) -> Any:
        """A connection as a subscriber; within the tests without TLS."""
        address = urlsplit(backing("AMQP_URL"))
        credentials = pika.PlainCredentials(user, password)
        return pika.BlockingConnection(
            pika.ConnectionParameters(address.hostname, address.port, credentials=credentials, heartbeat=0)
        )

    def publish(self, routing_key: str, body: bytes = b"{}") -> None:
        """A fact, as the tests' administrator."""
        publisher = PipelinedPublisher(backing("AMQP_URL"), "test")
        publisher.open()
        publisher.publish([Outgoing(str(uuid4()), routing_key, body)], timeout_seconds=10)
        publisher.close()


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    declare(backing("AMQP_URL"), platform_topology())
    with Management(backing("AMQP_MANAGEMENT_URL")) as management:
        yield Broker(management)


@pytest.fixture
def name(broker: Broker) -> Iterator[str]:
    """A name for a subscriber that is gone after the test."""
    chosen = f"test-{uuid4().hex[:10]}"
    yield chosen
    if chosen in broker.subscribers.names():
        broker.subscribers.dismiss(chosen)


@pytest.fixture
def guest(broker: Broker, name: str) -> Iterator[Any]:
    """The connection of a subscriber to one type."""
    admission = broker.subscribers.admit(name, ["tasks.task.validated"])
    assert admission.password
    connection = broker.connect(admission.user, admission.password)
    yield connection
    if connection.is_open:
        connection.close()


def taken(broker: Broker, user: str, password: str, queue: str) -> list[bytes]:
    """What lies in a subscriber's queue, read by the subscriber."""
    found = []
    connection = broker.connect(user, password)
    channel = connection.channel()
    while (message := channel.basic_get(queue, auto_ack=True))[0] is not None:
        found.append(message[2])
    connection.close()
    return found


# ---- what the broker permits


def test_a_subscriber_gets_the_types_it_was_given_and_no_others(broker: Broker, name: str) -> None:
    admission = broker.subscribers.admit(name, ["tasks.task.validated", "tasks.task.opened"])
    for number, routing_key in enumerate(("tasks.task.validated", "tasks.task.claimed", "tasks.task.opened")):
        broker.publish(routing_key, str(number).encode())

    assert taken(broker, admission.user, admission.password or "", admission.queue) == [b"0", b"2"]


Attempt = Callable[[Any], object]
FORBIDDEN: dict[str, Attempt] = {
    "publish an event": lambda channel: channel.basic_publish(EVENTS_EXCHANGE, "tasks.task.validated", b"{}"),
    "publish an event of another name": lambda channel: channel.basic_publish(EVENTS_EXCHANGE, "subscriber.x.y", b"{}"),
    "publish into a queue through the default exchange": lambda channel: channel.basic_publish("", UNROUTABLE_QUEUE, b"{}"),
    "publish through a built-in exchange": lambda channel: channel.basic_publish("amq.topic", "x", b"{}"),
    "declare a queue": lambda channel: channel.queue_declare("mine"),
    "declare a queue without a name": lambda channel: channel.queue_declare("", exclusive=True),
    "declare an exchange": lambda channel: channel.exchange_declare("mine", "topic"),
    "delete the event exchange": lambda channel: channel.exchange_delete(EVENTS_EXCHANGE),
    "read what nobody wanted": lambda channel: channel.basic_get(UNROUTABLE_QUEUE),
    "consume what nobody wanted": lambda channel: channel.basic_consume(UNROUTABLE_QUEUE, lambda *_: None),
    "empty another queue": lambda channel: channel.queue_purge(UNROUTABLE_QUEUE),
    "delete another queue": lambda channel: channel.queue_delete(UNROUTABLE_QUEUE),
}


@pytest.mark.parametrize("attempt", FORBIDDEN)
def test_a_subscriber_cannot(guest: Any, attempt: str) -> None:
    channel = guest.channel()
    channel.confirm_delivery()

    with pytest.raises(AMQPError, match="403"):
        FORBIDDEN[attempt](channel)


OF_ITS_OWN_QUEUE: dict[str, Callable[[Any, str], object]] = {
    "bind more": lambda channel, queue: channel.queue_bind(queue, EVENTS_EXCHANGE, "tasks.task.opened"),
    "bind everything": lambda channel, queue: channel.queue_bind(queue, EVENTS_EXCHANGE, "#"),
    "unbind": lambda channel, queue: channel.queue_unbind(queue, EVENTS_EXCHANGE, "tasks.task.validated"),
    "delete it": lambda channel, queue: channel.queue_delete(queue),
    "declare it": lambda channel, queue: channel.queue_declare(queue, durable=True, arguments=dict(QUEUE_ARGUMENTS)),
    "write into it": lambda channel, queue: channel.basic_publish("", queue, b"{}"),
}


@pytest.mark.parametrize("attempt", OF_ITS_OWN_QUEUE)
def test_of_its_own_queue_a_subscriber_cannot(guest: Any, name: str, attempt: str) -> None:
    channel = guest.channel()
    channel.confirm_delivery()

    with pytest.raises(AMQPError, match="403"):
        OF_ITS_OWN_QUEUE[attempt](channel, queue_of(name))


def test_a_subscriber_cannot_read_the_queue_of_another_whose_name_begins_alike(broker: Broker, guest: Any, name: str) -> None:
    longer = f"{name}-2"
    broker.subscribers.admit(longer, ["tasks.task.validated"])
    try:
        with pytest.raises(AMQPError, match="403"):
            guest.channel().basic_get(queue_of(longer))
    finally:
        broker.subscribers.dismiss(longer)


def test_the_dots_of_a_queues_name_are_dots_and_nothing_else(broker: Broker, guest: Any, name: str) -> None:
    lookalike = queue_of(name).replace(".", "x")
    broker.management.put_queue(lookalike, {"x-queue-type": "quorum"})
    try:
        with pytest.raises(AMQPError, match="403"):
            guest.channel().basic_get(lookalike)
    finally:
        broker.management.delete_queue(lookalike)


def test_connections_and_channels_are_bounded(broker: Broker, name: str) -> None:
    admission = broker.subscribers.admit(name, ["tasks.task.validated"])
    held = [broker.connect(admission.user, admission.password or "") for _ in range(CONNECTIONS_MAX)]

    with pytest.raises(AMQPError, match=r"530|limit"):
        broker.connect(admission.user, admission.password or "")

    channels = [held[0].channel() for _ in range(CHANNELS_MAX)]
    assert all(channel.is_open for channel in channels)
    with pytest.raises(ConnectionClosed, match="limit"):
        held[0].channel()
    held[1].close()


def test_what_was_not_acknowledged_comes_again(broker: Broker, name: str) -> None:
    admission = broker.subscribers.admit(name, ["tasks.task.validated"])
    broker.publish("tasks.task.validated", b"once more")
    first = broker.connect(admission.user, admission.password or "")
    channel = first.channel()
    eventually(lambda: channel.basic_get(admission.queue)[2] == b"once more", "it arrives")

    first.close()

    assert taken(broker, admission.user, admission.password or "", admission.queue) == [b"once more"]


def test_the_queue_is_bounded_in_length_bytes_age_and_deliveries() -> None:
    assert QUEUE_ARGUMENTS["x-max-length"] == 100_000
    assert QUEUE_ARGUMENTS["x-max-length-bytes"] == 128 * 1024 * 1024
    assert QUEUE_ARGUMENTS["x-message-ttl"] == 7 * 24 * 3_600 * 1_000
    assert QUEUE_ARGUMENTS["x-overflow"] == "drop-head"
    assert QUEUE_ARGUMENTS["x-delivery-limit"] == 20


def test_an_absent_subscriber_loses_the_oldest_events_and_fills_nothing(
    broker: Broker, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.bus.admission.QUEUE_ARGUMENTS", {**QUEUE_ARGUMENTS, "x-max-length": 3})
    admission = broker.subscribers.admit(name, ["tasks.task.validated"])
    for number in range(5):
        broker.publish("tasks.task.validated", str(number).encode())

    eventually(lambda: broker.subscribers.standings() != [], "the broker tells")

    assert taken(broker, admission.user, admission.password or "", admission.queue) == [b"2", b"3", b"4"]


# ---- how it is managed


def test_to_subscribe_again_changes_the_types_and_keeps_the_password(broker: Broker, name: str) -> None:
    first = broker.subscribers.admit(name, ["tasks.task.validated", "tasks.task.opened"])
    again = broker.subscribers.admit(name, ["tasks.task.validated", "tasks.film.created"])
    same = broker.subscribers.admit(name, ["tasks.task.validated", "tasks.film.created"])

    assert (again.added, again.removed, again.password) == (["tasks.film.created"], ["tasks.task.opened"], None)
    assert (same.added, same.removed, same.password) == ([], [], None)
    broker.connect(first.user, first.password or "").close()


def test_a_rotated_password_ends_the_old_one_and_its_connections(broker: Broker, name: str) -> None:
    first = broker.subscribers.admit(name, ["tasks.task.validated"])
    connection = broker.connect(first.user, first.password or "")
    eventually(lambda: broker.management.connections(first.user) != [], "the broker knows the connection")

    rotated = broker.subscribers.rotate(name)

    assert rotated.types == ["tasks.task.validated"]
    assert rotated.password not in {None, first.password}
    with pytest.raises(AMQPError):
        eventually(lambda: connection.process_data_events(0.1) and False, "the old connection ends", 10)
    with pytest.raises(AMQPError):
        broker.connect(first.user, first.password or "")
    broker.connect(rotated.user, rotated.password or "").close()


def test_a_subscriber_that_is_shut_out_leaves_nothing_behind(broker: Broker, name: str) -> None:
    admission = broker.subscribers.admit(name, ["tasks.task.validated"])

    broker.subscribers.dismiss(name)

    assert name not in broker.subscribers.names()
    assert admission.queue not in {each["name"] for each in broker.management.queues()}
    with pytest.raises(AMQPError):
        broker.connect(admission.user, admission.password or "")
    with pytest.raises(OperationError, match="No subscriber is called"):
        broker.subscribers.dismiss(name)
    with pytest.raises(OperationError, match="No subscriber is called"):
        broker.subscribers.rotate(name)


def test_loading_the_platforms_definitions_again_keeps_subscribers(broker: Broker, name: str) -> None:
    admission = broker.subscribers.admit(name, ["tasks.task.validated"])
    services = [f"studio{uuid4().hex[:8]}"]
    document = definitions(services, {each: random_token() for each in (*services, "gateway", "operator")})
    for kind, key in (("users", "name"), ("permissions", "user"), ("topic_permissions", "user")):
        document[kind] = [each for each in document[kind] if each[key] in services]
    broker.management._ask("POST", "/api/definitions", document)
    broker.management.delete_user(services[0])

    broker.publish("tasks.task.validated", b"still")

    assert taken(broker, admission.user, admission.password or "", admission.queue) == [b"still"]


def test_a_newcomer_whose_limits_could_not_be_set_is_not_left_half_made(
    broker: Broker, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OperationError("no")

    with monkeypatch.context() as broken:
        broken.setattr(Management, "permit", refuse)
        with pytest.raises(OperationError):
            broker.subscribers.admit(name, ["tasks.task.validated"])

    assert name not in broker.subscribers.names()
    assert broker.subscribers.admit(name, ["tasks.task.validated"]).password


# ---- the commands


@pytest.fixture
def lumiere(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, broker: Broker) -> Callable[..., Result]:
    """`lumiere events …` on the tests' broker."""
    variables = {
        "LUMIERE_HOME": str(tmp_path),
        "AMQP_URL": backing("AMQP_URL"),
        "AMQP_MANAGEMENT_URL": backing("AMQP_MANAGEMENT_URL"),
        "LUMIERE_AMQPS_PORT": "5671",
        "LUMIERE_AMQPS_CERTIFICATE": str(tmp_path / "server.pem"),
    }

    class Here:
        layout = Layout(load(PlatformSettings, variables))

    monkeypatch.setattr(commands, "this_platform", Here)
    return lambda *words, given="": CliRunner().invoke(main, ["events", *words], input=given)


def test_the_commands_let_in_list_and_shut_out(lumiere: Callable[..., Result], broker: Broker, name: str) -> None:
    made = json.loads(lumiere("subscribe", name, "--type", "tasks.task.*", "--json").stdout)
    address = urlsplit(made["url"])

    assert made["queue"] == queue_of(name)
    assert made["address"] == "127.0.0.1:5671"
    assert "tasks.task.validated" in made["types"]
    assert unquote(str(address.username)) == made["user"] == PREFIX + name
    assert unquote(str(address.password)) == made["password"]
    assert len(made["password"]) >= 43  # 256 bits in base64url

    broker.publish("tasks.task.validated")
    eventually(
        lambda: [e["waiting"] for e in json.loads(lumiere("subscribers", "--json").stdout) if e["name"] == name] == [1],
        "one event waits",
    )
    assert name in lumiere("subscribers").stdout

    kept = lumiere("subscribe", name, "--type", "tasks.task.validated").stdout
    assert "no longer: " in kept
    assert "as before" in kept
    rotated = json.loads(lumiere("subscribe", name, "--rotate", "--json").stdout)
    assert rotated["types"] == ["tasks.task.validated"]
    assert rotated["password"] not in {None, made["password"]}

    assert lumiere("unsubscribe", name, given="n\n").exit_code == 1
    assert name in broker.subscribers.names()
    assert json.loads(lumiere("unsubscribe", name, "--yes", "--json").stdout) == {"removed": name}
    assert name not in broker.subscribers.names()


def test_the_password_is_shown_once_and_kept_nowhere(
    lumiere: Callable[..., Result], broker: Broker, name: str, tmp_path: Any
) -> None:
    shown = lumiere("subscribe", name, "--type", "tasks.task.validated").stdout
    password = next(line.split()[1] for line in shown.splitlines() if line.strip().startswith("password"))

    broker.connect(PREFIX + name, password).close()
    assert "this once" in shown
    assert password not in lumiere("subscribe", name, "--type", "tasks.task.validated", "--json").stdout
    assert password not in lumiere("subscribers", "--json").stdout
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and password in path.read_text(errors="ignore")]
    (user,) = [each for each in broker.management.users() if each["name"] == PREFIX + name]
    assert password not in json.dumps(user)
    assert user["tags"] in ("", [])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("subscribe", "tasks", "--type", "tasks.task.validated"), "of the platform itself"),
        (("subscribe", "acme"), "Say which events"),
        (("subscribe", "acme", "--type", "tasks.task.validatd"), "Did you mean"),
        (("subscribe", "nobody-is-called-so", "--rotate"), "No subscriber is called"),
        (("unsubscribe", "nobody-is-called-so", "--yes"), "No subscriber is called"),
    ],
)
def test_a_command_that_cannot_be_followed_says_what_to_do(
    lumiere: Callable[..., Result], words: tuple[str, ...], sentence: str
) -> None:
    done = lumiere(*words)

    assert done.exit_code == 1
    assert sentence in done.stderr + done.output
