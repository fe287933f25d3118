"""`lumiere events show` and `list`: what became of events that were committed."""

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import click
from sqlalchemy import bindparam, select

from libs.common.db import Reader, kernel_tables
from libs.common.events.archive import archive_of
from libs.common.events.dead_letters import DeadLetter, Selection, look
from libs.common.events.envelope import Envelope
from libs.common.events.patterns import matching
from libs.common.events.subscriptions import Subscription
from libs.common.service.replaying import moment
from ops import console
from ops.bus.members import Bus, Member, pattern_option, this_bus, told_of_bus
from ops.bus.tail import line, plain
from ops.command_line import json_option
from ops.console import err, literal, out
from ops.errors import OperationError
from services.ledger.models import sequenced

UNKNOWN: Final = 1
LISTED_MAX: Final = 1_000
_LEAF: Final = select(sequenced.c.leaf_index).where(sequenced.c.event_id == bindparam("event_id"))


@dataclass(frozen=True)
class Place:
    """What became of an event in one subscription."""

    subscription: str
    state: str
    """`applied`, `passed over`, `dropped`, `parked`, `dead letter`, or `on its way`."""
    at: datetime | None = None
    detail: str = ""


@dataclass(frozen=True)
class Caused:
    """An event that was published while this one was applied."""

    id: str
    type: str
    at: datetime


@dataclass(frozen=True)
class Standing:
    """Where one event stands."""

    envelope: Envelope | None
    """None when no service has it: it was never committed, or is older than the archive."""
    recorded_at: datetime | None
    published: bool
    places: list[Place]
    leaf_index: int | None
    caused: list[Caused]

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "event": plain(self.envelope) if self.envelope else None,
            "committed_at": _iso(self.recorded_at),
            "published": self.published,
            "subscriptions": [asdict(each) | {"at": _iso(each.at)} for each in self.places],
            "log": None if self.leaf_index is None else {"leaf_index": self.leaf_index},
            "caused": [asdict(each) | {"at": _iso(each.at)} for each in self.caused],
        }


def standing(bus: Bus, event_id: UUID) -> Standing:
    """Ask every service, each as itself. Raises OperationError."""
    found = _found(bus, event_id)
    if found is None:
        # It may still lie among dead letters: somebody sent what no service committed.
        letters = [(each, _letter(bus, each, event_id)) for each in bus.subscriptions()]
        places = [_dead(each, letter) for each, letter in letters if letter]
        return Standing(None, None, published=False, places=places, leaf_index=None, caused=[])
    envelope, recorded_at, published = found
    places = [_place(bus, each, envelope) for each in bus.subscriptions() if envelope.type in bus.wanted(each)]
    return Standing(envelope, recorded_at, published, places, _leaf(bus, event_id), list(_caused(bus, envelope, places)))


def _found(bus: Bus, event_id: UUID) -> tuple[Envelope, datetime, bool] | None:
    for member in bus.members.values():
        with member.database() as database, database.reader() as reader:
            found = archive_of(database.metadata).find(reader, event_id)
        if found is not None:
            return Envelope.decode(found[0].body), found[0].recorded_at, found[1]
    return None


def _place(bus: Bus, subscription: Subscription, envelope: Envelope) -> Place:
    member = bus.member(subscription.consumer)
    with member.database() as database, database.reader() as reader:
        settled = _settled(reader, member, subscription, envelope)
    if settled is not None:
        return settled
    letter = _letter(bus, subscription, envelope.id)
    if letter is not None:
        return _dead(subscription, letter)
    return Place(subscription.name, "on its way", None, "in its queue, or in a retry queue: `lumiere queues`")


def _settled(reader: Reader, member: Member, subscription: Subscription, envelope: Envelope) -> Place | None:
    tables, name = kernel_tables(member.service.metadata), subscription.name
    inbox, parked, gate = tables.inbox, tables.parked_events, tables.sequence_gate
    applied = reader.scalar(select(inbox.c.applied_at).where(inbox.c.subscription == name, inbox.c.event_id == envelope.id))
    if applied is not None:
        handled = subscription.handler(envelope.type) is not None
        return Place(name, "applied" if handled else "passed over", applied, "" if handled else "no handler for this type")
    if not subscription.ordered:
        return None
    mine = (gate.c.subscription == name, gate.c.aggregate_id == envelope.subject)
    last = reader.scalar(select(gate.c.last_sequence).where(*mine)) or 0
    since = reader.scalar(
        select(parked.c.parked_at).where(
            parked.c.subscription == name, parked.c.aggregate_id == envelope.subject, parked.c.sequence == envelope.sequence
        )
    )
    if since is not None:
        return Place(name, "parked", since, f"waits for number {last + 1} of its aggregate")
    if envelope.sequence > last:
        return None
    audit = tables.audit_record
    dropped = reader.first(
        select(audit.c.occurred_at, audit.c.details).where(
            audit.c.entity == "event", audit.c.entity_id == str(envelope.id), audit.c.action == "event.dropped"
        )
    )
    if dropped is None:
        return Place(name, "passed over", None, "before the subscription's baseline, or its number was given out twice")
    return Place(name, "dropped", dropped.occurred_at, str(dropped.details.get("reason", "")))


def _letter(bus: Bus, subscription: Subscription, event_id: UUID) -> DeadLetter | None:
    letters = look(bus.member(subscription.consumer).amqp_url, subscription, Selection(event_id=str(event_id), limit=1))
    return letters[0] if letters else None


def _dead(subscription: Subscription, letter: DeadLetter) -> Place:
    return Place(subscription.name, "dead letter", letter.failed_at, f"{letter.error}: {letter.reason}")


def _leaf(bus: Bus, event_id: UUID) -> int | None:
    with bus.member("ledger").database() as database, database.reader() as reader:
        index: int | None = reader.scalar(_LEAF, {"event_id": event_id})
        return index


def _caused(bus: Bus, envelope: Envelope, places: list[Place]) -> Iterator[Caused]:
    """A handler's transaction has one moment, that of its inbox row: what it published carries the same."""
    by_name = {each.name: each for each in bus.subscriptions()}
    for place in places:
        if place.state != "applied" or place.at is None:
            continue
        member = bus.member(by_name[place.subscription].consumer)
        with member.database() as database, database.reader() as reader:
            bodies = archive_of(database.metadata).recorded_at(reader, member.types, place.at)
        for each in map(Envelope.decode, bodies):
            if each.causation_id == str(envelope.id):
                yield Caused(str(each.id), each.type, place.at)


@click.command()
@click.argument("event_id", type=click.UUID, metavar="ID")
@json_option
@told_of_bus
def show(event_id: UUID, as_json: bool) -> None:
    """Show where an event stands: committed, published, applied by whom, parked, dead, in the log, and what it caused.

    Exit code 1 when no service knows it.
    """
    found = standing(this_bus(), event_id)
    if as_json:
        console.print_json(found.document())
    else:
        _print(found, event_id)
    sys.exit(0 if found.envelope else UNKNOWN)


def _print(found: Standing, event_id: UUID) -> None:
    envelope = found.envelope
    if envelope is None:
        err.print(f"No service has committed {event_id}, or it is older than its archive.")
    else:
        out.print(f"[bold]{literal(envelope.type)}[/] {envelope.id}")
        out.print(
            f"[dim]{literal(envelope.subject)} number {envelope.sequence}, correlation {literal(envelope.correlation_id)}[/]"
        )
    moments = sorted(_moments(found), key=_when)
    for at, colour, text in moments:
        out.print(
            f"  {f'{at.astimezone():%Y-%m-%d %H:%M:%S.%f}' if at else 'not yet':<26}  [{colour}]{literal(text)}[/]",
            soft_wrap=True,
        )
    if envelope is not None:
        console.show_json(plain(envelope)["data"])


def _when(told: tuple[datetime | None, str, str]) -> tuple[bool, float]:
    """What has no time yet comes last."""
    return (told[0] is None, told[0].timestamp() if told[0] else 0.0)


def _moments(found: Standing) -> Iterator[tuple[datetime | None, str, str]]:
    if found.envelope is not None:
        where = "and published" if found.published else "and still in the outbox: `lumiere queues`, docs/bus.md, growing outbox"
        yield found.recorded_at, "default", f"committed by {found.envelope.service} {where}"
    colours = {"applied": "green", "passed over": "dim", "dropped": "yellow", "parked": "yellow", "dead letter": "red"}
    for place in found.places:
        words = f"{place.state}: {place.subscription}" + (f" ({place.detail})" if place.detail else "")
        yield place.at, colours.get(place.state, "yellow"), words
    for caused in found.caused:
        yield caused.at, "default", f"caused {caused.type} {caused.id}"
    if found.leaf_index is not None:
        applied = [place.at for place in found.places if place.subscription.startswith("ledger.")]
        yield (applied[0] if applied else None), "green", f"leaf {found.leaf_index} of the transparency log"


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


@click.command()
@pattern_option
@click.option("--subject", metavar="ID", help="Events about this aggregate.")
@click.option(
    "--from", "since", default="beginning", show_default=True, metavar="TIME", help="Not older than this: ISO 8601, 24h, 7d."
)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, LISTED_MAX))
@json_option
@told_of_bus
def list_events(patterns: tuple[str, ...], subject: str | None, since: str, *, limit: int, as_json: bool) -> None:
    """List published events from the archives, newest first."""
    bus, not_before = this_bus(), moment(since)
    types = matching(patterns or ("#",), bus.types)
    if not types:
        raise OperationError(f"--type matches no event type. Known ones: {', '.join(bus.types)}.")
    found = [each for member in bus.members.values() for each in _published(member, types, subject, limit)]
    wanted = [each for each in found if each.time >= not_before and each.type in types]
    newest = sorted(wanted, key=lambda each: (each.time, each.sequence), reverse=True)[:limit]
    if as_json:
        console.print_json({"events": [plain(each) for each in newest]})
    for each in [] if as_json else newest:
        out.print(f"[dim]{each.id}[/] {line(each)}")


def _published(member: Member, types: list[str], subject: str | None, limit: int) -> list[Envelope]:
    mine = [each for each in types if each in member.types]
    with member.database() as database, database.reader() as reader:
        archive = archive_of(database.metadata)
        if subject is None:
            bodies = archive.latest(reader, mine, limit)
        else:
            aggregates = {each.rsplit(".", 1)[0] for each in mine}
            bodies = archive.about(reader, aggregates, subject, LISTED_MAX) if aggregates else []
    return [Envelope.decode(each) for each in bodies]
