"""Points between two steps of a relay or a consumer at which a test's process dies by SIGKILL.

They are wound around the product's methods here; the product knows nothing of them.
"""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final

from libs.common.config import process_environment
from libs.common.events.broker import PipelinedPublisher, Session
from libs.common.events.consumer import Consumer
from libs.common.events.gate import Gate
from libs.common.events.inbox import Inbox, _Batch
from libs.common.events.relay import Relay
from libs.common.events.subscriptions import Handler

CRASH: Final = "LUMIERE_TEST_CRASH"
FIRST_PART: Final = 20
"""Events of a batch that the broker confirms before the relay dies in the middle of it."""
CONFIRM_SECONDS: Final = 1.0

When = Callable[..., bool]


@dataclass(frozen=True)
class Point:
    """A moment: before or after a call of a method, when the condition holds of its arguments or its result."""

    owner: type
    method: str
    after: bool = False
    when: When = lambda *_: True
    passes: int = 1
    """It dies at this pass."""


def _has_rows(result: object) -> bool:
    return bool(result)


def _part_is_confirmed(publisher: Any, *_: object) -> bool:
    """Let the broker confirm what was sent so far, so that a part of the batch is out and the rest is not."""
    if publisher._published < FIRST_PART:
        return False
    publisher._run(CONFIRM_SECONDS, lambda: not publisher._unconfirmed)
    assert not publisher._unconfirmed, "the broker confirmed nothing"
    return True


RELAY_POINTS: Final = {
    "a relay dies after it took a batch and before it published it": Point(PipelinedPublisher, "publish"),
    "a relay dies when a part of the batch is confirmed and the rest not sent": Point(
        PipelinedPublisher, "_send", when=_part_is_confirmed
    ),
    "a relay dies when all is published and before it sees a confirm": Point(PipelinedPublisher, "_on_settled"),
    "a relay dies when all is confirmed and before it commits the removal": Point(PipelinedPublisher, "publish", after=True),
    "a relay dies after the commit and before its next batch": Point(Relay, "publish_batch", after=True, when=_has_rows),
}
CONSUMER_POINTS: Final = {
    "a consumer dies when it has received a batch and done nothing yet": Point(
        Session, "receive", after=True, when=_has_rows, passes=2
    ),
    "a consumer dies when it has claimed the inbox rows and before any effect": Point(Inbox, "claim", after=True),
    "a consumer dies in the midst of a batch's effects": Point(Handler, "call", passes=15),
    "a consumer dies after the effects and before their commit": Point(_Batch, "in_order", after=True),
    "a consumer dies after the commit and before it acknowledges": Point(
        Consumer, "_applied_together", after=True, when=_has_rows, passes=2
    ),
    "a consumer dies after it acknowledged and before its next batch": Point(Session, "settle_until", after=True, passes=2),
}
RETRY_POINTS: Final = {
    "a consumer dies when it has put a failed message on the ladder and before it acknowledges it": Point(
        Session, "publish", after=True
    ),
    "a consumer dies when it is about to park an early event": Point(Gate, "park", when=lambda *arguments: bool(arguments[-1])),
    "a consumer dies between applying alone and acknowledging": Point(Consumer, "_settle_alone", after=True, passes=3),
}
POINTS: Final = RELAY_POINTS | CONSUMER_POINTS | RETRY_POINTS


def arm() -> None:
    """Wind the point that the environment names around its method, if it names one."""
    name = process_environment().get(CRASH)
    if name:
        _wind(name, POINTS[name])


def _wind(name: str, point: Point) -> None:
    original = getattr(point.owner, point.method)
    passed = 0

    def step(*observed: object) -> None:
        nonlocal passed
        if point.when(*observed):
            passed += 1
            if passed == point.passes:
                _die(name)

    @wraps(original)
    def wound(*arguments: Any, **options: Any) -> Any:
        if not point.after:
            step(*arguments)
        result = original(*arguments, **options)
        if point.after:
            step(result)
        return result

    setattr(point.owner, point.method, wound)


def _die(name: str) -> None:
    sys.stdout.write(f"{name}\n")
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)
