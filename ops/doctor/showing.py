"""How people see the checklist: a line a box with what was seen, and below it what to do."""

from typing import Any, Final

from rich.table import Table

from ops import console
from ops.bus.members import print_table
from ops.console import err, literal, out
from ops.doctor.box import Box, State, Weight
from ops.doctor.examination import Answer

COLOURS: Final = {State.OK: "green", State.FAILED: "red", State.NOT_APPLICABLE: "dim", State.NOT_EXAMINED: "yellow"}
MARKS: Final = {State.OK: "✓ ok", State.FAILED: "✗ FAILED", State.NOT_APPLICABLE: "– not asked", State.NOT_EXAMINED: "? UNSEEN"}
ADVISED: Final = "! advised"


class Progress:
    """Counts the boxes that have answered, on a terminal."""

    def __init__(self, total: int, *, shown: bool) -> None:
        self._total, self._shown, self._told = total, shown, 0

    def __call__(self, answer: Answer) -> None:
        """One more box has answered."""
        self._told += 1
        if self._shown:
            ending = "\n" if self._told == self._total else "\r"
            err.print(f"[dim]{self._told}/{self._total} boxes: {answer.box.name:<32}[/]", end=ending)


def show(answers: list[Answer]) -> None:
    """The findings, group by group, and how many of each."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    group = ""
    for each in answers:
        if each.box.group != group:
            group = each.box.group
            table.add_row(f"[bold]{group}[/]")
        mark, colour = _mark(each)
        table.add_row(f"[{colour}]{mark}[/]", each.box.name, literal(each.finding.evidence))
        if each.fix:
            table.add_row("", "", f"[dim]→[/] {literal(each.fix)}")
    _print(table)
    _sum_up(answers)


def _mark(answer: Answer) -> tuple[str, str]:
    state = answer.finding.state
    if state is State.FAILED and answer.box.weight is Weight.ADVISED:
        return ADVISED, "yellow"
    return MARKS[state], COLOURS[state]


def _sum_up(answers: list[Answer]) -> None:
    ticked = sum(each.finding.state is State.OK for each in answers)
    stopping = [each.box.name for each in answers if each.stops]
    advised = sum(not each.finding.ok and not each.stops for each in answers)
    left = sum(each.finding.state is State.NOT_APPLICABLE for each in answers)
    colour = "red" if stopping else "green"
    words = f"{ticked} ok, {len(stopping)} required not, {advised} advised not, {left} not asked here"
    out.print(f"[bold {colour}]{words}[/]" + (f": {', '.join(stopping)}" if stopping else ""))


def show_list(chosen: list[Box], as_json: bool) -> None:
    """What each box asks."""
    if as_json:
        console.print_json([_described(each) for each in chosen])
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("BOX", "GROUP", "WEIGHT", "FROM", "WHAT IT ASKS"):
        table.add_column(title, no_wrap=title != "WHAT IT ASKS", overflow="fold")
    for each in chosen:
        asked = f"{each.weight.value}{' in production' if each.production else ''}"
        table.add_row(each.name, each.group, asked, ", ".join(sorted(each.targets)), literal(each.asks))
    _print(table)


def _print(table: Table) -> None:
    if out.is_terminal:
        out.print(table, soft_wrap=False)
    else:
        print_table(table)


def _described(each: Box) -> dict[str, Any]:
    return {
        "name": each.name,
        "title": each.title,
        "group": each.group,
        "weight": each.weight.value,
        "targets": sorted(each.targets),
        "production": each.production,
        "asks": each.asks,
        "fix": each.fix,
    }
