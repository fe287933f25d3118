"""`python -m bench.document NAME`: write what was measured last into its place in the documents."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from bench import images
from bench.cluster import TARGETS as CLUSTER
from bench.figures import Figure
from bench.gateway.targets import TARGETS as GATEWAY
from bench.output import number
from bench.targets import Target
from ops.command_line import told
from ops.errors import OperationError
from ops.settings import ROOT

DOCUMENTS = ROOT / "docs"
FOLDER = ROOT / ".local" / "bench"
TARGETS: dict[str, Sequence[Target]] = {"gateway": GATEWAY, "brokers": CLUSTER, "databases": CLUSTER, "gateways": CLUSTER}
"""What was promised of the figures in the page."""
HEAD = ["| figure | value | ratio | to | promised |", "|---|---|---|---|---|"]


def rows(figures: Sequence[Figure]) -> list[str]:
    """A Markdown table, with what was promised and whether it is kept."""
    return [*HEAD, *(_row(each) for each in figures)]


def _row(figure: Figure) -> str:
    targets = (each for kind in TARGETS.values() for each in kind)
    target = next((each for each in targets if figure.name.startswith(each.figure)), None)
    promised = f"{target}: {'kept' if target.met(figure) else '**missed**'}" if target else ""
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2g}"
    cells = (figure.name, f"{number(figure.value)} {figure.unit}", ratio, figure.ratio_to or "", promised)
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def put(page: str, name: str, table: Sequence[str]) -> str:
    """The page with this table between its marks. Raises OperationError when it has none."""
    begin, end = f"<!-- bench-{name} -->", f"<!-- /bench-{name} -->"
    found = re.search(f"{re.escape(begin)}.*?{re.escape(end)}", page, re.DOTALL)
    if not found:
        raise OperationError(f"The page has no place for it: write {begin} and {end} where the table belongs.")
    return page[: found.start()] + "\n".join((begin, *table, end)) + page[found.end() :]


@dataclass(frozen=True)
class Place:
    """Where the figures of a benchmark stand, and in which form."""

    page: Path
    rows: Callable[[Sequence[Figure]], list[str]]


PLACES = {name: Place(DOCUMENTS / "figures.md", rows) for name in TARGETS} | {
    "images": Place(DOCUMENTS / "images.md", images.rows)
}


def write(name: str, folder: Path = FOLDER, page: Path | None = None) -> None:
    """Raises OperationError when nothing was measured or there is no place for it."""
    place = PLACES[name]
    page = page or place.page
    document = folder / f"{name}.json"
    if not document.exists():
        raise OperationError(f"Nothing was measured yet: make bench-{name}")
    figures = [Figure(**each) for each in json.loads(document.read_text(encoding="utf-8"))]
    page.write_text(put(page.read_text(encoding="utf-8"), name, place.rows(figures)), encoding="utf-8")


@click.command()
@click.argument("name", type=click.Choice(list(PLACES)))
@told
def main(name: str) -> None:
    """Write what `make bench-NAME` measured last into its page below docs/."""
    write(name)


if __name__ == "__main__":
    main()
