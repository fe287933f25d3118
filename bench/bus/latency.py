"""Commit → another service's commit: at a calm pace, and under as much load as the machine can bear."""

import threading

from bench.bus.notes import outgoing
from bench.bus.stage import Stage, await_, children
from bench.figures import Figure, against, limit, percentile
from bench.timing import MILLISECONDS
from libs.common import clock
from libs.common.events.broker.publisher import PipelinedPublisher
from libs.common.events.relay import CONFIRM_SECONDS

PACE_SECONDS = 1 / 50
LONGER = 3
"""A p99 needs many events: the calm pace is kept that many times as long as was asked for."""
SUSTAINED = 0.75
"""The part of the pipeline's throughput at which its latency under load is measured: above, a queue would grow without end."""
PRODUCERS = 2
"""Under load; with one alone no backlog would arise, and with many more the machine would do little but produce."""
CAPACITY = f"pipeline: applied while {PRODUCERS} producers commit as fast as they can"


def measure(set_up: Stage, seconds: float) -> list[Figure]:
    """Milliseconds across producer, relay and consumer, each a process of its own; one event a transaction."""
    plain = limit("RabbitMQ alone: one event published and confirmed, p50", _confirm_one_by_one(set_up, seconds), "ms")
    calm, _ = _across(set_up, PACE_SECONDS, LONGER * seconds, producers=1)
    capacity = _capacity(set_up, seconds)
    loaded, offered = _across(set_up, PRODUCERS / (SUSTAINED * capacity.value), seconds, producers=PRODUCERS)
    # What was really offered: a producer that is late tells of less load.
    under_load = f"commit → commit at {offered / capacity.value:.0%} of that"
    return [
        plain,
        against(plain, "commit → another service's commit at 50/s, p50", percentile(calm, 50)),
        against(plain, "commit → another service's commit at 50/s, p99", percentile(calm, 99)),
        capacity,
        against(plain, f"{under_load}, p50", percentile(loaded, 50)),
        against(plain, f"{under_load}, p99", percentile(loaded, 99)),
    ]


def _across(set_up: Stage, pace_seconds: float, seconds: float, *, producers: int) -> tuple[list[float], float]:
    """Milliseconds of each event, and events a second that the producers committed, each at this pace."""
    sent, done = _run(set_up, pace_seconds, seconds, producers=producers)
    return [(done[each] - begun) * MILLISECONDS for each, begun in sent.items()], len(sent) / seconds


def _capacity(set_up: Stage, seconds: float) -> Figure:
    sent, done = _run(set_up, 0, seconds, producers=PRODUCERS)
    middle = min(sent.values()) + seconds / 3
    in_time = [moment for moment in done.values() if middle <= moment <= max(sent.values())]
    return limit(CAPACITY, len(in_time) / (max(sent.values()) - middle), "events/s")


def _run(set_up: Stage, pace_seconds: float, seconds: float, *, producers: int) -> tuple[dict[str, float], dict[str, float]]:
    """When each event was about to be committed by its producer, and when its effect was committed by the consumer."""
    set_up.clear()
    with children(set_up, "relay", "consumer", *["producer"] * producers) as (relay, consumer, *producing):
        relay.ask("start")
        consumer.ask("start", "keep")
        for each in producing:
            each.ask("produce", PACE_SECONDS, 10 * PACE_SECONDS)  # connections and statements are made ready
        for each in producing:
            each.tell("produce", pace_seconds, seconds)
        sent = {event: moment for each in producing for event, moment in each.answer().items()}
        await_("the outbox to be empty", set_up.outbox_is_empty)
        await_("every effect", lambda: set_up.applied() >= len(sent))
        done = consumer.ask("stop")
        relay.ask("stop")
    return sent, done


def _confirm_one_by_one(set_up: Stage, seconds: float) -> float:
    """Milliseconds, p50, at the same pace."""
    event, pause, took = outgoing(), threading.Event(), list[float]()
    publisher = PipelinedPublisher(set_up.amqp_url, set_up.consumer)
    publisher.open()
    try:
        deadline = clock.monotonic() + seconds
        while not took or clock.monotonic() < deadline:
            begun = clock.monotonic()
            publisher.publish([event], timeout_seconds=CONFIRM_SECONDS)
            took.append((clock.monotonic() - begun) * MILLISECONDS)
            pause.wait(PACE_SECONDS)
    finally:
        publisher.close()
    return percentile(took, 50)
