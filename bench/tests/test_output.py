"""The table, the document and the plot."""

import json
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree as ET

from rich.console import Console

from bench.figures import Figure, against, limit
from bench.output import BAR_WIDTH, COLOUR, LIMIT_COLOUR, document, plot, table, write

BASE = limit("RabbitMQ <alone> & bare", 12_345.6, "events/s")
OURS = against(BASE, "relay", 6_172.8)
SLOW = limit("commit", 2.5, "ms")
FIGURES: list[Figure] = [BASE, OURS, SLOW]
SVG = "{http://www.w3.org/2000/svg}"


def test_the_document_has_the_five_members_of_each_figure() -> None:
    read = json.loads(document(FIGURES))
    assert [set(each) for each in read] == [{"name", "value", "unit", "ratio_to", "ratio"}] * 3
    assert read[1] == {"name": "relay", "value": 6173.0, "unit": "events/s", "ratio_to": BASE.name, "ratio": 0.5}


def test_the_table_shows_every_figure_with_its_ratio() -> None:
    console = Console(file=StringIO(), width=120)
    console.print(table("bus", FIGURES))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    line = next(each for each in shown.splitlines() if "relay" in each)
    assert line.split() == ["2", "relay", "6,173", "events/s", "0.5", "of", "1"]
    assert "2.5" in shown


def bars(figures: list[Figure]) -> list[ET.Element]:
    picture = ET.fromstring(plot("bus", figures))  # noqa: S314 - written by the line itself
    return [each for each in picture.iter(f"{SVG}rect") if each.get("fill") in {COLOUR, LIMIT_COLOUR}]


def test_the_plot_scales_each_unit_by_its_largest_figure() -> None:
    base, ours, slow = (float(str(bar.get("width"))) for bar in bars(FIGURES))
    assert (base, slow) == (BAR_WIDTH, BAR_WIDTH)
    assert abs(ours - BAR_WIDTH / 2) < 1


def test_the_plot_shows_limits_in_grey() -> None:
    assert [bar.get("fill") for bar in bars(FIGURES)] == [LIMIT_COLOUR, COLOUR, LIMIT_COLOUR]


def test_names_in_the_plot_are_text_and_never_markup() -> None:
    picture = ET.fromstring(plot("<script>", FIGURES))  # noqa: S314 - written by the line itself
    texts = [each.text for each in picture.iter(f"{SVG}text")]
    assert {"<script>", BASE.name} <= set(texts)


def test_document_and_plot_stand_beside_each_other(tmp_path: Path) -> None:
    path = write(tmp_path / "bench", "bus", "The bus", FIGURES)
    assert path.name == "bus.json"
    assert json.loads(path.read_text(encoding="utf-8"))[0]["name"] == BASE.name
    assert (tmp_path / "bench" / "bus.svg").read_text(encoding="utf-8").startswith("<svg")
