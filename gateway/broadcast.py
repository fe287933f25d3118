"""What the platform tells every process at once: ended sessions and changed keys, on a queue of this process alone."""

import json
from collections.abc import Callable, Mapping
from threading import Event
from typing import Any

import kombu
from amqp.exceptions import AMQPError  # type: ignore[import-untyped]
from kombu.exceptions import KombuError

from libs.common.ids import new_id
from libs.common.telemetry import logger

EXCHANGE = "lumiere.events"
SESSION_REVOKED, KEY_CHANGED = "auth.session.revoked", "auth.key.changed"
HEARTBEAT_SECONDS = 10
RECEIVE_SECONDS = 1.0
RECONNECT_SECONDS = 1.0

log = logger(__name__)
Handler = Callable[[str, Mapping[str, Any]], None]


class Broadcast:
    """Listens until told to stop, and connects again whenever the broker was away."""

    def __init__(self, url: str, handle: Handler, connected: Callable[[], None]) -> None:
        self._url = url
        self._handle = handle
        self._connected = connected
        self.listening = False

    def run(self, stopped: Event) -> None:
        """Listen. What was said while nobody listened is caught up by `connected`, which asks auth."""
        while not stopped.is_set():
            try:
                self._listen(stopped)
            except (OSError, AMQPError, KombuError) as error:
                log.warning("broadcast.away", error_class=type(error).__name__)
            self.listening = False
            stopped.wait(RECONNECT_SECONDS)

    def _listen(self, stopped: Event) -> None:
        with (
            kombu.Connection(self._url, heartbeat=HEARTBEAT_SECONDS, connect_timeout=5) as connection,
            connection.channel() as channel,
        ):
            exchange = kombu.Exchange(EXCHANGE, "topic", channel=channel, passive=True)
            exchange.declare()
            queue = kombu.Queue(
                f"gateway.broadcast.{new_id().hex}",
                exchange,
                channel=channel,
                exclusive=True,
                durable=False,
                auto_delete=True,
                bindings=[kombu.binding(exchange, routing_key=key) for key in (SESSION_REVOKED, KEY_CHANGED)],
            )
            queue.declare()
            with kombu.Consumer(channel, [queue], on_message=self._received, no_ack=True):
                self.listening = True
                log.info("broadcast.listening")
                self._connected()
                while not stopped.is_set():
                    connection.heartbeat_check(rate=2)
                    try:
                        connection.drain_events(timeout=RECEIVE_SECONDS)
                    except TimeoutError:
                        continue

    def _received(self, message: Any) -> None:
        try:
            body = message.body if isinstance(message.body, bytes | str) else bytes(message.body)
            envelope = json.loads(body)
            self._handle(str(envelope["type"]), envelope["data"])
        except (ValueError, KeyError, TypeError) as error:
            log.warning(
                "broadcast.unreadable", routing_key=message.delivery_info["routing_key"], error_class=type(error).__name__
            )
