"""Facts that every process must hear at once: revocations, keys, maintenance. A queue a process, gone with it."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from libs.common.events import metrics
from libs.common.events.backoff import Backoff
from libs.common.events.broker import BrokerUnavailable, Received, Session, open_session
from libs.common.events.handling import handling
from libs.common.events.origin import authenticated
from libs.common.events.subscriptions import Handler
from libs.common.events.topology import broadcast_topology
from libs.common.telemetry import logger

PREFETCH: Final = 200
WAIT_SECONDS: Final = 0.5

log = logger(__name__)


class Broadcast:
    """Receives broadcasts for this process. What is sent while it is cut off is missed here: callers also poll.

    `on_connected` is called after each (re)connection, when the queue stands: poll then, and nothing is missed.
    """

    def __init__(
        self,
        amqp_url: str,
        service: str,
        handlers: Sequence[Handler],
        resources: Mapping[type, object],
        *,
        on_connected: Callable[[], None] | None = None,
    ) -> None:
        self._amqp_url = amqp_url
        self._service = service
        self._resources = resources
        self._on_connected = on_connected
        self._handlers: dict[str, list[Handler]] = {}
        for handler in handlers:
            self._handlers.setdefault(handler.topic, []).append(handler)
        self._backoff = Backoff()
        self.receiving = threading.Event()
        """Set while broadcasts arrive."""

    def run(self, stopping: threading.Event) -> None:
        """Receive until stopping."""
        while not stopping.is_set():
            try:
                with open_session(self._amqp_url) as session:
                    self._receive(session, stopping)
            except BrokerUnavailable as error:
                log.warning("broadcast.interrupted", reason=str(error))
                self._backoff.wait(stopping)
            finally:
                self.receiving.clear()

    def _receive(self, session: Session, stopping: threading.Event) -> None:
        topology = broadcast_topology(self._service, self._handlers)
        session.declare(topology)
        session.consume(topology.queues[0].name, prefetch=PREFETCH)
        self.receiving.set()
        self._backoff.reset()
        if self._on_connected is not None:
            self._on_connected()
        while not stopping.is_set():
            batch = session.receive(PREFETCH, wait_seconds=WAIT_SECONDS, idle_seconds=0)
            for received in batch:
                self._handle(received, session.user)
            if batch:
                session.settle_until(batch[-1].tag)

    def _handle(self, received: Received, own_user: str) -> None:
        """A broadcast that cannot be handled is counted and logged; there is nobody to give it back to."""
        outcome = "applied"
        try:
            envelope = authenticated(received, own_user)
            for handler in self._handlers.get(envelope.type, ()):
                with handling(envelope, "broadcast"):
                    handler.call(envelope, resources=self._resources)
        except Exception:
            outcome = "failed"
            log.exception("broadcast.failed", routing_key=received.routing_key)
        metrics.BROADCAST.labels(self._service, outcome).inc()
