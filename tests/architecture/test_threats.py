"""The threat models speak of the platform as it is: every group of routes is covered, and every test that they name exists."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.architecture.declared import folders, services
from tests.architecture.source import ROOT

THREATS = ROOT / "docs" / "threats"
GATEWAY = "gateway"
STRIDE = ("Spoofing", "Tampering", "Repudiation", "Information", "Denial", "Elevation")
ROW = re.compile(r"^\| (\w+) \| (.+?) \| (.+?) \| (.+) \|$", re.MULTILINE)
NODE = re.compile(r"`([\w./-]+\.py)::(\w+)`")
DEEP = {"auth", "oauth", "admin"}
"""First parts of a path below which the second one names the group."""
MODELS = sorted([*folders(), GATEWAY])


def groups(paths: list[str]) -> set[str]:
    """What paths are about: their first part below the interface, or the first two."""
    found = set()
    for path in paths:
        parts = path.removeprefix("/api/v1").strip("/").split("/")
        found.add("/".join(parts[:2]) if parts[0] in DEEP and len(parts) > 1 else parts[0])
    return found


def uncovered(text: str, paths: list[str]) -> set[str]:
    """Groups of routes that a page does not name."""
    return {group for group in groups(paths) if f"`{group}`" not in text}


@cache
def known_tests(file: str) -> frozenset[str]:
    """Names of the tests in a file; none when there is no such file."""
    path = ROOT / file
    if not path.is_file():
        return frozenset()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


def faults(text: str) -> list[str]:
    """Rows that no test holds, tests that do not exist, and letters of STRIDE that are missing."""
    rows = [row for row in ROW.findall(text) if row[0] in STRIDE]
    found = [f"{kind} is not covered" for kind in STRIDE if kind not in {row[0] for row in rows}]
    for kind, threat, _mitigation, held_by in rows:
        nodes = NODE.findall(held_by)
        if not nodes:
            found.append(f"{kind}: {threat} No test holds it")
        found += [f"{file}::{name} does not exist" for file, name in nodes if name not in known_tests(file)]
    return found


def page(name: str) -> str:
    return (THREATS / f"{name}.md").read_text(encoding="utf-8")


def test_every_service_and_the_gateway_have_a_model_and_nothing_else() -> None:
    assert sorted(path.stem for path in THREATS.glob("*.md") if path.stem != "README") == MODELS
    assert [name for name in MODELS if f"({name}.md)" not in page("README")] == []


@pytest.mark.parametrize("name", MODELS)
def test_every_mitigation_is_held_by_a_test_that_exists(name: str) -> None:
    assert faults(page(name)) == []


@pytest.mark.parametrize("service", services(), ids=lambda service: service.name)
def test_every_group_of_routes_is_covered(service: object) -> None:
    declared = [route.path for route in service.declared_routes]  # type: ignore[attr-defined]
    assert uncovered(page(service.name), declared) == set()  # type: ignore[attr-defined]


def test_a_new_group_of_routes_is_noticed() -> None:
    assert uncovered("Covers `films`.", ["/api/v1/films/{id}", "/api/v1/auth/wonders/{id}"]) == {"auth/wonders"}


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("| Spoofing | Wonders. | None. | hope |", "Spoofing: Wonders. No test holds it"),
        ("| Spoofing | Wonders. | None. | `services/auth/tests/test_wonders.py::test_wonder` |", "does not exist"),
        ("| Spoofing | Wonders. | None. | `services/auth/tests/test_domain.py::test_wonder` |", "test_wonder does not exist"),
    ],
)
def test_a_mitigation_that_nothing_holds_is_noticed(row: str, fault: str) -> None:
    assert any(fault in found for found in faults(row))
    assert "Tampering is not covered" in faults(row)


def test_paths_of_tests_are_files_here(tmp_path: Path) -> None:
    assert known_tests("tests/architecture/test_threats.py")
    assert not known_tests(str(tmp_path / "nothing.py"))
