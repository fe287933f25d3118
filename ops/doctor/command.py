"""`lumiere doctor`: the checklist, asked of a running platform."""

import sys
from typing import Final

import click
from rich.table import Table

from libs.common.config import ConfigurationError, load
from ops import console
from ops.command_line import json_option
from ops.console import err, literal, out
from ops.doctor.box import Box, State, Weight, boxes
from ops.doctor.examination import Answer, examine
from ops.doctor.places import here
from ops.doctor.settings import DoctorSettings
from ops.errors import OperationError

UNTICKED: Final = 1
COULD_NOT_RUN: Final = 2
COLOURS: Final = {State.OK: "green", State.FAILED: "red", State.NOT_APPLICABLE: "dim", State.NOT_EXAMINED: "yellow"}
WORDS: Final = {State.OK: "ok", State.FAILED: "FAILED", State.NOT_APPLICABLE: "–", State.NOT_EXAMINED: "NOT EXAMINED"}


@click.command()
@click.option("--only", "names", multiple=True, metavar="NAME", help="This box, or all of a group; any number of times.")
@click.option("--list", "listed", is_flag=True, help="List the boxes and what each asks; examines nothing.")
@click.option("--production", is_flag=True, help="Judge this platform as one that serves the public.")
@json_option
def doctor(names: tuple[str, ...], listed: bool, production: bool, as_json: bool) -> None:
    """Go through the deployment checklist: what was seen, and what to do about it.

    Exit code 0 when every required box is ticked, 1 when one is not, 2 when nothing could be examined. `--json` is a list of
    {"name", "ok", "evidence", "fix"}. What could not be examined is never ticked.
    """
    try:
        chosen = chosen_boxes(names)
        if listed:
            _list(chosen, as_json)
            return
        examined = here(load(DoctorSettings), production=production)
    except (OperationError, ConfigurationError) as error:
        err.print(f"[red]✗[/] {literal(error, lines=True)}")
        sys.exit(COULD_NOT_RUN)
    told = 0

    def progress(answer: Answer) -> None:
        nonlocal told
        told += 1
        if err.is_terminal and not as_json:
            err.print(f"[dim]{told}/{len(chosen)} {answer.box.name}[/]", end="\r")

    answers = examine(chosen, examined, progress)
    if as_json:
        console.print_json([each.document() for each in answers])
    else:
        _show(answers)
    sys.exit(UNTICKED if any(each.stops for each in answers) else 0)


def chosen_boxes(names: tuple[str, ...]) -> list[Box]:
    """The boxes and groups of these names; all without a name. Raises OperationError that names all."""
    every = boxes()
    for name in names:
        if not any(name in (each.name, each.group) for each in every):
            raise OperationError(f"No box is called {name}. Known ones: {', '.join(each.name for each in every)}.")
    return [each for each in every if not names or each.name in names or each.group in names]


def _list(chosen: list[Box], as_json: bool) -> None:
    if as_json:
        console.print_json(
            [
                {
                    "name": each.name,
                    "title": each.title,
                    "group": each.group,
                    "weight": each.weight.value,
                    "targets": sorted(each.targets),
                    "production": each.production,
                    "asks": each.asks,
                }
                for each in chosen
            ]
        )
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("BOX", "GROUP", "WEIGHT", "WHERE", "WHAT IT ASKS"):
        table.add_column(title)
    for each in chosen:
        where = ", ".join(sorted(each.targets)) + ("; production" if each.production else "")
        table.add_row(each.name, each.group, each.weight.value, where, literal(each.asks))
    out.print(table)


def _show(answers: list[Answer]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    table.add_column("BOX", no_wrap=True)
    table.add_column("EVIDENCE", overflow="fold")
    table.add_column("WHAT TO DO", overflow="fold")
    group = ""
    for each in answers:
        if each.box.group != group:
            group = each.box.group
            table.add_row("", f"[bold]{group}[/]", "", "")
        state = each.finding.state
        advised = state is State.FAILED and each.box.weight is Weight.ADVISED
        word, colour = ("advised", "yellow") if advised else (WORDS[state], COLOURS[state])
        table.add_row(f"[{colour}]{word}[/]", each.box.name, literal(each.evidence), literal(each.fix))
    out.print(table, soft_wrap=False)
    _sum_up(answers)


def _sum_up(answers: list[Answer]) -> None:
    ticked = sum(each.finding.state is State.OK for each in answers)
    stopping = [each.box.name for each in answers if each.stops]
    advised = sum(not each.finding.ok and not each.stops for each in answers)
    left = sum(each.finding.state is State.NOT_APPLICABLE for each in answers)
    colour = "red" if stopping else "green"
    out.print(
        f"[bold {colour}]{ticked} ok, {len(stopping)} required not, {advised} advised not, {left} not asked here[/]"
        + (f": {', '.join(stopping)}" if stopping else "")
    )
