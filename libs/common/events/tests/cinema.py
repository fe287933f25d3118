"""A consumer service that runs in threads of the test, and what its tests ask of it."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from uuid import UUID

from sqlalchemy import func, select

from libs.common import ids
from libs.common.db import Database, kernel_tables
from libs.common.db.locks import AdvisoryLocks
from libs.common.events import Envelope
from libs.common.events.broker import subscribe
from libs.common.events.consumer import Consumer
from libs.common.events.envelope import schema_address
from libs.common.events.listener import Listener
from libs.common.events.outbox import CHANNEL
from libs.common.events.relay import Relay
from libs.common.events.subscriptions import Subscriptions
from libs.common.events.tests.live import (
    Cut,
    Mood,
    effects,
    eventually,
    running,
    subscriptions,
)
from libs.common.events.tests.platform import Platform, forget


class Cinema:
    """A consumer service on the platform, with `replicas` processes' worth of consumers."""

    def __init__(self, platform: Platform, subscribed: Subscriptions, resources: Mapping[type, object]) -> None:
        self.platform = platform
        self.resources = resources
        self.subscribed = subscribed
        self.subscription = subscribed.queues[0]
        self.mood = Mood()

    def effects(self) -> list[tuple[str, int]]:
        return effects(self.platform.cinema)

    def consumer(self) -> Consumer:
        return Consumer(self.platform.cinema, self.platform.amqp_url, self.subscription, {Mood: self.mood, **self.resources})


@contextmanager
def cinema(
    platform: Platform, handler: object, *, replicas: int = 1, resources: Mapping[type, object] | None = None
) -> Iterator[Cinema]:
    subscribed = subscriptions(platform.consumer, handler)  # type: ignore[arg-type]
    service = Cinema(platform, subscribed, resources or {})
    subscribe(platform.amqp_url, subscribed)
    consumers = [service.consumer() for _ in range(replicas)]
    try:
        with running(*(each.run for each in consumers), *relay_of(platform)):
            eventually(lambda: all(each.consuming.is_set() for each in consumers), "consumers receive")
            yield service
    finally:
        forget(platform.amqp_url, subscribed)


def relay_of(platform: Platform) -> tuple[Callable[[threading.Event], None], ...]:
    listener = Listener(platform.studio)
    relay = Relay(platform.studio, platform.amqp_url, AdvisoryLocks(platform.studio))
    listener.subscribe(CHANNEL, lambda _: relay.wake())
    return relay.run, listener.run


def publish_cuts(platform: Platform, numbers: range, reel: UUID | None = None) -> str:
    reel = reel or ids.new_id()
    with platform.studio.transaction() as tx:
        for number in numbers:
            tx.publish(Cut(reel_id=reel, number=number))
    return str(reel)


def stored(database: Database, table: str) -> int:
    with database.reader() as reader:
        rows: int = reader.scalar(select(func.count()).select_from(getattr(kernel_tables(database.metadata), table)))
        return rows


def envelope_of(reel: UUID, sequence: int, version: int = 1) -> Envelope:
    """An event as another process of the producer would have published it."""
    fact = Cut(reel_id=reel, number=sequence)
    return Envelope.model_validate(
        {
            "id": ids.new_id(),
            "source": f"/services/{Cut.service()}",
            "type": Cut.event_type,
            "subject": str(reel),
            "time": "2026-01-02T03:04:05Z",
            "dataschema": schema_address(Cut.event_type, version),
            "sequence": sequence,
            "correlation_id": "test",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
            "data": fact.wire_data(None),
        },
        strict=False,
    )


def waited_dead_letters(service: Cinema, count: int) -> list[tuple[bytes, dict[str, object]]]:
    found: list[tuple[bytes, dict[str, object]]] = []

    def arrived() -> bool:
        found.extend(service.platform.dead_letters(service.subscription))
        return len(found) >= count

    eventually(arrived, f"{count} dead letters")
    return found
