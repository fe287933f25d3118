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

    A queue goes when two looks in a row found it empty and without consumers: between the first and the second, whoever had
    just stopped consuming has given back what was not settled. Dying in between delivers a message twice, which the inbox
    absorbs.
    """

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        retired = [subscription.retired(version) for version in RETIRED_VERSIONS]
        self._successors = {old: new for each in retired for old, new in each.items()}
        self._idle: set[str] = set()
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
        """Move what lies in the retired queues; delete those that are done with. Raises BrokerUnavailable."""
        for old in list(self._successors):
            found = session.look(old)
            if found is None or self._emptied(session, old, found.consumers):
                del self._successors[old]
        self._looked_at = clock.monotonic()

    def _emptied(self, session: Session, old: str, consumers: int) -> bool:
        session.unbind(old, self._subscription.bindings)
        moved = self._move(session, old)
        idle = moved == 0 and consumers == 0
        gone = idle and old in self._idle
        if gone:
            session.delete(old)
        self._idle = self._idle | {old} if idle else self._idle - {old}
        log.info("queue.retired", queue=old, moved=moved, consumers=consumers, deleted=gone)
        return gone

    def _move(self, session: Session, old: str) -> int:
        moved, exchange = 0, service_exchange(self._subscription.consumer)
        while (received := session.get(old)) is not None:
            vouched = is_vouched(received, session.user)
            session.publish(exchange, self._successors[old], received.body, received.headers, vouched=vouched)
            session.settle(received.tag)
            moved += 1
        return moved
