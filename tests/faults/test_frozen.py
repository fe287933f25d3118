"""A consumer freezes amid a batch and holds the locks of what it was at: the others wait and blame no message for it."""

import os
import signal
from dataclasses import replace
from uuid import UUID

import pytest

from libs.common.events import metrics
from libs.common.events.consumer import Consumer
from libs.common.events.subscriptions import Subscriptions
from libs.common.events.tests.cinema import publish_cuts, relay_of
from libs.common.events.tests.live import Mood, eventually, running
from libs.common.events.tests.platform import Platform
from tests.faults.counting import FLAWLESS, await_settled, counted
from tests.faults.crashes import FREEZES
from tests.faults.processes import Processes

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(240)]

POINT = "a consumer dies after the effects and before their commit"
HEARTBEAT_SECONDS = 5
RECOVERY_SECONDS = 150.0
"""Postgres ends a transaction that is idle for a minute, and the broker a connection that missed two heartbeats."""


def test_what_a_frozen_consumer_holds_is_taken_over_and_no_message_is_blamed(
    bus: Platform, subscribed: Subscriptions, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FREEZES, "yes")
    subscription = subscribed.queues[0]
    processes.platform = replace(bus, amqp_url=f"{bus.amqp_url}?heartbeat={HEARTBEAT_SECONDS}")
    with running(*relay_of(bus)):
        reel = publish_cuts(bus, range(1))
        processes.start("consumer-1", crash=POINT)
        eventually(lambda: processes.said("consumer-1", POINT), "it is frozen")
        healthy = Consumer(bus.cinema, bus.amqp_url, subscription, {Mood: Mood()})
        with running(healthy.run):
            eventually(healthy.consuming.is_set, "another one receives")
            # One, so that it would have the time to fail on every step of the ladder.
            publish_cuts(bus, range(1), UUID(reel))
            await_settled(bus, seconds=RECOVERY_SECONDS)
            os.kill(processes.alive["consumer-1"].pid, signal.SIGCONT)
    assert processes.drain() == [0]
    assert metrics.RETRIED.labels(subscription.name)._value.get() == 0, "a message was blamed for a lock that another holds"
    assert bus.dead_letters(subscription) == []
    assert counted(bus).verdict == FLAWLESS
