"""The degradation matrix is complete, and the tests that it names exist."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.architecture.source import ROOT

PAGE = ROOT / "docs" / "degradation.md"
COLUMNS = ["what", "missing at start", "lost while running", "what people see", "tests"]
WAYS = ("start", "running")
NODE = re.compile(r"`([^`]+\.py::[^`]+)`")
NONE = re.compile(r"none, because .{20,}")
WANTED = (
    *("DATABASE_URL", "AUTH_SECRET", "Postgres", "RabbitMQ", "Redis", "Resend"),
    *("Stripe's key", "webhook secret", "CRON_SECRET", "Anthropic", "bucket", "Sentry"),
)
"""What the matrix speaks of, in its order."""


@dataclass(frozen=True)
class Row:
    """One row: what it is about, and by way of missing it what its last column says."""

    what: str
    told: dict[str, str]
    ways: dict[str, str]


def rows(text: str) -> list[Row]:
    """The rows of the page's table. Raises ValueError when it has other columns."""
    lines = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line] for line in lines]
    if not cells or cells[0] != COLUMNS or any(len(line) != len(COLUMNS) for line in cells):
        raise ValueError(f"the table has the columns {' | '.join(COLUMNS)}")
    return [_row(line) for line in cells[1:]]


def _row(line: list[str]) -> Row:
    parts = [part.partition(": ") for part in line[4].split("<br>")]
    return Row(line[0], {"start": line[1], "running": line[2]}, {name: rest for name, _, rest in parts})


def faults(row: Row, root: Path) -> list[str]:
    """What is wrong with a row."""
    found = [f"{row.what}: says nothing of the way {way!r}" for way in WAYS if way not in row.ways]
    for way, said in row.ways.items():
        nodes = NODE.findall(said)
        if not nodes and not NONE.fullmatch(said):
            found.append(f"{row.what}: names no test for {way!r}, and no reason")
        if bool(nodes) is (row.told[way] == "–"):
            found.append(f"{row.what}: what is told of {way!r} does not fit its tests")
        found += [f"{row.what}: there is no test {node}" for node in nodes if not exists(node, root)]
    return found


def exists(node: str, root: Path) -> bool:
    """Whether a test of this node id is written."""
    path, *names = node.split("::")
    if not (root / path).is_file():
        return False
    scope: list[ast.stmt] = ast.parse((root / path).read_text(encoding="utf-8")).body
    for name in names:
        named = [each for each in scope if isinstance(each, ast.ClassDef | ast.FunctionDef) and each.name == name]
        if not named:
            return False
        scope = named[0].body
    return names[-1].startswith("test_")


@pytest.mark.parametrize("row", rows(PAGE.read_text(encoding="utf-8")), ids=lambda row: row.what[:30])
def test_every_row_is_tested_both_ways_or_says_why_there_is_no_such_way(row: Row) -> None:
    assert faults(row, ROOT) == []


def test_no_row_is_missing() -> None:
    found = [row.what for row in rows(PAGE.read_text(encoding="utf-8"))]
    assert [part for part, what in zip(WANTED, found, strict=True) if part not in what] == []


@pytest.mark.parametrize(
    ("tests", "fault"),
    [
        ("start: `tests/a.py::test_a`", "says nothing of the way 'running'"),
        ("start: `tests/a.py::test_a`<br>running: none", "no reason"),
        ("start: `tests/a.py::test_b`<br>running: `tests/a.py::test_a`", "there is no test tests/a.py::test_b"),
        ("start: `tests/b.py::test_a`<br>running: `tests/a.py::test_a`", "there is no test tests/b.py::test_a"),
        ("start: `tests/a.py::helper`<br>running: `tests/a.py::test_a`", "there is no test tests/a.py::helper"),
        ("start: `tests/a.py::test_a`<br>running: none, because it was so much work", "does not fit its tests"),
    ],
)
def test_a_row_that_promises_too_much_is_noticed(tests: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "a.py").write_text("def test_a(): ...\ndef helper(): ...\n")
    (row,) = rows(f"| {' | '.join(COLUMNS)} |\n|---|\n| Planted | gone | lost | nothing | {tests} |\n")
    assert any(fault in each for each in faults(row, tmp_path))


def test_another_table_is_noticed() -> None:
    with pytest.raises(ValueError, match="the table has the columns"):
        rows("| what | tests |\n|---|---|\n| a | b |\n")
