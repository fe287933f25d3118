"""Events a second: the relay, and one and two consumers, each beside RabbitMQ without a database."""

from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any

import kombu as untyped_kombu
from sqlalchemy import text

from bench.bus.notes import outgoing
from bench.bus.stage import Child, Stage, await_, children
from bench.figures import Figure, NothingMeasured, against, limit
from bench.timing import ROUNDS, in_turns
from libs.common import clock
from libs.common.db import Database
from libs.common.events.broker import open_session
from libs.common.events.broker.publisher import Outgoing, PipelinedPublisher, Sent
from libs.common.events.consumer import BATCH_EVENTS as CONSUMED_TOGETHER
from libs.common.events.consumer import BATCH_IDLE_SECONDS, PREFETCH
from libs.common.events.outbox import CHANNEL
from libs.common.events.relay import BATCH_EVENTS as PUBLISHED_TOGETHER
from libs.common.events.relay import BATCHES_IN_FLIGHT, CONFIRM_SECONDS
from libs.common.events.tests.live import Noted
from libs.common.events.topology import EVENTS_EXCHANGE

kombu: Any = untyped_kombu
PUBLISHING = "RabbitMQ alone: pika, pipelined confirms"
KOMBU = "RabbitMQ alone: kombu, one confirm at a time"
CONSUMING = "RabbitMQ alone: consuming in batches"
RELAY = "relay: outbox → confirmed, archived, removed"
ONE_BY_ONE = "consumer: inbox row and one effect each"
ONE_BY_ONE_TWICE = "consumer: the same in two processes"
TOGETHER = "consumer, set-based handler"
TOGETHER_TWICE = "consumer, set-based handler, in two processes"
EVENTS_A_SECOND = 10_000
"""Events of all turns of the fastest works, for each second that was asked for; slower works get a part of them."""

# Ids ascend with time, as UUIDv7 does: an index grows at its end.
_FILL = """
INSERT INTO {schema}.outbox (event_id, type, aggregate_type, aggregate_id, sequence, body, archive_body, created_at)
SELECT id, :type, :aggregate, id::text, 1, :body, :body, now() FROM (
    SELECT (substr(moment, 1, 8) || '-' || substr(moment, 9) || '-7' || substr(gen_random_uuid()::text, 16))::uuid AS id
    FROM generate_series(1, :count), lpad(to_hex((1000 * extract(epoch FROM clock_timestamp()))::bigint), 12, '0') AS moment
) AS made
"""
_SPAN = """
WITH applied AS (SELECT applied_at FROM {schema}.effect JOIN {schema}.inbox USING (event_id) WHERE subscription = :subscription)
SELECT count(*) FILTER (WHERE applied_at < latest) AS events, extract(epoch FROM max(latest) - min(applied_at)) AS seconds
FROM applied, (SELECT max(applied_at) AS latest FROM applied) AS ends
"""


def measure(set_up: Stage, seconds: float) -> list[Figure]:
    """Relay and consumers as processes of their own; the plain works of RabbitMQ in this one."""
    events = int(EVENTS_A_SECOND * seconds) // ROUNDS
    bodies = [outgoing() for _ in range(events)]
    with children(set_up, "relay", "consumer", "consumer") as (relay, *consumers):
        rates = in_turns(
            {
                PUBLISHING: lambda: publishing(set_up, bodies),
                KOMBU: lambda: _kombu(set_up, bodies[: events // 10]),
                RELAY: lambda: relaying(set_up, relay, events),
                CONSUMING: lambda: _consuming(set_up, bodies),
                ONE_BY_ONE: partial(consuming, set_up, consumers[:1], "keep", bodies[: events // 2]),
                ONE_BY_ONE_TWICE: partial(consuming, set_up, consumers, "keep", bodies[: events // 2]),
                TOGETHER: partial(consuming, set_up, consumers[:1], "keep_all", bodies),
                TOGETHER_TWICE: partial(consuming, set_up, consumers, "keep_all", bodies),
            }
        )
    plain, one = limit(PUBLISHING, rates[PUBLISHING], "events/s"), limit(KOMBU, rates[KOMBU], "events/s")
    taken = limit(CONSUMING, rates[CONSUMING], "events/s")
    alone, set_based = against(taken, ONE_BY_ONE, rates[ONE_BY_ONE]), against(taken, TOGETHER, rates[TOGETHER])
    return [
        plain,
        one,
        against(plain, RELAY, rates[RELAY]),
        against(one, f"{RELAY}, beside kombu", rates[RELAY]),
        taken,
        alone,
        against(alone, ONE_BY_ONE_TWICE, rates[ONE_BY_ONE_TWICE]),
        set_based,
        against(set_based, TOGETHER_TWICE, rates[TOGETHER_TWICE]),
    ]


class Plain(PipelinedPublisher):
    """Publishes as pika itself does."""

    def _send(self, events: Sequence[Outgoing]) -> None:
        for event in events:
            self._published += 1
            self._channel.basic_publish(EVENTS_EXCHANGE, event.type, event.body, self._properties(event))


def publish(set_up: Stage, events: Sequence[Outgoing]) -> float:
    """Seconds to publish and confirm them from memory, as many unconfirmed at a time as the relay has."""
    publisher, flying = Plain(set_up.amqp_url, set_up.consumer), deque[Sent]()
    publisher.open()
    try:
        begun = clock.monotonic()
        for start in range(0, len(events), PUBLISHED_TOGETHER):
            flying.append(publisher.send(events[start : start + PUBLISHED_TOGETHER]))
            while len(flying) >= BATCHES_IN_FLIGHT:
                publisher.confirm(flying.popleft(), timeout_seconds=CONFIRM_SECONDS)
        for sent in flying:
            publisher.confirm(sent, timeout_seconds=CONFIRM_SECONDS)
        return clock.monotonic() - begun
    finally:
        publisher.close()


def publishing(set_up: Stage, events: Sequence[Outgoing]) -> float:
    """Events a second that RabbitMQ takes without a database."""
    set_up.clear()
    return len(events) / publish(set_up, events)


def _kombu(set_up: Stage, events: Sequence[Outgoing]) -> float:
    set_up.clear()
    with kombu.Connection(set_up.amqp_url, transport_options={"confirm_publish": True}) as connection:
        producer = kombu.Producer(connection)
        begun = clock.monotonic()
        for event in events:
            producer.publish(event.body, exchange=EVENTS_EXCHANGE, routing_key=event.type, delivery_mode=2)
        return len(events) / (clock.monotonic() - begun)


def relaying(set_up: Stage, relay: Child, count: int) -> float:
    """Events a second from the commit of many until the broker has them all and the outbox is empty."""
    set_up.clear()
    relay.ask("start")
    try:
        fill(set_up.studio, 1)
        await_("the relay to publish", set_up.outbox_is_empty)
        fill(set_up.studio, count)
        begun = clock.monotonic()
        await_("the outbox to be empty", set_up.outbox_is_empty)
        return count / (clock.monotonic() - begun)
    finally:
        relay.ask("stop")


def fill(studio: Database, count: int) -> None:
    """Commit notes, all with the body of one: nobody reads them."""
    values = {"type": Noted.event_type, "aggregate": Noted.aggregate_type(), "body": outgoing().body, "count": count}
    with studio.transaction() as tx:
        tx.execute(text(_FILL.format(schema=studio.schema)), values)
        tx.notify(CHANNEL)


def _consuming(set_up: Stage, events: Sequence[Outgoing]) -> float:
    """Events a second that are received and acknowledged, in batches, without looking at them."""
    set_up.clear()
    publish(set_up, events)
    taken = 0
    with open_session(set_up.amqp_url) as session:
        begun = clock.monotonic()
        session.consume(set_up.subscription.queue, prefetch=PREFETCH)
        while taken < len(events):
            batch = session.receive(CONSUMED_TOGETHER, wait_seconds=1, idle_seconds=BATCH_IDLE_SECONDS)
            if not batch:
                raise NothingMeasured(f"Of {len(events)} messages {taken} arrived.")
            session.settle_until(batch[-1].tag)
            taken += len(batch)
        return taken / (clock.monotonic() - begun)


def consuming(set_up: Stage, consumers: Sequence[Child], handler: str, events: Sequence[Outgoing]) -> float:
    """Events a second that take effect, from the beginning of the first transaction to that of the last."""
    set_up.clear()
    publish(set_up, events)
    for each in consumers:
        each.tell("start", handler)
    for each in consumers:
        each.answer()
    await_("every effect", lambda: set_up.applied() >= len(events))
    for each in consumers:
        each.ask("stop")
    with set_up.cinema.reader() as reader:
        span = reader.one(text(_SPAN.format(schema=set_up.cinema.schema)), {"subscription": set_up.subscription.name})
    if not span.seconds:
        raise NothingMeasured("All took effect in one transaction; give it more --seconds.")
    return int(span.events) / float(span.seconds)
