"""Figures in the page, between their marks."""

from pathlib import Path

import pytest

from bench import images
from bench.document import PLACES, put, rows, write
from bench.figures import against, limit
from bench.gateway.throughput import AGAIN, BARE
from bench.output import document
from ops.errors import OperationError
from ops.images import contents

BASE = limit(f"{BARE}; at once", 20_000.0, "requests/s")
OURS = against(BASE, f"{AGAIN}; at once", 6_000.0)


def test_a_row_tells_value_ratio_and_whether_the_promise_is_kept() -> None:
    assert rows([BASE, OURS])[2:] == [
        f"| {BASE.name} | 20,000 requests/s |  |  |  |",
        f"| {OURS.name} | 6,000 requests/s | 0.3 | {BASE.name} | ≥ 0.25 as a ratio: kept |",
    ]
    assert "**missed**" in rows([against(BASE, OURS.name, 1_000.0)])[-1]


def test_what_was_measured_takes_the_place_of_what_stood_there_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "figures.md"
    page.write_text("before\n<!-- bench-gateway -->\nold\n<!-- /bench-gateway -->\nafter\n", encoding="utf-8")
    (tmp_path / "gateway.json").write_text(document([BASE, OURS]), encoding="utf-8")
    for _ in range(2):
        write("gateway", tmp_path, page)

    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- bench-gateway -->\n| figure |")
    assert text.endswith("kept |\n<!-- /bench-gateway -->\nafter\n")
    assert "old" not in text


def test_a_page_without_a_place_and_a_benchmark_that_never_ran_are_told_of(tmp_path: Path) -> None:
    with pytest.raises(OperationError, match="no place"):
        put("nothing here", "gateway", [])
    with pytest.raises(OperationError, match="make bench-gateway"):
        write("gateway", tmp_path, tmp_path / "figures.md")


@pytest.mark.parametrize("name", list(PLACES))
def test_the_page_has_a_place_for_what_is_measured(name: str) -> None:
    assert put(PLACES[name].page.read_text(encoding="utf-8"), name, ["x"])


def test_each_image_has_a_row_of_its_size_and_start(tmp_path: Path) -> None:
    base, bare = limit(images.BASE, 100.0, "MiB"), limit(images.BARE, 200.0, "ms")
    figures = [base, bare]
    for name in contents.images():
        figures += [
            against(base, name, 150.0),
            limit(f"{name}, distributions", 50, "count"),
            against(bare, f"{name}, start", 900.0),
        ]
    found = images.rows(figures)
    assert found[2] == f"| {images.BASE} | 100 MiB | | | 200 ms | 1 |"
    assert "| payments | 150 MiB | 50 MiB | 50 | 900 ms | 4.5 |" in found
    assert len(found) == 3 + len(contents.images())
