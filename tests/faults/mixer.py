"""A disorderly path between the event exchange and a subscription's queue: late, permuted, doubled."""

import random
import threading
from collections import Counter
from typing import Any, Final

import kombu as untyped_kombu

from libs.common.events.envelope import Envelope
from libs.common.events.subscriptions import Subscription
from libs.common.events.topology import EVENTS_EXCHANGE, service_exchange

kombu: Any = untyped_kombu

LATE_BY: Final = 60
"""So many younger events may overtake one."""
COPIES: Final = (1, 1, 1, 2, 3)
WAIT_SECONDS: Final = 0.02
CONFIRM_SECONDS: Final = 5.0


class Mixer(threading.Thread):
    """Takes the queue's place at the exchange and hands events on in an order drawn from a seed, some of them repeatedly."""

    def __init__(self, amqp_url: str, subscription: Subscription, seed: int) -> None:
        super().__init__(name="mixer")
        self._subscription = subscription
        self._queue = f"{subscription.queue}.mixed"
        self._random = random.Random(f"mixer {seed}")  # noqa: S311 - an order that can be replayed
        self._connection = kombu.Connection(amqp_url, transport_options={"confirm_publish": True})
        self._channel = self._connection.channel()
        self._ending = threading.Event()
        self._recorded: list[bytes] = []
        self._held: list[tuple[float, int, bytes]] = []
        self._handed_on: Counter[str] = Counter()
        self._highest: Counter[str] = Counter()
        self.copies = 0
        """Deliveries beyond the first of an event."""
        self.inversions = 0
        """First deliveries that came after one with a higher number of the same aggregate."""

    def take_over(self) -> None:
        """Stand between exchange and queue. What a consumer's reconnect binds again arrives twice, which is welcome here."""
        self._channel.queue_declare(self._queue, exclusive=True, auto_delete=True)
        for pattern in self._subscription.bindings:
            self._channel.queue_bind(self._queue, EVENTS_EXCHANGE, pattern)
            self._channel.queue_unbind(self._subscription.queue, EVENTS_EXCHANGE, pattern)
        self._channel.basic_consume(self._queue, no_ack=True, callback=self._take)

    def run(self) -> None:
        while True:
            try:
                self._connection.drain_events(timeout=WAIT_SECONDS)
            except TimeoutError:
                if self._ending.is_set():
                    break
            self._hand_on(len(self._recorded))
        self._hand_on(float("inf"))

    def finish(self) -> None:
        """All was published: hand on what is held back and end. Raises AssertionError when it died before."""
        assert self.is_alive(), "the mixer died"
        self._ending.set()
        self.join()

    def repeat_all(self) -> None:
        """Hand on every event that ever came by once more, in another order."""
        again = list(self._recorded)
        self._random.shuffle(again)
        for body in again:
            self._publish(body)

    def close(self) -> None:
        """End, whatever happened."""
        self._ending.set()
        if self.is_alive():
            self.join()
        self._connection.release()

    def _take(self, message: Any) -> None:
        body = message.body.encode() if isinstance(message.body, str) else bytes(message.body)
        self._recorded.append(body)
        for _ in range(self._random.choice(COPIES)):
            self._held.append((len(self._recorded) + self._random.uniform(0, LATE_BY), len(self._held), body))

    def _hand_on(self, arrived: float) -> None:
        due = sorted(each for each in self._held if each[0] <= arrived)
        self._held = [each for each in self._held if each[0] > arrived]
        for _, _, body in due:
            self._publish(body)

    def _publish(self, body: bytes) -> None:
        envelope = Envelope.decode(body)
        if self._handed_on[str(envelope.id)]:
            self.copies += 1
        elif envelope.sequence < self._highest[envelope.subject]:
            self.inversions += 1
        self._handed_on[str(envelope.id)] += 1
        self._highest[envelope.subject] = max(self._highest[envelope.subject], envelope.sequence)
        message = self._channel.prepare_message(
            body, properties={"delivery_mode": 2, "user_id": self._connection.info()["userid"]}
        )
        self._channel.basic_publish(
            message,
            exchange=service_exchange(self._subscription.consumer),
            routing_key=self._subscription.queue,
            mandatory=True,
            confirm_timeout=CONFIRM_SECONDS,
        )
