"""`python -m ops.audit`: what others know of our dependencies, and what analysis says of our code."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click
from rich.table import Table

from ops import console, locked
from ops.audit import advisories, analysis, licences, manifests
from ops.audit.outcome import Outcome, State, exit_code
from ops.command_line import json_option, told
from ops.console import literal, out
from ops.errors import OperationError
from ops.settings import ROOT

PLACE: Final = Path(".local/audit")
TOOLS: Final = ("audit", "semgrep")
"""The environments of the audit's programs, each by the name of its lock in requirements/."""
SHOWN_MAX: Final = 40
"""Lines shown of one part; `--json` has them all."""
COLOURS: Final = {State.PASSED: "green", State.FAILED: "red", State.NOT_CHECKED: "yellow"}

Programs = dict[str, Path]
Part = Callable[[Path, Programs], Outcome]

PARTS: Final[dict[str, Part]] = {
    "advisories": lambda root, programs: advisories.audit(root, programs["audit"]),
    "licences": licences.audit,
    "bandit": lambda root, programs: analysis.bandit(root, programs["audit"]),
    "semgrep": lambda root, programs: analysis.semgrep(root, programs["semgrep"]),
    "rules": lambda root, programs: analysis.semgrep_rules(root, programs["semgrep"]),
    "workflows": lambda root, programs: analysis.workflows(root, programs["audit"]),
    "manifests": lambda root, programs: manifests.manifests(root, programs["audit"]),
}


@click.command(name="audit")
@click.argument("names", nargs=-1, type=click.Choice(list(PARTS)), metavar=f"[{'|'.join(PARTS)}]…")
@json_option
@told
def command(names: tuple[str, ...], as_json: bool) -> None:
    """Ask about known vulnerabilities, licences, insecure code, insecure workflows and
    what orchestrators would refuse; all of it, or the parts named.

    Exit code 0: all was asked and is well. 1: something was found. 3: nothing was found, but not everything could be asked
    (no registry in reach, for example); it says what and why.
    """
    outcomes = run(ROOT, names or tuple(PARTS))
    if as_json:
        console.print_json(
            [{"name": e.name, "state": e.state, "evidence": e.evidence, "lines": list(e.lines)} for e in outcomes]
        )
    else:
        out.print(_table(outcomes))
        for each in outcomes:
            _show_lines(each)
    sys.exit(exit_code(outcomes))


def run(root: Path, names: tuple[str, ...]) -> list[Outcome]:
    """Each named part, in order; a part whose programs cannot be installed was not checked."""
    try:
        programs = {name: _installed(root, name) for name in TOOLS}
    except OperationError as error:
        return [Outcome(name, State.NOT_CHECKED, str(error)) for name in names]
    outcomes = []
    for name in names:
        with console.step(f"Auditing {name}"):
            outcomes.append(PARTS[name](root, programs))
    return outcomes


def _installed(root: Path, name: str) -> Path:
    lock, place = root / "requirements" / f"{name}.lock", root / PLACE / name
    with console.step(f"Programs of requirements/{name}.lock, in {PLACE / name}", quiet_below=2):
        return locked.installed(lock, place)


def _table(outcomes: list[Outcome]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("PART", "STATE", "EVIDENCE"):
        table.add_column(title)
    for each in outcomes:
        table.add_row(each.name, f"[{COLOURS[each.state]}]{each.state}[/]", literal(each.evidence))
    return table


def _show_lines(outcome: Outcome) -> None:
    if outcome.state is State.NOT_CHECKED and len(outcome.lines) > SHOWN_MAX:
        out.print(f"[dim]{outcome.name}: {len(outcome.lines)} lines more with --json[/]")
        return
    for line in outcome.lines[:SHOWN_MAX]:
        out.print(f"  {outcome.name}: {literal(line)}")
    if left := outcome.lines[SHOWN_MAX:]:
        out.print(f"  [dim]{outcome.name}: {len(left)} more with --json[/]")
