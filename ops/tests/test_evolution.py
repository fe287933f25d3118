"""An event that was published stays as it was or grows, whatever became of its golden file."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ops.checks import evolution
from ops.settings import ROOT

FOLDER = Path("services") / "studio" / "tests" / "golden"
TYPE = "studio.reel.cut"


def golden(version: int = 1, **fields: str) -> dict[str, Any]:
    """A golden file's content; `fields` are names and types."""
    properties = {name: {"type": kind} for name, kind in fields.items()}
    schema = {"type": "object", "properties": properties, "required": sorted(properties)}
    return {"type": TYPE, "version": version, "aggregate": "reel_id", "schema": schema}


class Repository:
    """A repository with one published event."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "--quiet", "--initial-branch=main")
        self.write(golden(reel_id="string", number="integer"))
        self.commit()

    def git(self, *words: str) -> None:
        """Run git as somebody."""
        somebody = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", str(self.root), *somebody, *words]
        subprocess.run(command, check=True, capture_output=True)

    def commit(self) -> None:
        """Keep everything as it is."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "A change")

    def path(self, version: int = 1) -> Path:
        """Where a golden file stands."""
        return self.root / FOLDER / f"{TYPE}.v{version}.json"

    def write(self, document: dict[str, Any]) -> None:
        """Write a golden file."""
        path = self.path(document["version"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document), encoding="utf-8")

    def faults(self) -> str:
        """What the check says."""
        return evolution.faults(self.root)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


Change = Callable[[Repository], None]


def remove_event(repository: Repository) -> None:
    repository.path().unlink()


def remove_field(repository: Repository) -> None:
    repository.path().unlink()
    repository.write(golden(reel_id="string"))


def change_type(repository: Repository) -> None:
    repository.write(golden(reel_id="string", number="string"))


BREAKS: dict[str, tuple[Change, str]] = {
    "a removed event": (remove_event, "was published and is gone"),
    "a golden file deleted and written anew without a field": (remove_field, "number: removed"),
    "a changed type": (change_type, "number: type changed"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_break_is_noticed_before_it_is_committed(repository: Repository, name: str) -> None:
    change, complaint = BREAKS[name]

    change(repository)

    assert complaint in repository.faults()


@pytest.mark.parametrize("name", BREAKS)
def test_a_break_is_noticed_on_a_branch_however_many_commits_ago(repository: Repository, name: str) -> None:
    change, complaint = BREAKS[name]
    repository.git("switch", "--quiet", "--create", "branch")
    change(repository)
    for _ in range(3):
        repository.commit()

    assert complaint in repository.faults()


@pytest.mark.parametrize("name", BREAKS)
def test_a_break_since_the_last_release_is_noticed_on_main(repository: Repository, name: str) -> None:
    change, complaint = BREAKS[name]
    repository.git("tag", "v1.0.0")
    change(repository)
    for _ in range(3):
        repository.commit()

    assert complaint in repository.faults()


def test_an_addition_is_fine(repository: Repository) -> None:
    repository.write(golden(reel_id="string", number="integer", colour="string"))
    repository.write({**golden(), "type": "studio.reel.burnt", "version": 2})

    assert repository.faults() == ""


def test_an_event_may_go_once_its_next_version_is_published(repository: Repository) -> None:
    repository.write(golden(version=2, reel_id="string", number="string"))
    repository.path().unlink()

    assert repository.faults() == ""


def test_without_a_history_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    assert evolution.bases(tmp_path) == []
    assert evolution.faults(tmp_path) == ""


def test_the_events_of_this_repository_only_grew() -> None:
    assert evolution.faults(ROOT) == ""
