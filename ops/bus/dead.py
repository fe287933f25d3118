"""`lumiere dead`: messages that were given up on."""

import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, TypeVar
from uuid import UUID

import click
from rich.table import Table

from libs.common import clock
from libs.common.events.dead_letters import REASON_LENGTH_MAX, DeadLetter, Fate, Selection, Settled, drop, look, redrive
from libs.common.events.patterns import PatternError, check_pattern
from libs.common.events.subscriptions import Subscription
from ops import console
from ops.bus.members import Bus, age, print_table, seconds_since, this_bus, told_of_bus
from ops.bus.tail import plain
from ops.command_line import json_option
from ops.console import err, literal, out
from ops.errors import OperationError

P = ParamSpec("P")
R = TypeVar("R")
NOTHING: Final = 1
"""The exit code when no dead letter is meant, or one was refused."""
BODY_SHOWN_MAX: Final = 4_096


class Chosen:
    """The dead letters that the options mean."""

    def __init__(self, event_id: UUID | None, pattern: str | None, service: str | None, subscription: str | None) -> None:
        self.bus: Bus = this_bus()
        self.selection = Selection(str(event_id) if event_id else None, pattern)
        self.subscriptions = self.bus.subscriptions(service, subscription)
        self.narrowed = any((event_id, pattern, service, subscription))

    def letters(self) -> list[DeadLetter]:
        """What lies there now; it stays."""
        return [each for one in self.subscriptions for each in look(self._url(one), one, self.selection)]

    def redrive(self, *, forgotten: bool) -> list[Settled]:
        """Send them through again; `forgotten` also what the inbox no longer remembers."""
        since = None if forgotten else self.bus.retention.inbox_cutoff(clock.now())
        return [
            each for one in self.subscriptions for each in redrive(self._url(one), one, self.selection, remembered_since=since)
        ]

    def drop(self, seen: list[DeadLetter], reason: str) -> list[Settled]:
        """Give up those that were seen, and none that came since."""
        settled: list[Settled] = []
        for one in self.subscriptions:
            bodies = frozenset(each.received.body for each in seen if each.subscription == one)
            with self.bus.member(one.consumer).database() as database:
                settled += drop(database, self._url(one), one, replace(self.selection, bodies=bodies), reason=reason)
        return settled

    def _url(self, subscription: Subscription) -> str:
        return self.bus.member(subscription.consumer).amqp_url


def _checked(_context: click.Context, _option: click.Parameter, given: str | None) -> str | None:
    try:
        return given and check_pattern(given)
    except PatternError as error:
        raise click.BadParameter(str(error)) from error


def _chosen(function: Callable[Concatenate[Chosen, P], R]) -> Callable[..., R]:
    """The options that say which dead letters are meant; several narrow together."""

    @click.option("--id", "event_id", type=click.UUID, help="One event, by its id.")
    @click.option("--type", "pattern", metavar="PATTERN", callback=_checked, help="Event types, for example tasks.task.*")
    @click.option("--service", help="The consumer.")
    @click.option("--subscription", metavar="NAME", help="One subscription, as `lumiere queues` names it.")
    @json_option
    @told_of_bus
    @wraps(function)
    def wrapped(event_id: UUID | None, pattern: str | None, service: str | None, subscription: str | None, **options: Any) -> R:
        return function(Chosen(event_id, pattern, service, subscription), **options)  # type: ignore[call-arg]

    return wrapped


@click.group(name="dead")
def group() -> None:
    """Dead letters: messages that were given up on, kept with their reason."""


@group.command(name="list")
@_chosen
def list_letters(chosen: Chosen, as_json: bool) -> None:
    """List dead letters: what failed, where, how often, why."""
    letters = chosen.letters()
    if as_json:
        console.print_json({"dead_letters": [summary(each) for each in letters]})
    elif letters:
        print_table(_table(letters))
        out.print("[dim]next: `lumiere dead show --id ID`; mend the cause; `lumiere dead redrive --id ID`[/]")
    else:
        out.print("No dead letters.")


@group.command()
@_chosen
def show(chosen: Chosen, as_json: bool) -> None:
    """Show dead letters whole: reason, headers and envelope. Exit code 1 when there is none."""
    letters = chosen.letters()
    if as_json:
        console.print_json({"dead_letters": [whole(each) for each in letters]})
    else:
        for letter in letters:
            _print_whole(letter)
    _end(letters)


@group.command(name="redrive")
@click.option("--all", "everything", is_flag=True, help="All of them: needed when nothing else narrows.")
@click.option("--forgotten", is_flag=True, help="Also what is older than the inbox remembers: you know it took no effect.")
@click.option("--dry-run", is_flag=True, help="Only show what would be sent.")
@_chosen
def redrive_letters(chosen: Chosen, everything: bool, forgotten: bool, dry_run: bool, as_json: bool) -> None:
    """Send dead letters to their subscription again, once the cause is mended.

    Attempts are counted anew. What was applied before is not applied twice, so a redrive can be repeated.
    Exit code 1 when one is refused, or none is meant.
    """
    _require_narrowed(chosen, everything=everything)
    if dry_run:
        _tell_dry(chosen.letters(), "redriven", as_json=as_json)
        return
    _tell(chosen.redrive(forgotten=forgotten), as_json=as_json)


@group.command(name="drop")
@click.option("--all", "everything", is_flag=True, help="All of them: needed when nothing else narrows.")
@click.option("--reason", required=True, help="Why they are given up; kept in the audit record.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only show what would be dropped.")
@_chosen
def drop_letters(chosen: Chosen, everything: bool, reason: str, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Give dead letters up for good: their effect never happens.

    An ordered subscription passes over the event, and the later events of its aggregate, which were held, are applied
    within seconds. An event is refused while earlier ones of its aggregate are missing. Exit code 1 when one is refused,
    or none is meant.
    """
    _require_narrowed(chosen, everything=everything)
    if not 1 <= len(reason.strip()) <= REASON_LENGTH_MAX:
        raise OperationError(f"Say in 1 to {REASON_LENGTH_MAX} characters why: --reason TEXT.")
    letters = chosen.letters()
    if dry_run or not letters:
        _tell_dry(letters, "dropped", as_json=as_json)
        return
    if not yes:
        err.print(_table(letters))
        click.confirm(f"Drop {len(letters)} for good?", abort=True, err=True)
    _tell(chosen.drop(letters, reason.strip()), as_json=as_json)


def _require_narrowed(chosen: Chosen, *, everything: bool) -> None:
    if not chosen.narrowed and not everything:
        raise OperationError("Say which: --id, --type, --service or --subscription narrow, --all means every one.")


def summary(letter: DeadLetter) -> dict[str, Any]:
    """What a list shows of a dead letter."""
    envelope = letter.envelope
    failed_at = letter.failed_at
    if failed_at is not None and failed_at.tzinfo is None:
        failed_at = failed_at.replace(tzinfo=UTC)
    return {
        "id": letter.event_id,
        "type": letter.event_type or None,
        "subject": envelope.subject if envelope else None,
        "sequence": envelope.sequence if envelope else None,
        "subscription": letter.subscription.name,
        "ordered": letter.subscription.ordered,
        "attempts": letter.attempts,
        "error": letter.error,
        "reason": letter.reason,
        "failed_at": failed_at.isoformat() if failed_at else None,
        "age_seconds": seconds_since(failed_at),
        "vouched": letter.vouched,
    }


def whole(letter: DeadLetter) -> dict[str, Any]:
    """Everything about a dead letter; sealed personal content is replaced by a marker."""
    envelope = letter.envelope
    shown: Any = letter.received.body[:BODY_SHOWN_MAX].decode("utf-8", "replace")
    if envelope is not None:
        shown = plain(envelope)
    headers = {name: value for name, value in letter.received.headers.items() if name != "x-death"}
    return summary(letter) | {
        "correlation_id": envelope.correlation_id if envelope else None,
        "traceparent": envelope.traceparent if envelope else None,
        "headers": _plain(headers),
        "deaths": _plain(letter.deaths),
        "event" if envelope else "body": shown,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _table(letters: list[DeadLetter]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("ID", "TYPE", "SUBJECT", "NO", "SUBSCRIPTION", "TRIES", "AGE", "ERROR", "REASON"):
        table.add_column(title, justify="right" if title in ("NO", "TRIES", "AGE") else "left")
    for letter in letters:
        row = summary(letter)
        cells = (row["id"] or "(no event)", row["type"] or "", row["subject"] or "", row["sequence"] or "", row["subscription"])
        failure = (row["attempts"], age(row["age_seconds"]), row["error"], row["reason"])
        table.add_row(*(literal(cell) for cell in (*cells, *failure)))
    return table


def _print_whole(letter: DeadLetter) -> None:
    document = whole(letter)
    out.print(f"[bold red]✗[/] [bold]{literal(document['type'] or 'no event')}[/] {document['id'] or ''}")
    facts = {
        "subscription": document["subscription"]
        + (" (ordered: later events of this aggregate are held)" if document["ordered"] else ""),
        "subject": f"{document['subject']} number {document['sequence']}" if document["subject"] else None,
        "failed": f"{document['failed_at']} ({age(document['age_seconds'])} ago), attempts: {document['attempts']}",
        "error": f"{document['error']}: {document['reason']}",
        "traceparent": document["traceparent"],
        "correlation": document["correlation_id"],
        "vouched": None if document["vouched"] else "no: the broker does not say that its producer sent it",
    }
    for name, value in facts.items():
        if value:
            out.print(f"  [dim]{name:<13}[/] {literal(value)}")
    for death in document["deaths"]:
        out.print(f"  [dim]broker       [/] {literal(death)}")
    if "event" in document:
        console.show_json(document["event"])
    else:
        out.print(literal(document["body"], lines=True))


def _tell_dry(letters: list[DeadLetter], verb: str, *, as_json: bool) -> None:
    if as_json:
        console.print_json({"dry_run": True, "dead_letters": [summary(each) for each in letters]})
    elif letters:
        print_table(_table(letters))
        out.print(f"{len(letters)} would be {verb}.")
    _end(letters)


def _tell(settled: list[Settled], *, as_json: bool) -> None:
    if as_json:
        results = [summary(each.letter) | {"fate": each.fate.value, "detail": each.detail} for each in settled]
        console.print_json({"settled": results})
    else:
        for each in settled:
            colour = "red" if each.fate is Fate.REFUSED else "green"
            name = f"{each.letter.event_type} {each.letter.event_id or ''}"
            out.print(
                f"[{colour}]{each.fate.value}[/] {literal(name)} [dim]{each.letter.subscription.name}[/] {literal(each.detail)}"
            )
    _end(
        [each for each in settled if each.fate is not Fate.REFUSED], refused=any(each.fate is Fate.REFUSED for each in settled)
    )


def _end(meant: list[Any], *, refused: bool = False) -> None:
    if not meant and not refused:
        err.print("No dead letter is meant: `lumiere dead list` shows all.")
    if refused or not meant:
        sys.exit(NOTHING)
