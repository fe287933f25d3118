"""What all measurements of the bus stand on: a database of their own, a queue, and processes that do as they are told."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import kombu as untyped_kombu
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url

from bench.bus.child import AMQP_URL, CINEMA_URL, CONSUMER, STUDIO_URL
from bench.bus.notes import keep, subscribed
from bench.figures import NothingMeasured
from libs.common import clock
from libs.common.config import process_environment
from libs.common.db import Database
from libs.common.db.database import psycopg2_url, single_connection_engine
from libs.common.events import Recipient
from libs.common.events.broker import subscribe
from libs.common.events.personal import generate_key_pair
from libs.common.events.subscriptions import Subscription
from libs.common.events.tests.live import RUN
from libs.common.events.tests.platform import backing, databases, forget
from libs.common.ids import new_id
from ops.settings import ROOT

kombu: Any = untyped_kombu
LOG = ROOT / ".local" / "bench" / "log"
POLL_SECONDS = 0.01
WAIT_SECONDS = 30.0
_OUTBOX_IS_EMPTY = "SELECT NOT EXISTS (SELECT FROM {schema}.outbox)"
_APPLIED = "SELECT count(*) FROM {schema}.effect"
_FORGET_OUTBOX = "TRUNCATE {schema}.outbox"
# Row by row, because an inbox may hold millions of others; the same events can then be applied again.
_FORGET_APPLIED = """
DELETE FROM {schema}.inbox USING {schema}.effect WHERE inbox.event_id = effect.event_id;
TRUNCATE {schema}.effect RESTART IDENTITY
"""


@dataclass(frozen=True)
class Stage:
    """A producer's and a consumer's database, and the queue between them."""

    studio: Database
    cinema: Database
    amqp_url: str
    consumer: str

    @property
    def subscription(self) -> Subscription:
        """The one subscription."""
        return subscribed(self.consumer, keep).queues[0]

    def outbox_is_empty(self) -> bool:
        """Whether everything has left."""
        return bool(_asked(self.studio, _OUTBOX_IS_EMPTY))

    def applied(self) -> int:
        """How many events took effect."""
        return int(_asked(self.cinema, _APPLIED))

    def clear(self) -> None:
        """Forget what waits to be published, what lies in the queue, and what the last events were and did."""
        with self.administration() as connection:
            connection.exec_driver_sql(_FORGET_OUTBOX.format(schema=self.studio.schema))
            connection.exec_driver_sql(_FORGET_APPLIED.format(schema=self.cinema.schema))
        with kombu.Connection(self.amqp_url) as connection, connection.channel() as channel:
            channel.queue_purge(self.subscription.queue)

    @contextmanager
    def administration(self) -> Iterator[Connection]:
        """The database as the server's administrator; each statement stands alone."""
        url = make_url(backing("DATABASE_URL")).set(database=self.studio.url.database)
        with single_connection_engine(psycopg2_url(url.render_as_string(hide_password=False))).connect() as connection:
            yield connection

    def environ(self) -> dict[str, str]:
        """What a child needs to find this."""
        return dict(process_environment()) | {
            "LUMIERE_TEST_RUN": RUN,
            STUDIO_URL: self.studio.url.render_as_string(hide_password=False),
            CINEMA_URL: self.cinema.url.render_as_string(hide_password=False),
            AMQP_URL: self.amqp_url,
            CONSUMER: self.consumer,
        }


def _asked(database: Database, question: str) -> Any:
    with database.reader() as reader:
        return reader.scalar(text(question.format(schema=database.schema)))


@contextmanager
def stage() -> Iterator[Stage]:
    """A new one, gone afterwards."""
    with databases(Recipient(generate_key_pair()[1])) as (studio, cinema):
        made = Stage(studio, cinema, backing(AMQP_URL), f"bench_{new_id().hex[-10:]}")
        subscriptions = subscribed(made.consumer, keep)
        try:
            subscribe(made.amqp_url, subscriptions)
            yield made
        finally:
            forget(made.amqp_url, subscriptions)


@contextmanager
def twin(set_up: Stage) -> Iterator[Stage]:
    """Another database on the same queue, gone afterwards."""
    with databases(Recipient(generate_key_pair()[1])) as (studio, cinema):
        yield replace(set_up, studio=studio, cinema=cinema)


class Child:
    """A process of `bench.bus.child`."""

    def __init__(self, role: str, process: "subprocess.Popen[str]") -> None:
        self._role = role
        self._process = process

    def tell(self, *words: object) -> None:
        """Say what to do, without waiting for the answer."""
        assert self._process.stdin is not None  # noqa: S101 - opened as a pipe
        self._process.stdin.write(" ".join(str(word) for word in words) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, float]:
        """What it answers. Raises NothingMeasured when it ended."""
        assert self._process.stdout is not None  # noqa: S101 - opened as a pipe
        line = self._process.stdout.readline()
        if not line:
            raise NothingMeasured(f"The {self._role} ended; what it said is in .local/bench/log.")
        answer: dict[str, float] = json.loads(line)
        return answer

    def ask(self, *words: object) -> dict[str, float]:
        """Say what to do and wait for the answer."""
        self.tell(*words)
        return self.answer()


@contextmanager
def children(set_up: Stage, *roles: str) -> Iterator[list[Child]]:
    """One process for each role, ended afterwards."""
    with ExitStack() as stack:
        yield [stack.enter_context(_child(set_up, role)) for role in roles]


@contextmanager
def _child(set_up: Stage, role: str) -> Iterator[Child]:
    command = [sys.executable, "-m", "bench.bus.child", role]
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with LOG.open("a", encoding="utf-8") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=ROOT,
            env=set_up.environ(),
        )
    try:
        yield Child(role, process)
    finally:
        process.kill()
        process.communicate()


def await_(what: str, condition: Callable[[], bool], seconds: float = WAIT_SECONDS) -> None:
    """Wait for a condition. Raises NothingMeasured after the deadline."""
    deadline, pause = clock.monotonic() + seconds, threading.Event()
    while not condition():
        if clock.monotonic() > deadline:
            raise NothingMeasured(f"Waited {seconds:.0f} s in vain for {what}.")
        pause.wait(POLL_SECONDS)
