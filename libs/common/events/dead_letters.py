"""Messages that were given up on: looked at, sent through again, or dropped. Each is repeatable after a crash at any point."""

import getpass
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from libs.common import clock, ids
from libs.common.db import Database, Transaction
from libs.common.events.broker import BrokerUnavailable, QueueMissing, Received, Session, open_session
from libs.common.events.consumer import ATTEMPTS, ERROR, EVENT_TYPE, FAILED_AT, REASON, TRACEPARENT, header_count
from libs.common.events.envelope import Envelope, MalformedEvent
from libs.common.events.inbox import gate_of
from libs.common.events.origin import ForgedEvent, authenticated
from libs.common.events.patterns import matches
from libs.common.events.subscriptions import Subscription
from libs.common.events.topology import service_exchange
from libs.common.telemetry import context

TURN_SECONDS: Final = 10.0
"""How long to wait for another who looks at the same dead letters."""
TURN_POLL_SECONDS: Final = 0.05
LOOK_MAX: Final = 10_000
"""Dead letters of one subscription that are held while one looks at them."""
REDRIVEN: Final = "x-redriven"
DEATHS: Final = "x-death"
REASON_LENGTH_MAX: Final = 500
FORGOTTEN: Final = (
    "it is older than the inbox remembers, so a redrive could apply it a second time. Look for its effect: "
    "drop it if it is there, or else redrive it with --forgotten."
)


@dataclass(frozen=True)
class DeadLetter:
    """One message of a dead-letter queue."""

    subscription: Subscription
    received: Received
    envelope: Envelope | None
    """None when the body is no event."""
    vouched: bool
    """Whether the broker vouches that its producer sent it."""

    @property
    def event_id(self) -> str | None:
        """The event's id, when the body is an event."""
        return str(self.envelope.id) if self.envelope else None

    @property
    def event_type(self) -> str:
        """The event's type as the envelope or the headers say; empty when neither does."""
        return self.envelope.type if self.envelope else str(self.received.headers.get(EVENT_TYPE, ""))

    @property
    def attempts(self) -> int:
        """How often it was tried; the broker alone counts those that killed their consumer."""
        count = self.received.headers.get(ATTEMPTS, 0)
        return count if isinstance(count, int) else 0

    @property
    def failed_at(self) -> datetime | None:
        """When it was given up."""
        try:
            return datetime.fromisoformat(str(self.received.headers[FAILED_AT]))
        except (KeyError, ValueError):
            times = [time for each in self.deaths if isinstance(time := each.get("time"), datetime)]
            return max(times, default=None)

    @property
    def error(self) -> str:
        """The class of the error, or what the broker says when it gave up by itself."""
        return str(self.received.headers.get(ERROR) or (self.deaths[0].get("reason", "") if self.deaths else ""))

    @property
    def reason(self) -> str:
        """Why, in words."""
        if REASON in self.received.headers:
            return str(self.received.headers[REASON])
        return "the broker gave up: the consumer was lost with it too often" if self.deaths else ""

    @property
    def deaths(self) -> list[Mapping[str, Any]]:
        """The broker's own account, when the broker dead-lettered it."""
        found = self.received.headers.get(DEATHS)
        return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


@dataclass(frozen=True)
class Selection:
    """Which dead letters are meant; what is None does not narrow."""

    event_id: str | None = None
    type_pattern: str | None = None
    limit: int | None = None
    bodies: frozenset[bytes] | None = None
    """These very messages: what somebody has looked at and decided on."""

    def takes(self, letter: DeadLetter) -> bool:
        """Whether the letter is meant."""
        if self.bodies is not None and letter.received.body not in self.bodies:
            return False
        if self.event_id is not None and letter.event_id != self.event_id:
            return False
        return self.type_pattern is None or matches(self.type_pattern, letter.event_type)


class Fate(StrEnum):
    """What became of one dead letter."""

    REDRIVEN = "redriven"
    DROPPED = "dropped"
    REFUSED = "refused"


@dataclass(frozen=True)
class Settled:
    """One dead letter and its fate."""

    letter: DeadLetter
    fate: Fate
    detail: str = ""


@contextmanager
def looking(amqp_url: str, subscription: Subscription, selection: Selection) -> Iterator[tuple[Session, list[DeadLetter]]]:
    """The selected dead letters, held until the block ends: what is not settled in it goes back to its queue, in its place.

    One at a time: whoever looked meanwhile would find none. Raises BrokerUnavailable when somebody else takes too long.
    """
    with open_session(amqp_url) as session:
        _await_turn(session, subscription)
        yield session, _take(session, subscription, selection)


def _await_turn(session: Session, subscription: Subscription) -> None:
    deadline, pause = clock.monotonic() + TURN_SECONDS, threading.Event()
    while not session.reserve(f"{subscription.queue}.looking"):
        if clock.monotonic() > deadline:
            raise BrokerUnavailable(
                f"another command holds the dead letters of {subscription.name}: try again when it has ended"
            )
        pause.wait(TURN_POLL_SECONDS)


def look(amqp_url: str, subscription: Subscription, selection: Selection | None = None) -> list[DeadLetter]:
    """The selected dead letters; they stay where they are. Raises BrokerUnavailable."""
    with looking(amqp_url, subscription, selection or Selection()) as (_, letters):
        return letters


def _take(session: Session, subscription: Subscription, selection: Selection) -> list[DeadLetter]:
    found: list[DeadLetter] = []
    for _ in range(LOOK_MAX):
        if selection.limit is not None and len(found) >= selection.limit:
            break
        try:
            received = session.get(subscription.dead_letter_queue)
        except QueueMissing:
            # The service was never started with this subscription: nothing can have died of it.
            break
        if received is None:
            break
        letter = _letter(subscription, received, session.user)
        if selection.takes(letter):
            found.append(letter)
    return found


def _letter(subscription: Subscription, received: Received, own_user: str) -> DeadLetter:
    try:
        return DeadLetter(subscription, received, authenticated(received, own_user), vouched=True)
    except MalformedEvent:
        return DeadLetter(subscription, received, None, vouched=False)
    except ForgedEvent:
        return DeadLetter(subscription, received, Envelope.decode(received.body), vouched=False)


def redrive(
    amqp_url: str, subscription: Subscription, selection: Selection, *, remembered_since: datetime | None = None
) -> list[Settled]:
    """Send the selected dead letters to their subscription's queue again, attempts counted anew.

    Where no gate knows the order, an event from before `remembered_since` is refused: the inbox has forgotten whether it took
    effect, by a replay or before its consumer was lost.

    Each is confirmed there before it is removed here: dying in between delivers it twice, which the inbox absorbs. What the
    broker does not vouch for leaves without our name, so that a redrive never makes it ours.
    """
    settled = []
    with looking(amqp_url, subscription, selection) as (session, letters):
        for letter in letters:
            if remembered_since is not None and _is_forgotten(letter, remembered_since):
                settled.append(Settled(letter, Fate.REFUSED, FORGOTTEN))
                continue
            headers: dict[str, Any] = {REDRIVEN: header_count(letter.received.headers, REDRIVEN) + 1}
            if letter.envelope and letter.envelope.traceparent:
                headers[TRACEPARENT] = letter.envelope.traceparent
            exchange = service_exchange(subscription.consumer)
            session.publish(exchange, subscription.queue, letter.received.body, headers, vouched=letter.vouched)
            session.settle(letter.received.tag)
            settled.append(Settled(letter, Fate.REDRIVEN))
    return settled


def _is_forgotten(letter: DeadLetter, remembered_since: datetime) -> bool:
    envelope = letter.envelope
    return envelope is not None and not letter.subscription.ordered and envelope.id < ids.lowest_at(remembered_since)


def drop(database: Database, amqp_url: str, subscription: Subscription, selection: Selection, *, reason: str) -> list[Settled]:
    """Give the selected dead letters up for good; for an ordered subscription their aggregates go on behind them.

    The gate moves, with an audit record, before the message is removed: dying in between leaves a dead letter that can be
    dropped again. An event whose predecessors have not been applied is refused, since to pass over it would lose them too.
    """
    with looking(amqp_url, subscription, selection) as (session, letters):
        return [_drop(database, session, letter, reason) for letter in sorted(letters, key=_place)]


def _place(letter: DeadLetter) -> tuple[str, int]:
    return (letter.envelope.subject, letter.envelope.sequence) if letter.envelope else ("", 0)


def _drop(database: Database, session: Session, letter: DeadLetter, reason: str) -> Settled:
    with context.bound(actor="operator"), database.transaction() as tx:
        refusal, passed = _pass_over(tx, database, letter)
        if refusal is None:
            _record(tx, letter, reason, passed=passed)
    if refusal is not None:
        return Settled(letter, Fate.REFUSED, refusal)
    session.settle(letter.received.tag)
    return Settled(letter, Fate.DROPPED, "its aggregate goes on" if passed else "")


def _pass_over(tx: Transaction, database: Database, letter: DeadLetter) -> tuple[str | None, bool]:
    """(why it may not be dropped, whether the gate moved)."""
    envelope, name = letter.envelope, letter.subscription.name
    if envelope is None or not letter.vouched or not letter.subscription.ordered:
        # Whatever number an unvouched message carries, nobody says that the producer gave it: no gate moves for it.
        return None, False
    gate = gate_of(database.metadata)
    last = gate.lock(tx, name, [envelope.subject])[envelope.subject]
    if envelope.sequence > last + 1:
        return _gap(last, envelope.sequence), False
    if envelope.sequence <= last:
        return None, False
    gate.advance(tx, name, {envelope.subject: envelope.sequence})
    return None, True


def _gap(last: int, sequence: int) -> str:
    missing = str(last + 1) if sequence == last + 2 else f"{last + 1} to {sequence - 1}"
    return (
        f"it is number {sequence} of its aggregate, and number {missing} has not been applied: to drop it would lose more. "
        "Redrive it instead: it waits for its turn; then see to what is missing."
    )


def _record(tx: Transaction, letter: DeadLetter, reason: str, *, passed: bool) -> None:
    envelope = letter.envelope
    details = {
        "subscription": letter.subscription.name,
        "reason": reason,
        "by": _login(),
        "type": letter.event_type,
        "subject": envelope.subject if envelope else None,
        "sequence": envelope.sequence if envelope else None,
        "failure": letter.error,
        "passed_over": passed,
    }
    tx.audit("event.dropped", "event", letter.event_id or "unknown", details=details)


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
