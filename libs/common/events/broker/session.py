"""One connection through kombu: consume, settle, publish with confirm, declare."""

import select
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ssl import SSLSocket
from typing import Any, Final

import kombu as untyped_kombu
from amqp.exceptions import AMQPError, MessageNacked, NotFound, ResourceLocked  # type: ignore[import-untyped]
from kombu.exceptions import KombuError

from libs.common import clock
from libs.common.events.broker.address import BrokerAddress, at_any_node
from libs.common.events.broker.failure import (
    CONFIRM_TIMEOUT_SECONDS,
    CONNECT_TIMEOUT_SECONDS,
    HEARTBEAT_SECONDS,
    PERSISTENT,
    BrokerUnavailable,
    QueueMissing,
)
from libs.common.events.envelope import MEDIA_TYPE
from libs.common.events.subscriptions import Subscriptions
from libs.common.events.topology import EVENTS_EXCHANGE, Exchange, Queue, Topology, platform_topology, subscription_topology

READ_TIMEOUT_SECONDS: Final = 15
HEARTBEAT_CHECK_SECONDS: Final = 1.0
READ_BYTES: Final = 8_192
"""Asked of the socket at least: py-amqp asks for exactly what it needs next, nine times a message."""

kombu: Any = untyped_kombu  # it says that it is typed, but is not
_FAILURES = (OSError, AMQPError, MessageNacked, KombuError)


@dataclass(frozen=True)
class Received:
    """One delivery, to be settled by its tag."""

    body: bytes
    headers: Mapping[str, Any]
    routing_key: str
    tag: int
    user: str | None = None
    """Who sent it, as the broker has verified; None when the sender did not say."""


@dataclass(frozen=True)
class Found:
    """A queue as it is now."""

    messages: int
    """Those that nobody has been given."""
    consumers: int


def _received(message: Any) -> Received:
    body = message.body.encode() if isinstance(message.body, str) else bytes(message.body)
    info, properties = message.delivery_info, message.properties
    return Received(body, message.headers or {}, info["routing_key"], info["delivery_tag"], properties.get("user_id"))


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    try:
        yield
    except NotFound as error:
        raise QueueMissing(f"{doing}: {_reason(error)}") from error
    except _FAILURES as error:
        raise BrokerUnavailable(f"{doing}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    code = getattr(error, "reply_code", None)
    text = str(getattr(error, "reply_text", "") or type(error).__name__)
    return f"{code} {text}" if code else text


class Session:
    """One connection that consumes queues and publishes with confirms."""

    def __init__(self, url: str) -> None:
        at_any_node(url, self._open)

    def _open(self, address: BrokerAddress) -> None:
        self._connection = kombu.Connection(
            address.url,
            ssl=address.for_kombu(),
            heartbeat=HEARTBEAT_SECONDS,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            transport_options={
                "confirm_publish": True,
                "read_timeout": READ_TIMEOUT_SECONDS,
                "write_timeout": READ_TIMEOUT_SECONDS,
            },
        )
        self.user: str = self._connection.info()["userid"]
        self._received: list[Received] = []
        self._consumer: Any = None
        self._checked_at = clock.monotonic()
        with _translated("connect"):
            self._connection.connect()
            _read_ahead(self._connection.connection.transport)
            self._channel: Any = self._connection.channel()
            self._publishing: Any = self._connection.channel()

    def declare(self, topology: Topology) -> None:
        """Create what is missing of the topology. Raises BrokerUnavailable where it exists with other arguments (406)."""
        with _translated("declare"):
            self._ensure_platform()
            channel = self._connection.channel()
            _declare(channel, topology)
            channel.close()

    def _ensure_platform(self) -> None:
        """The shared exchanges come with the broker's definitions; only an administrator may create them here."""
        channel = self._connection.channel()
        try:
            channel.exchange_declare(EVENTS_EXCHANGE, "topic", passive=True, durable=True, auto_delete=False)
        except NotFound:
            channel = self._connection.channel()
            _declare(channel, platform_topology())
        channel.close()

    def reserve(self, name: str) -> bool:
        """Whether this connection now holds the name, and no other: an exclusive queue of it, gone with the connection."""
        with _translated("reserve"):
            channel = self._connection.channel()
            try:
                channel.queue_declare(name, exclusive=True, durable=False, auto_delete=True)
            except ResourceLocked:
                return False
            channel.close()
            return True

    def look(self, queue: str) -> Found | None:
        """What the broker says of a queue; None when there is none of this name."""
        with _translated("look"):
            channel = self._connection.channel()
            try:
                answer = channel.queue_declare(queue, passive=True)
            except NotFound:
                return None
            channel.close()
            return Found(messages=answer.message_count, consumers=answer.consumer_count)

    def unbind(self, queue: str, patterns: Iterable[str]) -> None:
        """Let a queue receive no more events of these patterns."""
        with _translated("unbind"):
            for pattern in patterns:
                self._channel.queue_unbind(queue, EVENTS_EXCHANGE, pattern)

    def delete(self, queue: str) -> None:
        """Delete a queue with what lies in it."""
        with _translated("delete"):
            self._channel.queue_delete(queue)

    def get(self, queue: str) -> Received | None:
        """One message of a queue, to be settled or given back; None when it is empty."""
        with _translated("get"):
            message = self._channel.basic_get(queue)
            return None if message is None else _received(message)

    def settle(self, tag: int) -> None:
        """Acknowledge one delivery."""
        with _translated("acknowledge"):
            self._channel.basic_ack(tag)

    def consume(self, queue: str, *, prefetch: int) -> None:
        """Start deliveries of one queue, at most `prefetch` unsettled; again with another limit to change it."""
        with _translated("consume"):
            previous = self._consumer
            self._consumer = kombu.Consumer(
                self._channel,
                queues=[kombu.Queue(queue, no_declare=True)],
                on_message=self._keep,
                auto_declare=False,
                prefetch_count=prefetch,
            )
            self._consumer.consume()
            # The broker applies a limit to consumers that start after it was set.
            if previous is not None:
                previous.cancel()

    def hold(self, seconds: float) -> None:
        """Keep the connection and everything unsettled for a while, and take nothing over."""
        until = clock.monotonic() + seconds
        with _translated("hold"):
            while (remaining := until - clock.monotonic()) > 0:
                self._beat()
                with suppress(TimeoutError):
                    self._connection.drain_events(timeout=min(remaining, HEARTBEAT_CHECK_SECONDS))

    def _keep(self, message: Any) -> None:
        self._received.append(_received(message))

    def receive(self, limit: int, *, wait_seconds: float, idle_seconds: float) -> list[Received]:
        """Up to `limit` deliveries: waits for the first, then takes what follows without a pause.

        A single one is not kept waiting for others: where little happens, it is a fifth of the time from commit to commit.
        """
        with _translated("receive"):
            self._beat()
            while len(self._received) < limit and (len(self._received) != 1 or self._more_is_here()):
                try:
                    self._connection.drain_events(timeout=idle_seconds if self._received else wait_seconds)
                except TimeoutError:
                    break
        batch, self._received = self._received[:limit], self._received[limit:]
        return batch

    def _more_is_here(self) -> bool:
        transport = self._connection.connection.transport
        if transport._read_buffer or (isinstance(transport.sock, SSLSocket) and transport.sock.pending()):  # noqa: SLF001 - see _read_ahead
            return True
        return bool(select.select([transport.sock], [], [], 0)[0])

    def _beat(self) -> None:
        if clock.monotonic() - self._checked_at >= HEARTBEAT_CHECK_SECONDS:
            self._checked_at = clock.monotonic()
            self._connection.heartbeat_check(rate=2)

    def settle_until(self, tag: int) -> None:
        """Acknowledge every delivery up to this tag."""
        with _translated("acknowledge"):
            self._channel.basic_ack(tag, multiple=True)

    def publish(
        self, exchange: str, routing_key: str, body: bytes, headers: Mapping[str, Any], *, vouched: bool = True
    ) -> None:
        """Publish one persistent message and wait until the broker has it; `vouched` puts our broker user's name to it.

        Raises BrokerUnavailable also when no queue took it.
        """
        with _translated("publish"):
            message = self._publishing.prepare_message(
                body,
                content_type=MEDIA_TYPE,
                content_encoding="utf-8",
                headers=dict(headers),
                properties={"delivery_mode": PERSISTENT} | ({"user_id": self.user} if vouched else {}),
            )
            self._publishing.basic_publish(
                message,
                exchange=exchange,
                routing_key=routing_key,
                mandatory=True,
                timeout=CONFIRM_TIMEOUT_SECONDS,
                confirm_timeout=CONFIRM_TIMEOUT_SECONDS,
            )

    def close(self) -> None:
        """Say goodbye; what was delivered and not settled goes back to its queue."""
        with suppress(*_FAILURES):
            if self._consumer is not None:
                self._consumer.cancel()
            self._connection.release()
        self.sever()

    def sever(self) -> None:
        """Close the socket at once. A connection that is merely forgotten would keep its prefetched deliveries for ever."""
        with suppress(*_FAILURES):
            self._connection.collect()


def _read_ahead(transport: Any) -> None:
    """Let the transport keep what it read beyond what it needed; it looks there first."""
    receive = transport._quick_recv  # noqa: SLF001 - py-amqp has no public way
    transport._quick_recv = lambda wanted: receive(max(wanted, READ_BYTES))  # noqa: SLF001


@contextmanager
def open_session(url: str) -> Iterator[Session]:
    """A session that is closed properly after success and severed after any failure."""
    session = Session(url)
    try:
        yield session
    except BaseException:
        session.sever()
        raise
    session.close()


def declare(url: str, topology: Topology) -> None:
    """Create queues before anything is published to them, so that no event is missed."""
    with open_session(url) as session:
        session.declare(topology)


def subscribe(url: str, subscriptions: Subscriptions) -> None:
    """Create every queue of a service. Done before any service starts, so that no first event finds nobody listening.

    Raises BrokerUnavailable.
    """
    with open_session(url) as session:
        for subscription in subscriptions.queues:
            session.declare(subscription_topology(subscription))


def reachable(url: str) -> bool:
    """Whether the broker lets us in now."""
    try:
        with open_session(url):
            return True
    except BrokerUnavailable:
        return False


def _declare(channel: Any, topology: Topology) -> None:
    for exchange in topology.exchanges:
        _declare_exchange(channel, exchange)
    for queue in topology.queues:
        _declare_queue(channel, queue)
    for binding in topology.bindings:
        channel.queue_bind(binding.queue, binding.exchange, binding.routing_key)


def _declare_exchange(channel: Any, exchange: Exchange) -> None:
    channel.exchange_declare(exchange.name, exchange.kind, durable=True, auto_delete=False, arguments=dict(exchange.arguments))


def _declare_queue(channel: Any, queue: Queue) -> None:
    channel.queue_declare(
        queue.name,
        durable=not queue.exclusive,
        exclusive=queue.exclusive,
        auto_delete=queue.exclusive,
        arguments=dict(queue.arguments),
    )
