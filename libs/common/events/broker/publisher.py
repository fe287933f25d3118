"""A connection through pika that sends whole batches and waits for their confirms later: eight times one at a time."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import pika  # type: ignore[import-untyped]
from pika.exceptions import AMQPError, StreamLostError  # type: ignore[import-untyped]

from libs.common import clock
from libs.common.addresses import broker_addresses
from libs.common.events.broker.address import BrokerAddress, at_any_node
from libs.common.events.broker.failure import (
    CONNECT_TIMEOUT_SECONDS,
    HEARTBEAT_SECONDS,
    PERSISTENT,
    BrokerUnavailable,
)
from libs.common.events.envelope import MEDIA_TYPE
from libs.common.events.topology import EVENTS_EXCHANGE

CLOSE_TIMEOUT_SECONDS: Final = 1.0
WRITTEN_TOGETHER: Final = 50
"""Events that one write to the socket takes: one for each of an event's three frames costs more than making the frames."""
_FRAME_BYTES: Final = pika.spec.FRAME_HEADER_SIZE + pika.spec.FRAME_END_SIZE


@dataclass(frozen=True)
class Outgoing:
    """One event to publish; its type is the routing key."""

    event_id: str
    type: str
    body: bytes


@dataclass
class Sent:
    """A batch on its way to the broker."""

    unconfirmed: set[int]
    """Delivery tags that the broker has not confirmed yet."""
    oldest: int
    """Every tag below it is confirmed."""

    def confirm(self, tag: int, *, multiple: bool) -> None:
        """Take one confirm in, of this batch or of another; multiple: of every tag up to this one."""
        if not multiple:
            self.unconfirmed.discard(tag)
        elif tag >= self.oldest:
            self.unconfirmed.difference_update(range(self.oldest, tag + 1))
            self.oldest = tag + 1


class PipelinedPublisher:
    """Publishes to the event exchange. Its thread runs the connection's event loop whenever it waits for something.

    Only `wake` may be called from other threads.
    """

    def __init__(self, url: str, service: str) -> None:
        self._url = url
        self._service = service
        self._user = pika.URLParameters(BrokerAddress.parse(broker_addresses(url)[0]).url).credentials.username
        self._connection: Any = None
        self._channel: Any = None
        self._reset()

    def _reset(self) -> None:
        self._confirming = False
        self._closed_because: str | None = None
        self._nacked = False
        self._woken = False
        self._published = 0
        self._sent: deque[Sent] = deque()
        self._methods: dict[str, bytes] = {}
        self.blocked = False

    @property
    def is_open(self) -> bool:
        return self._confirming and self._closed_because is None

    def open(self) -> None:
        """Connect to any node and switch to publisher confirms. Raises BrokerUnavailable when none takes us."""
        at_any_node(self._url, self._open)

    def _open(self, address: BrokerAddress) -> None:
        self._reset()
        try:
            self._connection = pika.SelectConnection(
                self._parameters(address),
                on_open_callback=self._on_open,
                on_open_error_callback=self._on_closed,
                on_close_callback=self._on_closed,
            )
        except (AMQPError, OSError) as error:
            raise BrokerUnavailable(f"connect: {type(error).__name__}") from error
        self._connection.add_on_connection_blocked_callback(lambda *_: self._set_blocked(True))
        self._connection.add_on_connection_unblocked_callback(lambda *_: self._set_blocked(False))
        if not self._run(CONNECT_TIMEOUT_SECONDS, lambda: self._confirming):
            reason = self._closed_because or "timed out"
            self.sever()
            raise BrokerUnavailable(f"connect: {reason}")

    def _parameters(self, address: BrokerAddress) -> Any:
        parameters = pika.URLParameters(address.url)
        if (context := address.context()) is not None:
            parameters.ssl_options = pika.SSLOptions(context, address.server_name)
        if parameters.heartbeat is None:  # an address may ask for another one: `?heartbeat=5`
            parameters.heartbeat = HEARTBEAT_SECONDS
        parameters.socket_timeout = CONNECT_TIMEOUT_SECONDS
        parameters.stack_timeout = CONNECT_TIMEOUT_SECONDS
        parameters.client_properties = {"connection_name": f"{self._service} relay"}
        return parameters

    def publish(self, events: Sequence[Outgoing], *, timeout_seconds: float) -> None:
        """Publish all and wait until the broker has all. Raises BrokerUnavailable as `send` and `confirm` do."""
        self.confirm(self.send(events), timeout_seconds=timeout_seconds)

    def send(self, events: Sequence[Outgoing]) -> Sent:
        """Send all after what was sent before, without waiting. Raises BrokerUnavailable; then any of them may have arrived."""
        if not self.is_open:
            raise BrokerUnavailable(f"publish: {self._closed_because or 'not connected'}")
        first = self._published + 1
        sent = Sent(set(range(first, first + len(events))), first)
        self._sent.append(sent)
        try:
            for start in range(0, len(events), WRITTEN_TOGETHER):
                self._send(events[start : start + WRITTEN_TOGETHER])
        except AMQPError as error:
            raise BrokerUnavailable(f"publish: {type(error).__name__}") from error
        return sent

    def confirm(self, sent: Sent, *, timeout_seconds: float) -> None:
        """Wait until the broker has every event of a batch.

        Raises BrokerUnavailable when it does not confirm in time, refuses any event that was sent, or goes away; then any of
        them may have arrived.
        """
        confirmed = self._run(timeout_seconds, lambda: not sent.unconfirmed or self._nacked)
        if self._nacked:
            raise BrokerUnavailable("publish: refused by a queue")
        if not confirmed:
            blocked = "blocked" if self.blocked else "not confirmed in time"
            raise BrokerUnavailable(f"publish: {self._closed_because or blocked}")

    def wait(self, seconds: float) -> None:
        """Keep the connection alive until woken or the time is up. Raises BrokerUnavailable when it is lost."""
        self._run(seconds, lambda: self._woken)
        self._woken = False
        if not self.is_open:
            raise BrokerUnavailable(f"connection lost: {self._closed_because or 'unknown'}")

    def wake(self) -> None:
        """End the present or next `wait`; safe from any thread."""
        connection = self._connection
        if connection is not None:
            # It may be severed this moment: whoever opens the next one looks into the outbox at once.
            with suppress(OSError, AttributeError):
                connection.ioloop.add_callback_threadsafe(self._on_wake)

    def close(self) -> None:
        """Say goodbye."""
        if self.is_open:
            connection = self._connection
            connection.close()
            self._turn(connection.ioloop, CLOSE_TIMEOUT_SECONDS, lambda: connection.is_closed)
        self.sever()

    def sever(self) -> None:
        """Close the socket at once."""
        connection, self._connection, self._channel = self._connection, None, None
        self._confirming = False
        if connection is None:
            return
        if not connection.is_closed:
            # pika has no public way to drop a connection whose other side does not answer.
            connection._terminate_stream(StreamLostError("severed"))  # noqa: SLF001
            self._turn(connection.ioloop, CLOSE_TIMEOUT_SECONDS, lambda: connection.is_closed)
        connection.ioloop.close()

    def _send(self, events: Sequence[Outgoing]) -> None:
        self._published += len(events)
        frames = [frame for event in events for frame in self._frames(event)]
        # pika's public way writes each frame by itself.
        self._connection._output_marshaled_frames([b"".join(frames)])  # noqa: SLF001

    def _frames(self, event: Outgoing) -> Iterator[bytes]:
        channel = self._channel.channel_number
        if event.type not in self._methods:
            publish = pika.spec.Basic.Publish(exchange=EVENTS_EXCHANGE, routing_key=event.type)
            self._methods[event.type] = pika.frame.Method(channel, publish).marshal()
        yield self._methods[event.type]
        yield pika.frame.Header(channel, len(event.body), self._properties(event)).marshal()
        length = self._connection.params.frame_max - _FRAME_BYTES
        for start in range(0, len(event.body), length):
            yield pika.frame.Body(channel, event.body[start : start + length]).marshal()

    def _properties(self, event: Outgoing) -> Any:
        return pika.BasicProperties(
            content_type=MEDIA_TYPE,
            content_encoding="utf-8",
            delivery_mode=PERSISTENT,
            message_id=event.event_id,
            type=event.type,
            app_id=self._service,
            user_id=self._user,
        )

    def _run(self, seconds: float, done: Callable[[], bool]) -> bool:
        return self._turn(self._connection.ioloop, seconds, lambda: self._closed_because is not None or done()) and done()

    @staticmethod
    def _turn(loop: Any, seconds: float, done: Callable[[], bool]) -> bool:
        """Run the loop until `done` or the time is up; every callback stops the loop, so that `done` is asked again."""
        deadline = clock.monotonic() + seconds
        while not done():
            remaining = deadline - clock.monotonic()
            if remaining <= 0:
                return False
            timer = loop.call_later(remaining, loop.stop)
            loop.start()
            loop.remove_timeout(timer)
        return True

    def _on_open(self, connection: Any) -> None:
        connection.channel(on_open_callback=self._on_channel)

    def _on_channel(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._on_closed)
        channel.confirm_delivery(self._on_settled, callback=self._on_confirming)

    def _on_confirming(self, _frame: Any) -> None:
        self._confirming = True
        self._stop()

    def _on_settled(self, frame: Any) -> None:
        method = frame.method
        self._nacked = self._nacked or isinstance(method, pika.spec.Basic.Nack)
        for sent in self._sent:
            sent.confirm(method.delivery_tag, multiple=method.multiple)
        while self._sent and not self._sent[0].unconfirmed:
            self._sent.popleft()
            self._stop()
        if self._nacked:
            self._stop()

    def _on_closed(self, source: Any, reason: Any) -> None:
        if self._closed_because is None:
            code, text = getattr(reason, "reply_code", None), getattr(reason, "reply_text", "")
            self._closed_because = f"{code} {text}" if code else type(reason).__name__
        loop = getattr(source, "ioloop", None) or source.connection.ioloop
        loop.stop()

    def _on_wake(self) -> None:
        self._woken = True
        self._stop()

    def _set_blocked(self, blocked: bool) -> None:
        self.blocked = blocked

    def _stop(self) -> None:
        if self._connection is not None:
            self._connection.ioloop.stop()
