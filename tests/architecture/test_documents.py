"""The documents speak of the repository as it is."""

import re
import tomllib
from pathlib import Path

import pytest

from ops.cli import main
from tests.architecture.declared import folders
from tests.architecture.source import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
HEADINGS = ["## Context", "## Decision", "## Consequences", "## Enforced by"]
LINK = re.compile(r"\]\((?!https?://|mailto:|#)([^)#\s]+)")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
NAME = re.compile(r"^[A-Za-z0-9._-]+")


def broken_links(document: Path) -> list[str]:
    """Relative links that lead nowhere."""
    prose = CODE.sub("", document.read_text(encoding="utf-8"))
    return [target for target in LINK.findall(prose) if not (document.parent / target).exists()]


def explained() -> set[str]:
    """The libraries that the page on dependencies explains."""
    lines = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8").splitlines()
    rows = [line.split("|")[1] for line in lines if line.startswith("| ") and not line.startswith("| library")]
    return {name.strip() for row in rows for name in row.split(",")}


def declared() -> set[str]:
    """The libraries that pyproject.toml declares."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = [*project["dependencies"], *(each for group in project["optional-dependencies"].values() for each in group)]
    return {found[0] for each in requirements if (found := NAME.match(each))}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    assert broken_links(document) == []


def test_a_broken_link_is_noticed(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("[here](a.md) [there](b.md#part) [out](https://example.org/b.md) [in](#part)")
    assert broken_links(document) == ["b.md"]


def test_every_dependency_is_explained_and_nothing_else() -> None:
    assert explained() == declared()


def test_the_readme_names_every_service() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in sorted(folders()) if f"services/{name}" not in readme] == []


def unknown_commands(text: str) -> set[str]:
    """Commands in a text, `make …` and `lumiere …`, that do not exist."""
    code = "\n".join(CODE.findall(text))
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    made = {
        f"make {target}" for line in re.findall(r"\bmake ([a-z -]+)", code) for target in line.split() if target not in targets
    }
    return made | {f"lumiere {name}" for name in re.findall(r"\blumiere ([a-z]+)", code) if name not in main.commands}


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_the_commands_that_newcomers_are_told_exist(name: str) -> None:
    assert unknown_commands((ROOT / name).read_text(encoding="utf-8")) == set()


def test_a_command_that_does_not_exist_is_noticed() -> None:
    assert unknown_commands("Use `make wonders` or `lumiere wonder`, not `make up test`.") == {"make wonders", "lumiere wonder"}


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_has_its_four_parts(decision: Path) -> None:
    text = decision.read_text(encoding="utf-8")
    assert text.startswith(f"# {decision.name[:4]} · ")
    assert re.findall(r"^## .*$", text, re.MULTILINE) == HEADINGS


def test_decisions_are_numbered_without_gaps_and_all_listed() -> None:
    listed = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    assert [int(path.name[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    assert [path.name for path in DECISIONS if f"({path.name})" not in listed] == []
