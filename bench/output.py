"""What a benchmark leaves: a table to read, a document for machines, a plot to look at."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree as ET

from rich.table import Table

from bench.figures import Figure, significant

WIDTH, NAME_WIDTH, BAR_WIDTH = 900, 400, 300
ROW_HEIGHT, BAR_HEIGHT, TEXT_DROP = 26, 16, 13
MARGIN = 20
LIMIT_COLOUR, COLOUR, INK = "#b8b8b8", "#2f6f9f", "#222222"


def table(title: str, figures: Sequence[Figure]) -> Table:
    """The figures for people; a ratio names the line that it refers to."""
    lines = {each.name: str(number) for number, each in enumerate(figures, start=1)}
    shown = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="bold")
    for heading, justify in (("", "right"), ("FIGURE", "left"), ("VALUE", "right"), ("UNIT", "left"), ("RATIO", "left")):
        shown.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for each in figures:
        ratio = "" if each.ratio is None else f"{number(each.ratio)} of {lines[str(each.ratio_to)]}"
        shown.add_row(lines[each.name], each.name, number(each.value), each.unit, ratio, style=None if ratio else "dim")
    return shown


def document(figures: Sequence[Figure]) -> str:
    """The figures for machines: a JSON array of `name`, `value`, `unit`, `ratio_to`, `ratio`."""
    rows = [
        asdict(each) | {"value": significant(each.value), "ratio": each.ratio and significant(each.ratio)} for each in figures
    ]
    return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"


def plot(title: str, figures: Sequence[Figure]) -> str:
    """The figures as bars (SVG 1.1). Each unit has a scale of its own; what others are compared with is grey."""
    groups = [(unit, list(members)) for unit, members in groupby(figures, key=lambda each: each.unit)]
    rows = len(figures) + len(groups) + 1
    picture = ET.Element("svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDTH} {rows * ROW_HEIGHT + 2 * MARGIN}")
    picture.set("font-family", "sans-serif")
    picture.set("font-size", "13")
    ET.SubElement(picture, "rect", width="100%", height="100%", fill="#ffffff")
    top = MARGIN
    _text(picture, title, MARGIN, top).set("font-weight", "bold")
    for unit, members in groups:
        top += ROW_HEIGHT
        _text(picture, unit, MARGIN + NAME_WIDTH, top).set("font-style", "italic")
        largest = max(each.value for each in members) or 1.0
        for each in members:
            top += ROW_HEIGHT
            _bar(picture, each, largest, top)
    ET.indent(picture)
    return ET.tostring(picture, encoding="unicode") + "\n"


def _bar(picture: ET.Element, figure: Figure, largest: float, top: float) -> None:
    length = max(1.0, BAR_WIDTH * figure.value / largest)
    left = MARGIN + NAME_WIDTH
    _text(picture, figure.name, MARGIN, top)
    colour = LIMIT_COLOUR if figure.ratio is None else COLOUR
    ET.SubElement(picture, "rect", x=str(left), y=str(top), width=f"{length:.1f}", height=str(BAR_HEIGHT), fill=colour)
    ratio = "" if figure.ratio is None else f"  (× {number(figure.ratio)})"
    _text(picture, number(figure.value) + ratio, left + length + 8, top)


def _text(picture: ET.Element, text: str, left: float, top: float) -> ET.Element:
    element = ET.SubElement(picture, "text", x=f"{left:.1f}", y=f"{top + TEXT_DROP:.1f}", fill=INK)
    element.text = text
    return element


def write(folder: Path, name: str, title: str, figures: Sequence[Figure]) -> Path:
    """Write `NAME.json` and `NAME.svg`; returns the path of the document."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.svg").write_text(plot(title, figures), encoding="utf-8")
    path = folder / f"{name}.json"
    path.write_text(document(figures), encoding="utf-8")
    return path


def number(value: float) -> str:
    """As people read it: four digits, thousands kept apart."""
    if value >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.4g}"
