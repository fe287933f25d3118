"""A small producer and consumer for tests on a real database and broker.

Names carry a run id: everything may share one broker with other runs, and child processes of a run share its names.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from uuid import UUID

from sqlalchemy import BigInteger, Column, Table, Text, insert, select

from libs.common import clock, ids
from libs.common.config import process_environment
from libs.common.db import Database, Transaction, id_column, new_metadata
from libs.common.events import Envelope, Event, Personal, on, on_broadcast, on_every_event
from libs.common.events.subscriptions import Subscriptions, collect

RUN = process_environment().get("LUMIERE_TEST_RUN") or ids.new_id().hex[-10:]
STUDIO = f"studio_{RUN}"
CINEMA = f"cinema_{RUN}"
WAIT_SECONDS = 20.0


class Cut(Event, type=f"{STUDIO}.reel.cut", version=1, aggregate="reel_id"):
    """A reel was cut."""

    reel_id: UUID
    number: int


class Labelled(Event, type=f"{STUDIO}.reel.labelled", version=1, aggregate="reel_id"):
    """A reel got a label; nobody acts on it."""

    reel_id: UUID


class Noted(Event, type=f"{STUDIO}.reel.noted", version=1, aggregate="reel_id"):
    """Somebody wrote a note on a reel."""

    reel_id: UUID
    note: str


class Sold(Event, type=f"{STUDIO}.ticket.sold", version=1, aggregate="ticket_id"):
    """A ticket was sold."""

    ticket_id: UUID
    number: int


class Alarmed(Event, type=f"{STUDIO}.alarm.raised", version=1, aggregate="alarm_id"):
    """Everybody must leave."""

    alarm_id: UUID


class Hired(Event, type=f"{STUDIO}.person.hired", version=1, aggregate="person_id"):
    """Somebody was hired."""

    person_id: UUID
    email: Personal[str]


studio_metadata = new_metadata(STUDIO)
cinema_metadata = new_metadata(CINEMA)
effect = Table(
    "effect",
    cinema_metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=True),
    id_column("event_id", primary_key=False),
    Column("subject", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("number", BigInteger, nullable=False),
)


@dataclass
class Mood:
    """What handlers do besides their work: a test sets it to make them fail."""

    before: Callable[[Envelope], None] = lambda _envelope: None
    heard: list[Envelope] = field(default_factory=list)


def record(tx: Transaction, envelope: Envelope, number: int) -> None:
    row = {"event_id": envelope.id, "subject": envelope.subject, "sequence": envelope.sequence, "number": number}
    tx.execute(insert(effect), row)


@on(Cut, ordered=True)
def show(event: Cut, tx: Transaction, envelope: Envelope, mood: Mood) -> None:
    mood.before(envelope)
    record(tx, envelope, event.number)


@on(Sold)
def seat(event: Sold, tx: Transaction, envelope: Envelope, mood: Mood) -> None:
    mood.before(envelope)
    record(tx, envelope, event.number)


@on_every_event()
def file(envelope: Envelope, tx: Transaction) -> None:
    record(tx, envelope, 0)


@on_broadcast(Alarmed)
def leave(event: Alarmed, envelope: Envelope, mood: Mood) -> None:
    assert str(event.alarm_id) == envelope.subject
    mood.before(envelope)
    mood.heard.append(envelope)


def subscriptions(consumer: str, *handlers: Callable[..., object]) -> Subscriptions:
    """The subscriptions of a module that holds these handlers."""
    module = ModuleType(__name__)
    for handler in handlers:
        setattr(module, handler.__name__, handler)
    return collect(consumer, [module])


def effects(database: Database) -> list[tuple[str, int]]:
    """(subject, sequence) of every effect, in the order in which they were made."""
    with database.reader() as reader:
        return [(row.subject, row.sequence) for row in reader.all(select(effect).order_by(effect.c.position))]


def eventually(condition: Callable[[], bool], what: str, seconds: float = WAIT_SECONDS) -> None:
    """Wait until the condition holds. Raises AssertionError after the deadline."""
    deadline = clock.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert clock.monotonic() < deadline, f"waited {seconds} s in vain: {what}"
        pause.wait(0.02)


@contextmanager
def running(*runs: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run loops in threads for the length of a block."""
    stopping = threading.Event()
    threads = [threading.Thread(target=run, args=(stopping,), daemon=True) for run in runs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join(WAIT_SECONDS)
        assert not any(thread.is_alive() for thread in threads), "a loop did not stop"
