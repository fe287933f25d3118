"""Points between two steps of a relay or a consumer at which a test's process dies by SIGKILL, or freezes by SIGSTOP.

They are wound around the product's methods here; the product knows nothing of them.
"""

import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final

from libs.common.config import process_environment
from libs.common.events import relay
from libs.common.events.broker import Session
from libs.common.events.broker.publisher import PipelinedPublisher
from libs.common.events.consumer import Consumer
from libs.common.events.gate import Gate
from libs.common.events.inbox import Inbox, _Batch
from libs.common.events.subscriptions import Handler

CRASH: Final = "LUMIERE_TEST_CRASH"
FREEZES: Final = "LUMIERE_TEST_CRASH_FREEZES"
"""Set when it is to freeze instead."""
FIRST_PART: Final = 20
"""Events of a batch that the broker confirms before the relay dies in the middle of it."""
SMALL_BATCH: Final = 20
CONFIRM_SECONDS: Final = 1.0

When = Callable[[tuple[Any, ...], Any], bool]
"""Asked with the arguments of the call, the object first, and with its result, which is None before it."""


def _always(_arguments: tuple[Any, ...], _result: object) -> bool:
    return True


def _has_result(_arguments: tuple[Any, ...], result: object) -> bool:
    return bool(result)


def _last_is_not_empty(arguments: tuple[Any, ...], _result: object) -> bool:
    return bool(arguments[-1])


def _carries_events(arguments: tuple[Any, ...], _result: object) -> bool:
    return bool(arguments[0].ids)


def _two_in_flight(arguments: tuple[Any, ...], _result: object) -> bool:
    return len(arguments[0]._flights) == 2


def _part_is_confirmed(arguments: tuple[Any, ...], _result: object) -> bool:
    """Send a part of the batch and let the broker confirm it; the rest is not sent."""
    publisher, events = arguments
    if len(events) <= FIRST_PART:
        return False
    publisher._send(events[:FIRST_PART])
    sent = publisher._sent[-1]

    def confirmed() -> bool:
        return bool(min(sent.unconfirmed) > publisher._published)

    assert publisher._run(CONFIRM_SECONDS, confirmed), "the broker confirmed nothing"
    return True


@dataclass(frozen=True)
class Point:
    """A moment: before or after a call of a method, when the condition holds."""

    owner: type
    method: str
    after: bool = False
    when: When = _always
    passes: int = 1
    """It dies at this pass."""
    batch: int = relay.BATCH_EVENTS
    """Events that a relay takes at once: few, so that several batches come of little work."""


RELAY_POINTS: Final = {
    "a relay dies after it took a batch and before it published it": Point(PipelinedPublisher, "send", when=_last_is_not_empty),
    "a relay dies when a part of the batch is confirmed and the rest not sent": Point(
        PipelinedPublisher, "_send", when=_part_is_confirmed
    ),
    "a relay dies when all is published and before it sees a confirm": Point(PipelinedPublisher, "_on_settled"),
    "a relay dies when all is confirmed and before it commits the removal": Point(relay.Flight, "land", when=_carries_events),
    "a relay dies after the commit and before its next batch": Point(relay.Flight, "land", after=True, when=_carries_events),
    "a relay dies when two batches are in flight and neither is confirmed": Point(
        relay.Relay, "_land", when=_two_in_flight, batch=SMALL_BATCH
    ),
    "a relay dies when it committed one batch and another is in flight": Point(
        relay.Flight, "land", after=True, when=_carries_events, batch=SMALL_BATCH
    ),
}
CONSUMER_POINTS: Final = {
    "a consumer dies when it has received a batch and done nothing yet": Point(
        Session, "receive", after=True, when=_has_result, passes=2
    ),
    "a consumer dies when it has claimed the inbox rows and before any effect": Point(Inbox, "claim", after=True, passes=2),
    "a consumer dies in the midst of a batch's effects": Point(Handler, "call", passes=15),
    "a consumer dies after the effects and before their commit": Point(_Batch, "in_order", after=True),
    "a consumer dies after the commit and before it acknowledges": Point(
        Consumer, "_applied_together", after=True, when=_has_result, passes=2
    ),
    "a consumer dies after it acknowledged and before its next batch": Point(Session, "settle_until", after=True, passes=2),
}
RETRY_POINTS: Final = {
    "a consumer dies when it has put a failed message on the ladder and before it acknowledges it": Point(
        Session, "publish", after=True
    ),
    "a consumer dies when it is about to park an early event": Point(Gate, "park", when=_last_is_not_empty),
    "a consumer dies between applying alone and acknowledging": Point(Consumer, "_settle_alone", after=True, passes=3),
}
POINTS: Final = RELAY_POINTS | CONSUMER_POINTS | RETRY_POINTS


def arm() -> None:
    """Wind the point that the environment names around its method, if it names one."""
    name = process_environment().get(CRASH)
    if name:
        _wind(name, POINTS[name])


def _wind(name: str, point: Point) -> None:
    relay.BATCH_EVENTS = point.batch  # type: ignore[misc]
    original = getattr(point.owner, point.method)
    passed = 0

    def step(arguments: tuple[Any, ...], result: object) -> None:
        nonlocal passed
        if point.when(arguments, result):
            passed += 1
            if passed == point.passes:
                _die(name)

    @wraps(original)
    def wound(*arguments: Any, **options: Any) -> Any:
        if not point.after:
            step(arguments, None)
        result = original(*arguments, **options)
        if point.after:
            step(arguments, result)
        return result

    setattr(point.owner, point.method, wound)


def _die(name: str) -> None:
    sys.stdout.write(f"{name}\n")
    sys.stdout.flush()
    # To this very thread: whichever else took it, this one could go a step further before the process stops.
    signal.raise_signal(signal.SIGSTOP if process_environment().get(FREEZES) else signal.SIGKILL)
