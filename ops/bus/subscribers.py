"""`lumiere events subscribe | subscribers | unsubscribe`: who outside may read which events."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import click
from rich.table import Table

from ops import console
from ops.bus.admission import Admission, Chosen, Subscribers, checked_name, choose, published
from ops.bus.members import print_table
from ops.command_line import json_option, this_platform, told
from ops.console import literal, out
from ops.errors import OperationError
from ops.layout import Layout
from ops.management import Management
from ops.plan import Plan

VHOST = "/"
GUIDE = "docs/subscribers.md"


@contextmanager
def _subscribers(layout: Layout) -> Iterator[Subscribers]:
    with Management(Plan(layout).backing.management_url(), VHOST) as management:
        yield Subscribers(management)


def _address(layout: Layout, given: str | None) -> str | None:
    """Where the gateway's AMQPS listener stands for the subscriber; none when it is shut."""
    port = layout.settings.lumiere_amqps_port
    return given or (f"127.0.0.1:{port}" if port else None)


@click.command()
@click.argument("name")
@click.option(
    "--type", "patterns", multiple=True, metavar="TYPE", help="An event type or a pattern such as tasks.task.*; repeat it."
)
@click.option(
    "--personal", is_flag=True, help="Also types with personal values; these arrive sealed and are personal data still."
)
@click.option("--rotate", is_flag=True, help="Make another password; connections with the old one end.")
@click.option(
    "--address", metavar="HOST[:PORT]", help="Where the subscriber finds the AMQPS listener, when not on this machine."
)
@json_option
@told
def subscribe(name: str, patterns: tuple[str, ...], personal: bool, rotate: bool, address: str | None, as_json: bool) -> None:
    """Let NAME read events from outside: a queue of its own, and a broker user that can do nothing but read it.

    Said again with other types, it changes what the queue gets from now on; the password stays unless --rotate is given.
    """
    layout = this_platform().layout
    checked_name(name, layout.services)
    if not patterns and not rotate:
        raise OperationError("Say which events: --type tasks.task.validated, or a pattern such as --type 'tasks.task.*'.")
    chosen = choose(patterns, published(layout.root), personal=personal) if patterns else Chosen([], [])
    with _subscribers(layout) as subscribers:
        admission = subscribers.admit(name, chosen.types, rotate=rotate) if patterns else subscribers.rotate(name)
    where = _address(layout, address)
    if as_json:
        console.print_json(_document(name, admission, chosen, where))
    else:
        _tell(name, admission, chosen, where)


def _document(name: str, admission: Admission, chosen: Chosen, where: str | None) -> dict[str, object]:
    return {
        "name": name,
        "address": where,
        "tls": True,
        "vhost": VHOST,
        "queue": admission.queue,
        "user": admission.user,
        "password": admission.password,
        "url": _url(admission, where),
        "types": admission.types,
        "added": admission.added,
        "removed": admission.removed,
        "skipped": chosen.skipped,
    }


def _url(admission: Admission, where: str | None) -> str | None:
    """The whole connection as one address; only together with a new password."""
    if where is None or admission.password is None:
        return None
    return f"amqps://{quote(admission.user, safe='')}:{quote(admission.password, safe='')}@{where}/{quote(VHOST, safe='')}"


def _tell(name: str, admission: Admission, chosen: Chosen, where: str | None) -> None:
    out.print(f"[bold green]{name} may read[/] {len(admission.types)} event types: {', '.join(admission.types)}")
    for words, types in (("added", admission.added), ("no longer", admission.removed), ("left out", chosen.skipped)):
        if types:
            out.print(f"  {words}: {', '.join(types)}")
    shut = "[yellow]shut[/]: open the gateway's AMQPS listener with LUMIERE_AMQPS_PORT and LUMIERE_AMQPS_CERTIFICATE"
    rows = {
        "address": literal(where) + " (TLS)" if where else shut,
        "vhost": VHOST,
        "queue": admission.queue,
        "user": admission.user,
        "password": admission.password or "[dim]as before; --rotate makes another[/]",
    }
    for word, value in rows.items():
        out.print(f"  {word:<9} {value}")
    if admission.password:
        out.print("[bold]The password is shown this once[/]; RabbitMQ keeps only its hash.")
    out.print(f"[dim]how to read the queue:[/] {GUIDE}")


@click.command(name="subscribers")
@json_option
@told
def list_subscribers(as_json: bool) -> None:
    """List who reads events from outside: types, events that wait, open connections."""
    with _subscribers(this_platform().layout) as subscribers:
        standings = subscribers.standings()
    if as_json:
        console.print_json(
            [{"name": e.name, "types": e.types, "waiting": e.waiting, "connected": e.connected} for e in standings]
        )
        return
    if not standings:
        out.print("Nobody subscribes from outside. `lumiere events subscribe NAME --type TYPE` lets somebody in.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("SUBSCRIBER", "WAITING", "CONNECTED", "TYPES"):
        table.add_column(title, justify="right" if title in {"WAITING", "CONNECTED"} else "left")
    for each in standings:
        colour = "green" if each.connected else "yellow"
        table.add_row(each.name, str(each.waiting), f"[{colour}]{each.connected}[/]", ", ".join(each.types))
    print_table(table)


@click.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@told
def unsubscribe(name: str, yes: bool, as_json: bool) -> None:
    """Shut NAME out: its user, its queue and the events that wait there are deleted."""
    if not yes:
        click.confirm(f"Delete the user and the queue of {name}, with the events that wait there?", abort=True, err=True)
    with _subscribers(this_platform().layout) as subscribers:
        subscribers.dismiss(name)
    if as_json:
        console.print_json({"removed": name})
    else:
        out.print(f"{name} is shut out; its queue is gone.")


COMMANDS = (subscribe, list_subscribers, unsubscribe)
"""What this module adds to `lumiere events`."""
