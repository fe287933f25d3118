"""`lumiere queues`: how every subscription stands."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from heapq import nlargest
from time import sleep
from typing import Any, Final

import click
from rich.live import Live
from rich.table import Table
from sqlalchemy import func, select

from libs.common.db import kernel_tables
from libs.common.events.archive import archive_of
from libs.common.events.broker import Received, Session, open_session
from libs.common.events.dead_letters import Selection, look
from libs.common.events.envelope import Envelope, MalformedEvent
from libs.common.events.patterns import matching
from libs.common.events.subscriptions import Subscription
from libs.common.events.topology import RETRY_DELAYS_MS, UNROUTABLE_QUEUE
from ops import console
from ops.bus.members import Bus, age, print_table, seconds_since, this_bus, told_of_bus
from ops.command_line import json_option
from ops.console import literal, out

OLD_SECONDS: Final = 60.0
"""A message that waits longer needs attention."""
OLDEST_COUNTED_MAX: Final = 10_000
"""A queue that is deeper is at least as old as this many events."""
ATTENTION: Final = 1


@dataclass
class Row:
    """One subscription: its queue, what waits beside it, and what needs attention."""

    subscription: str
    queue: str
    ready: int = 0
    unacknowledged: int = 0
    in_per_second: float = 0.0
    out_per_second: float = 0.0
    consumers: int = 0
    retrying: int = 0
    parked: int = 0
    dead: int = 0
    oldest_seconds: float | None = None
    oldest_is_at_least: bool = False
    oldest_parked_seconds: float | None = None
    oldest_dead_seconds: float | None = None
    attention: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Standing:
    """All queues at one moment."""

    subscriptions: list[Row]
    unroutable: int
    oldest_unroutable_seconds: float | None
    others: list[dict[str, Any]]
    """Queues of subscribers outside."""

    @property
    def attention(self) -> list[str]:
        """What needs attention, in sentences."""
        found = [f"{row.subscription}: {each}" for row in self.subscriptions for each in row.attention]
        if self.unroutable:
            found.append(f"{self.unroutable} events that no queue wanted lie in {UNROUTABLE_QUEUE}")
        return found

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "subscriptions": [asdict(row) for row in self.subscriptions],
            "unroutable": {"ready": self.unroutable, "oldest_seconds": self.oldest_unroutable_seconds},
            "others": self.others,
            "attention": self.attention,
        }


def standing(bus: Bus) -> Standing:
    """Look at every queue. Raises OperationError, BrokerUnavailable."""
    with bus.management() as management:
        reported = {each["name"]: each for each in management.queues()}
    subscriptions = bus.subscriptions()
    parked = _parked(bus)
    with open_session(bus.operator_url) as session:
        rows = [_row(bus, session, each, reported, parked) for each in subscriptions]
        unroutable, _ = _depth(session, UNROUTABLE_QUEUE)
        oldest = _head_age(session.get(UNROUTABLE_QUEUE)) if unroutable else None
    return Standing(rows, unroutable, oldest, list(_others(subscriptions, reported.values())))


def _row(
    bus: Bus,
    session: Session,
    subscription: Subscription,
    reported: Mapping[str, Any],
    parked: Mapping[str, tuple[int, datetime]],
) -> Row:
    main = reported.get(subscription.queue, {})
    ready, consumers = _depth(session, subscription.queue)
    row = Row(
        subscription.name,
        subscription.queue,
        ready=ready,
        unacknowledged=main.get("messages_unacknowledged", 0),
        in_per_second=_rate(main, "publish"),
        out_per_second=_rate(main, "ack"),
        consumers=consumers,
        retrying=sum(_depth(session, subscription.retry_queue(level))[0] for level in range(len(RETRY_DELAYS_MS))),
        dead=_depth(session, subscription.dead_letter_queue)[0],
    )
    if row.ready + row.unacknowledged:
        row.oldest_seconds, row.oldest_is_at_least = _oldest(bus, subscription, row.ready + row.unacknowledged)
    if subscription.name in parked:
        row.parked, since = parked[subscription.name]
        row.oldest_parked_seconds = seconds_since(since)
    if row.dead:
        member = bus.member(subscription.consumer)
        heads = look(member.amqp_url, subscription, Selection(limit=1))
        moments = [each.failed_at or (each.envelope.time if each.envelope else None) for each in heads]
        row.oldest_dead_seconds = seconds_since(moments[0]) if moments else None
    row.attention = list(_attention(row))
    return row


def _attention(row: Row) -> Iterator[str]:
    if not row.consumers:
        yield "nobody consumes it: does its worker run? `make status`"
    if row.dead:
        yield f"{row.dead} dead letter{'s' * (row.dead > 1)}: `lumiere dead list --subscription {row.subscription}`"
    if (row.oldest_seconds or 0) > OLD_SECONDS:
        yield f"its oldest message waits for about {age(row.oldest_seconds)}"
    if (row.oldest_parked_seconds or 0) > OLD_SECONDS:
        yield f"{row.parked} events are parked, the oldest for {age(row.oldest_parked_seconds)}: see docs/bus.md, parked events"


def _depth(session: Session, queue: str) -> tuple[int, int]:
    found = session.look(queue)
    return (found.messages, found.consumers) if found else (0, 0)


def _rate(queue: Mapping[str, Any], what: str) -> float:
    return float(queue.get("message_stats", {}).get(f"{what}_details", {}).get("rate", 0.0))


def _oldest(bus: Bus, subscription: Subscription, depth: int) -> tuple[float | None, bool]:
    """(about how old, whether older) the oldest message is.

    To take it out and put it back would count as a delivery. First in, first out: a queue of N holds about the newest N events
    that its bindings match, so the archive of N-th newest event's producer knows when the oldest was committed.
    """
    counted = min(depth, OLDEST_COUNTED_MAX)
    moments: list[datetime] = []
    for member in bus.producers(subscription):
        with member.database() as database, database.reader() as reader:
            wanted = matching(subscription.bindings, member.types)
            moments += archive_of(database.metadata).newest(reader, wanted, counted)
    newest = nlargest(counted, moments)
    return (seconds_since(newest[-1]) if newest else None), depth > OLDEST_COUNTED_MAX


def _parked(bus: Bus) -> dict[str, tuple[int, datetime]]:
    found: dict[str, tuple[int, datetime]] = {}
    for member in bus.members.values():
        if any(each.ordered for each in member.service.declared_subscriptions.queues):
            parked = kernel_tables(member.service.metadata).parked_events
            counted = select(parked.c.subscription, func.count().label("events"), func.min(parked.c.parked_at).label("since"))
            with member.database() as database, database.reader() as reader:
                rows = reader.all(counted.group_by(parked.c.subscription))
            found |= {row.subscription: (row.events, row.since) for row in rows}
    return found


def _head_age(received: Received | None) -> float | None:
    """The session ends without settling it: the broker puts it back."""
    try:
        return seconds_since(Envelope.decode(received.body).time) if received else None
    except MalformedEvent:
        return None


def _others(subscriptions: Iterable[Subscription], reported: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    ours = tuple(each.queue for each in subscriptions)
    for queue in reported:
        if not queue.get("exclusive") and queue["name"] != UNROUTABLE_QUEUE and not queue["name"].startswith(ours):
            yield {
                "queue": queue["name"],
                "ready": queue.get("messages_ready", 0),
                "unacknowledged": queue.get("messages_unacknowledged", 0),
                "in_per_second": _rate(queue, "publish"),
                "out_per_second": _rate(queue, "ack"),
                "consumers": queue.get("consumers", 0),
            }


COLUMNS: Final = ("READY", "TAKEN", "IN/S", "OUT/S", "CONSUMERS", "RETRY", "PARKED", "DEAD", "OLDEST")


def _table(now: Standing) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("SUBSCRIPTION")
    for title in COLUMNS:
        table.add_column(title, justify="right")
    for row in now.subscriptions:
        oldest = (">" if row.oldest_is_at_least else "") + age(row.oldest_seconds)
        table.add_row(
            row.subscription,
            _number(row.ready),
            _number(row.unacknowledged),
            f"{row.in_per_second:.1f}",
            f"{row.out_per_second:.1f}",
            _marked(str(row.consumers), not row.consumers),
            _number(row.retrying),
            _marked(_number(row.parked), (row.oldest_parked_seconds or 0) > OLD_SECONDS),
            _marked(_number(row.dead), bool(row.dead)),
            _marked(oldest, (row.oldest_seconds or 0) > OLD_SECONDS),
        )
    for other in now.others:
        rates = (f"{other['in_per_second']:.1f}", f"{other['out_per_second']:.1f}")
        table.add_row(
            other["queue"], _number(other["ready"]), _number(other["unacknowledged"]), *rates, str(other["consumers"])
        )
    if now.unroutable:
        table.add_row(UNROUTABLE_QUEUE, _marked(_number(now.unroutable), True), *[""] * 7, age(now.oldest_unroutable_seconds))
    return table


def _number(count: int) -> str:
    return f"{count:,}" if count else "0"


def _marked(text: str, bad: bool) -> str:
    return f"[bold red]{text}[/]" if bad else text


@click.command()
@click.option(
    "--watch",
    type=click.FloatRange(0.5, 3_600),
    is_flag=False,
    flag_value=2,
    default=None,
    metavar="SECONDS",
    help="Look again and again, every 2 s unless told otherwise; Ctrl-C ends it.",
)
@json_option
@told_of_bus
def queues(watch: float | None, as_json: bool) -> None:
    """Show every subscription: depth, rates, consumers, retries, parked events, dead letters.

    TAKEN are delivered and not acknowledged yet. OLDEST is about the age of the oldest message in the queue, from the
    producers' archives. Rates are the broker's own, a few seconds old. Exit code 1 when something needs attention: nobody
    consumes, dead letters, unroutable events, or something that waits longer than a minute.
    """
    if watch is not None and as_json:
        raise click.UsageError("--watch is for the eye: leave it away, and ask for --json as often as you like.")
    bus = this_bus()
    if watch is not None:
        with Live(_table(standing(bus)), console=out, auto_refresh=False) as live:
            while True:
                sleep(watch)
                live.update(_table(standing(bus)), refresh=True)
    now = standing(bus)
    if as_json:
        console.print_json(now.document())
    else:
        print_table(_table(now))
        for sentence in now.attention:
            out.print(f"[yellow]![/] {literal(sentence)}")
    sys.exit(ATTENTION if now.attention else 0)
