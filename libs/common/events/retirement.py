"""Queues of an older release: what lies in them is moved into those of today, then they go.

Queue arguments cannot change in place, so a release that needs others has queues of another name beside the old ones.
"""

from typing import Final

from libs.common import clock
from libs.common.events.broker import Session
from libs.common.events.origin import is_vouched
from libs.common.events.subscriptions import RETIRED_VERSIONS, Subscription
from libs.common.events.topology import service_exchange
from libs.common.telemetry import logger

LOOK_SECONDS: Final = 10.0
"""Pause between two looks. A replica of the older release that stops gives back what it holds well within it."""

log = logger(__name__)


class Retirement:
    """The retired queues of one subscription; `look` until it is `over`.

    They go together, when two looks in a row found all of them empty and without consumers: between the first and the second,
    whoever had just stopped consuming has given back what was not settled. As long as one is consumed, what fails there may
    still be put aside into the others. Dying in between delivers a message twice, which the inbox absorbs.
    """

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        retired = [subscription.retired(version) for version in RETIRED_VERSIONS]
        self._successors = {old: new for each in retired for old, new in each.items()}
        self._idle = False
        self._looked_at: float | None = None

    @property
    def over(self) -> bool:
        """Whether no retired queue is left."""
        return not self._successors

    @property
    def due(self) -> bool:
        """Whether it is time to look."""
        return not self.over and (self._looked_at is None or clock.monotonic() - self._looked_at >= LOOK_SECONDS)

    def look(self, session: Session) -> None:
        """Move what lies in the retired queues; delete them when they are done with. Raises BrokerUnavailable."""
        standing = {old: found for old in self._successors if (found := session.look(old)) is not None}
        emptied = [self._emptied(session, old, found.consumers) for old, found in standing.items()]
        idle = all(emptied)
        if idle and self._idle:
            for old in standing:
                session.delete(old)
                log.info("queue.deleted", queue=old)
        if not standing or (idle and self._idle):
            self._successors = {}
        self._idle = idle
        self._looked_at = clock.monotonic()

    def _emptied(self, session: Session, old: str, consumers: int) -> bool:
        """Whether it was empty already and nobody consumes it."""
        session.unbind(old, self._subscription.bindings)
        moved = self._move(session, old)
        log.info("queue.retired", queue=old, moved=moved, consumers=consumers)
        return moved == 0 and consumers == 0

    def _move(self, session: Session, old: str) -> int:
        moved, exchange = 0, service_exchange(self._subscription.consumer)
        while (received := session.get(old)) is not None:
            vouched = is_vouched(received, session.user)
            session.publish(exchange, self._successors[old], received.body, received.headers, vouched=vouched)
            session.settle(received.tag)
            moved += 1
        return moved
