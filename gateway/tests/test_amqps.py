"""The door for subscribers outside: AMQP over TLS to the broker and nothing else, and nobody's address in a log."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pika  # type: ignore[import-untyped]
import pytest
from pika.exceptions import AMQPConnectionError  # type: ignore[import-untyped]

from gateway import limits
from gateway.door import AmqpsDoor, TargetError
from gateway.manifest import manifest_paths
from gateway.settings import AMQP_PORT, GatewaySettings
from gateway.tests.running import RunningGateway, eventually, free_port
from gateway.tests.test_compiler import DOOR, compiled
from libs.common.config import ConfigurationError, load
from libs.common.events.tests.platform import backing
from libs.common.ids import random_token
from tests.certificates import Certificate, certificate

GREETING = b"AMQP\x00\x00\x09\x01"


class Entrance:
    """A gateway whose door for subscribers is open."""

    def __init__(self, root: Path, broker_port: int | None = None) -> None:
        self.certificate: Certificate = certificate(root)
        self.port = free_port()
        broker = urlsplit(backing("AMQP_URL"))
        self.running = RunningGateway(root)
        self.running.door = replace(
            self.running.door,
            amqps=AmqpsDoor(
                self.port, str(self.certificate.server), ((str(broker.hostname), broker_port or broker.port or AMQP_PORT),)
            ),
        )
        self.running.gateway = self.running.another_gateway()
        self.running.gateway.compile()
        self.running.start()

    def trusting(self) -> ssl.SSLContext:
        """What a careful client uses."""
        return ssl.create_default_context(cafile=str(self.certificate.trusted))

    def socket(self) -> ssl.SSLSocket:
        """A connection within TLS."""
        # Wrapped before it connects: ssl forgets a socket that the other side has cut when it is wrapped.
        made = self.trusting().wrap_socket(socket.socket(), server_hostname="localhost")
        made.settimeout(10)
        try:
            made.connect(("127.0.0.1", self.port))
        except OSError:
            made.close()
            raise
        return made

    def connection(self) -> pika.BlockingConnection:
        """An AMQP connection as the broker's administrator."""
        given = pika.URLParameters(backing("AMQP_URL"))
        parameters = pika.ConnectionParameters(
            "127.0.0.1",
            self.port,
            credentials=given.credentials,
            ssl_options=pika.SSLOptions(self.trusting(), "localhost"),
            heartbeat=0,
            socket_timeout=5,
            blocked_connection_timeout=5,
        )
        return pika.BlockingConnection(parameters)

    def broker_state(self) -> str:
        """How HAProxy sees the broker."""
        return self.running.gateway.haproxy.replicas().get("broker", {}).get("broker", "")


@pytest.fixture(scope="module")
def entrance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Entrance]:
    opened = Entrance(tmp_path_factory.mktemp("entrance"))
    try:
        eventually(lambda: opened.broker_state() == "UP")
        yield opened
    finally:
        opened.running.close()


def answer_to(entrance: Entrance, sent: bytes) -> bytes:
    """What comes back first; nothing when the connection is cut."""
    with entrance.socket() as connection:
        connection.sendall(sent)
        try:
            return connection.recv(16)
        except OSError:
            return b""


def test_an_amqp_client_that_verifies_the_certificate_reaches_the_broker(entrance: Entrance) -> None:
    connection = entrance.connection()
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.basic_publish("", queue, b"through the gateway")

    found = eventually(lambda: channel.basic_get(queue, auto_ack=True)[2])

    assert found == b"through the gateway"
    connection.close()


def test_a_wrong_password_is_refused_by_the_broker(entrance: Entrance) -> None:
    parameters = pika.ConnectionParameters(
        "127.0.0.1",
        entrance.port,
        credentials=pika.PlainCredentials("operator", random_token()),
        ssl_options=pika.SSLOptions(entrance.trusting(), "localhost"),
    )

    with pytest.raises(AMQPConnectionError):
        pika.BlockingConnection(parameters)


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"AMQP\x03\x01\x00\x00", b"AMQP\x00\x00\x09\x02", b"PROXY TCP4 1.2.3.4 "]
)
def test_what_is_not_amqp_never_reaches_the_broker(entrance: Entrance, sent: bytes) -> None:
    assert answer_to(entrance, GREETING)[:1] == b"\x01"
    assert answer_to(entrance, sent) == b""


@pytest.mark.filterwarnings("ignore:.*TLSv1_1 is deprecated:DeprecationWarning")
def test_plain_text_and_old_tls_are_refused(entrance: Entrance) -> None:
    with socket.create_connection(("127.0.0.1", entrance.port), timeout=10) as plain:
        plain.sendall(GREETING)
        assert not plain.recv(16).startswith(b"\x01")
    old = entrance.trusting()
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", entrance.port), timeout=10) as plain:
        with pytest.raises(OSError, match=r"ALERT_PROTOCOL_VERSION|EOF|reset"):
            old.wrap_socket(plain, server_hostname="localhost")


def test_no_address_is_logged_even_when_a_handshake_fails(entrance: Entrance) -> None:
    with socket.create_connection(("127.0.0.1", entrance.port), timeout=10) as plain:
        plain.sendall(GREETING * 4)
        plain.recv(16)
    entrance.connection().close()

    eventually(lambda: '"event":"refused"' in entrance.running.log and '"event":"subscriber"' in entrance.running.log)

    lines = [
        line for line in entrance.running.log.splitlines() if '"event":"refused"' in line or '"event":"subscriber"' in line
    ]
    assert lines
    assert not [line for line in lines if "127.0.0.1" in line or "operator" in line]


def test_connections_of_one_address_are_bounded(entrance: Entrance) -> None:
    def refused() -> bool:
        try:
            entrance.socket().close()
        except OSError:
            return True
        return False

    eventually(lambda: not refused())
    with ExitStack() as held:
        kept = []
        for _ in range(limits.AMQPS_ADDRESS_CONNECTIONS_MAX):
            connection = held.enter_context(entrance.socket())
            connection.sendall(GREETING)
            kept.append(connection.recv(1))
        assert kept == [b"\x01"] * limits.AMQPS_ADDRESS_CONNECTIONS_MAX
        assert refused()


def test_new_connections_of_one_address_are_bounded_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "AMQPS_ADDRESS_RATE_MAX", 3)
    opened = Entrance(tmp_path)
    try:
        for _ in range(3):
            opened.socket().close()
        with pytest.raises(OSError, match=r"."):
            opened.socket()
        assert httpx.get(f"{opened.running.url}/health/live").status_code == 200
    finally:
        opened.running.close()


def test_a_silent_client_is_cut_and_a_quiet_subscriber_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "AMQPS_HEADER_SECONDS", 1)
    opened = Entrance(tmp_path)
    try:
        eventually(lambda: opened.broker_state() == "UP")
        subscriber = opened.connection()
        with opened.socket() as silent:
            silent.settimeout(5)
            assert silent.recv(1) == b""
        with socket.create_connection(("127.0.0.1", opened.port), timeout=5) as before_tls:
            assert before_tls.recv(1) == b""
        subscriber.process_data_events(1.5)
        assert subscriber.channel().is_open
        subscriber.close()
    finally:
        opened.running.close()


def test_a_renewed_certificate_is_shown_without_a_restart(tmp_path: Path) -> None:
    opened = Entrance(tmp_path)
    try:
        opened.socket().close()
        before = opened.running.gateway.fingerprint()
        opened.certificate = certificate(tmp_path)
        with pytest.raises(ssl.SSLError):
            opened.socket()

        assert opened.running.gateway.fingerprint() != before
        assert opened.running.gateway.compile()

        opened.socket().close()
        assert not opened.running.gateway.compile()
    finally:
        opened.running.close()


def test_a_broker_that_does_not_speak_amqp_is_down(tmp_path: Path) -> None:
    opened = Entrance(tmp_path, broker_port=free_port())
    try:
        eventually(lambda: opened.broker_state() == "DOWN")
        assert answer_to(opened, GREETING) == b""
    finally:
        opened.running.close()


def test_the_door_is_shut_unless_it_is_opened(tmp_path: Path) -> None:
    shut = compiled(*manifest_paths())["haproxy.cfg"].decode()

    assert "subscribers" not in shut
    assert "backend broker" not in shut


def test_idle_time_exceeds_the_heartbeats_that_rabbitmq_proposes() -> None:
    assert limits.AMQPS_IDLE_SECONDS > 2 * 60


def test_a_broker_by_name_is_looked_up_again_and_a_strange_one_is_refused() -> None:
    def configured(*hosts: str) -> str:
        door = replace(DOOR, amqps=AmqpsDoor(5671, "/etc/tls.pem", tuple((host, 5672) for host in hosts)))
        return compiled(*manifest_paths(), door=door)["haproxy.cfg"].decode()

    assert (
        "server broker rabbitmq:5672 check inter 2s fastinter 500ms downinter 1s fall 2 rise 1 resolvers network"
        in configured("rabbitmq")
    )
    assert "resolvers" not in configured("10.0.0.7")
    cluster = configured("10.0.0.7", "two")
    assert "server broker 10.0.0.7:5672 check" in cluster
    assert "server broker-2 two:5672 check inter 2s fastinter 500ms downinter 1s fall 2 rise 1 resolvers network" in cluster
    assert "server broker [::1]:5672 " in configured("::1")
    with pytest.raises(TargetError, match="host:port"):
        configured("broker check\n")


ENVIRONMENT = {
    "AMQP_URL": "amqp://gateway@rabbitmq/",
    "REVOCATION_LIST_TOKEN": random_token(),
    "GATEWAY_SECRET": random_token(),
    "GATEWAY_FOLDER": "/run/lumiere",
    "GATEWAY_AMQPS_PORT": "5671",
}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "needs GATEWAY_AMQPS_CERTIFICATE"),
        ({"GATEWAY_AMQPS_CERTIFICATE": "/c.pem", "LUMIERE_PORT": "5671"}, "must differ from LUMIERE_PORT"),
        ({"GATEWAY_AMQPS_CERTIFICATE": "/c.pem", "AMQP_URL": "amqps://b/"}, "needs TLS_AUTHORITY"),
        ({"GATEWAY_AMQPS_CERTIFICATE": "/c.pem", "AMQP_URL": "amqps://a/;amqps://b/"}, "needs TLS_AUTHORITY"),
        ({"GATEWAY_AMQPS_CERTIFICATE": "/c.pem", "GATEWAY_AMQPS_PORT": "65536"}, "GATEWAY_AMQPS_PORT"),
    ],
)
def test_a_door_that_cannot_be_opened_says_why(changes: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        load(GatewaySettings, ENVIRONMENT | changes)


def test_the_gateways_own_certificate_serves_where_no_other_is_given() -> None:
    own = load(GatewaySettings, ENVIRONMENT | {"GATEWAY_CERTIFICATE": "/own.pem"}).door().amqps
    other = (
        load(GatewaySettings, ENVIRONMENT | {"GATEWAY_CERTIFICATE": "/own.pem", "GATEWAY_AMQPS_CERTIFICATE": "/c.pem"})
        .door()
        .amqps
    )

    assert own == AmqpsDoor(5671, "/own.pem", (("rabbitmq", AMQP_PORT),))
    assert other is not None
    assert other.certificate == "/c.pem"
