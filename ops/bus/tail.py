"""`lumiere events tail`: events as they pass."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from time import monotonic
from typing import Any, Final

import click
import orjson

from libs.common.events import MalformedEvent
from libs.common.events.broker import Received, open_session
from libs.common.events.envelope import Envelope
from libs.common.events.patterns import matches
from libs.common.events.topology import OPERATOR, following_topology
from ops import console
from ops.bus.members import Bus, pattern_option, this_bus, told_of_bus, without_seals
from ops.command_line import json_option
from ops.console import literal, out

PREFETCH: Final = 200
WAIT_SECONDS: Final = 0.25
EVERYTHING: Final = ("#",)
SHORT: Final = 8
"""Characters of an id that are enough for the eye; `--json` has them whole."""
COLOURS: Final = ("cyan", "green", "magenta", "yellow", "blue", "red")


@dataclass(frozen=True)
class Filter:
    """Which events are shown; what is empty does not narrow."""

    patterns: tuple[str, ...] = ()
    service: str | None = None
    subject: str | None = None
    correlation: str | None = None

    @property
    def bindings(self) -> tuple[str, ...]:
        """What the broker is asked for."""
        return self.patterns or ((f"{self.service}.#",) if self.service else EVERYTHING)

    def takes(self, envelope: Envelope) -> bool:
        """Whether the event is shown."""
        wanted = {"service": self.service, "subject": self.subject, "correlation_id": self.correlation}
        if any(value is not None and getattr(envelope, name) != value for name, value in wanted.items()):
            return False
        return not self.patterns or any(matches(each, envelope.type) for each in self.patterns)


@click.command()
@pattern_option
@click.option("--service", help="Events of this producer.")
@click.option("--subject", metavar="ID", help="Events about this aggregate.")
@click.option("--correlation", metavar="ID", help="Everything that came of one request.")
@click.option("--count", type=click.IntRange(min=1), help="End after so many events.")
@click.option("--seconds", type=click.FloatRange(min=0.1), help="End after so long.")
@json_option
@told_of_bus
def tail(*, count: int | None, seconds: float | None, as_json: bool, **narrowed: Any) -> None:
    """Show events as they pass, one a line: time, type, subject, number, actor, correlation.

    Ends with Ctrl-C, or by --count or --seconds. With --json each line is an event whole; sealed personal values are only
    marked. It takes nothing away from anybody: the queue is the command's own and goes with it. When the reader falls behind
    by more than 10,000 events, the oldest are skipped.
    """
    bus = this_bus()
    chosen = Filter(**narrowed)
    if chosen.service is not None:
        bus.member(chosen.service)
    try:
        for envelope in islice(follow(bus, chosen, seconds), count):
            show(envelope, as_json=as_json)
    except KeyboardInterrupt:
        # The way to end it, not a failure.
        sys.exit(0)


def follow(bus: Bus, chosen: Filter, seconds: float | None = None) -> Iterator[Envelope]:
    """Events that pass from now on. Raises BrokerUnavailable."""
    until = None if seconds is None else monotonic() + seconds
    topology = following_topology(OPERATOR, chosen.bindings)
    with open_session(bus.operator_url) as session:
        session.declare(topology)
        session.consume(topology.queues[0].name, prefetch=PREFETCH)
        while until is None or monotonic() < until:
            wait = WAIT_SECONDS if until is None else min(WAIT_SECONDS, max(until - monotonic(), 0.01))
            batch = session.receive(PREFETCH, wait_seconds=wait, idle_seconds=0)
            yield from decoded(batch, chosen)
            if batch:
                session.settle_until(batch[-1].tag)


def decoded(batch: Sequence[Received], chosen: Filter) -> Iterator[Envelope]:
    """The events among deliveries that are wanted; what is no event is somebody's dead letter, not ours to show."""
    for received in batch:
        try:
            envelope = Envelope.decode(received.body)
        except MalformedEvent:
            continue
        if chosen.takes(envelope):
            yield envelope


def plain(envelope: Envelope) -> dict[str, Any]:
    """The event as JSON, without sealed content."""
    document: dict[str, Any] = without_seals(orjson.loads(envelope.encode()))
    return document


def show(envelope: Envelope, *, as_json: bool) -> None:
    """One line."""
    if as_json:
        console.print_json_line(plain(envelope))
    else:
        out.print(line(envelope))


def line(envelope: Envelope) -> str:
    """One event in one line of rich markup; each producer has its colour."""
    colour = COLOURS[sum(envelope.service.encode()) % len(COLOURS)]
    actor = envelope.actor or "-"
    correlation = envelope.correlation_id[-SHORT:]
    kind, _, who = actor.partition(":")
    short = f"{kind}:{who[-SHORT:]}" if who else actor
    return (
        f"[dim]{envelope.time.astimezone():%H:%M:%S.%f}[/] [{colour}]{literal(envelope.type):<28}[/] "
        f"{literal(envelope.subject)} [bold]#{envelope.sequence}[/] [dim]{literal(short)} {literal(correlation)}[/]"
    )
