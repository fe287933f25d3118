"""`lumiere cluster status` and `lumiere cluster promote`."""

import sys
from dataclasses import asdict
from typing import Final

import click
from rich.table import Table

from ops import console
from ops.cluster import brokers, databases
from ops.cluster.brokers import Brokers
from ops.cluster.databases import Database
from ops.command_line import json_option, this_platform, told
from ops.console import literal, out
from ops.errors import OperationError
from ops.management import Management
from ops.plan import Plan

ATTENTION: Final = 1


@click.group(name="cluster")
def group() -> None:
    """Servers on several machines: brokers that are one, a database and its standby."""


@group.command()
@json_option
@told
def status(as_json: bool) -> None:
    """Tell who is the primary database, who follows it, which brokers run and where queues have their replicas.

    Asks every server that DATABASE_URL and AMQP_MANAGEMENT_URL name. Exit code 1 when something needs attention.
    """
    backing = Plan(this_platform().layout).backing
    found = [databases.examine(each) for each in databases.each_server(backing.maintenance_url())]
    sentences = databases.attention(found)
    cluster = Brokers([], [])
    try:
        with Management(backing.management_url()) as management:
            cluster = brokers.examine(management)
        sentences += brokers.attention(cluster)
    except OperationError as error:
        sentences.append(str(error))
    if as_json:
        console.print_json({"databases": [asdict(each) for each in found], **asdict(cluster), "attention": sentences})
    else:
        out.print(_databases(found))
        out.print(_brokers(cluster))
        for sentence in sentences:
            out.print(f"[yellow]![/] {literal(sentence)}")
    sys.exit(ATTENTION if sentences else 0)


@group.command()
@click.argument("standby", metavar="HOST:PORT")
@json_option
@told
def promote(standby: str, as_json: bool) -> None:
    """Make the standby at HOST:PORT the primary, once the old primary cannot come back by itself.

    DATABASE_URL names all of them, as their superuser. It is refused while another still answers as primary: two that take
    commits would part for ever. Afterwards the new primary waits for no standby until you tell it to (docs/cluster.md).
    """
    with console.step(f"Promoting {standby}"):
        done = databases.promote(Plan(this_platform().layout).backing.maintenance_url(), standby)
    if as_json:
        console.print_json(done)
    else:
        out.print(f"{standby} is the primary; it took {done['seconds']} s. [dim]next:[/] a standby of its own, docs/cluster.md")


def _databases(found: list[Database]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("DATABASE", "ROLE", "WAITS FOR", "FOLLOWED BY"):
        table.add_column(title)
    for each in found:
        following = [
            f"{one.name} ({one.state}{', synchronous' if one.synchronous else ''}, {one.behind_bytes} B behind)"
            for one in each.standbys
        ]
        table.add_row(each.address, each.role, literal(each.waits_for), literal(", ".join(following)))
    return table


def _brokers(found: Brokers) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("BROKER", "RUNS", "LEADS", "ALARMS"):
        table.add_column(title)
    for each in found.nodes:
        leads = sum(queue.leader == each.name for queue in found.queues)
        table.add_row(literal(each.name), "yes" if each.running else "no", f"{leads} queues", ", ".join(each.alarms))
    return table
