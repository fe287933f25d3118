"""The code of a former commit, laid out beside today's, and its own tests on a schema that today's code made."""

import io
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from libs.common.config import process_environment

PLUGIN: Final = "todays_schema"
REVISIONS: Final = "services/*/migrations/versions/*.py"
PATIENCE_SECONDS: Final = 900
TODAYS_SCHEMA: Final = '''"""Lets today's code migrate, in a process of its own, wherever the former code would."""

import subprocess
import sys

import pytest

from libs.common.testing import harness

TODAY = {today!r}
MIGRATE = """
import sys
from importlib import import_module
from libs.common.db import migrate
service, url = sys.argv[1:]
migrate(service, url, import_module(f"services.{{service}}.app").service.metadata)
"""


def migrate_as_today(service, url, _metadata):
    environ = {{**harness.process_environment(), "PYTHONPATH": TODAY}}
    done = subprocess.run(
        [sys.executable, "-c", MIGRATE, service, url], cwd=TODAY, env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.exit(f"Today's migrations fail: {{done.stderr[-2000:]}}", returncode=70)


harness.migrate = migrate_as_today
'''
"""A plugin of pytest, for the former code's own tests."""


@dataclass(frozen=True, slots=True)
class Former:
    """A former commit, why it matters, and the services whose schema has changed since."""

    commit: str
    why: str
    services: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.why} ({self.commit[:10]})"


def former_commits(root: Path) -> list[Former]:
    """The last release, and what stood before the newest migration; as far as there is history, and a schema changed since."""
    found = list[Former]()
    if release := git(root, "describe", "--tags", "--abbrev=0", "--match", "v*"):
        found.append(Former(release, "the last release", changed_since(root, release)))
    newest = git(root, "log", "--diff-filter=A", "--format=%H", "--max-count=1", "--", REVISIONS)
    if newest and (before := git(root, "rev-parse", "--verify", "--quiet", f"{newest}^")):
        found.append(Former(before, "before the newest migration", changed_since(root, before)))
    first = {git(root, "rev-parse", f"{each.commit}^{{commit}}"): each for each in reversed(found)}
    return [each for each in first.values() if each.services]


def changed_since(root: Path, commit: str) -> tuple[str, ...]:
    """Services that were there and have further migrations now."""
    then = git(root, "ls-tree", "-d", "--name-only", commit, "services/").splitlines()
    changed = git(root, "diff", "--diff-filter=A", "--name-only", commit, "--", REVISIONS).splitlines()
    return tuple(sorted({path.split("/")[1] for path in changed} & {path.rpartition("/")[2] for path in then}))


def lay_out(root: Path, commit: str, target: Path) -> None:
    """The tree of a commit as files."""
    command = ["git", "-C", str(root), "archive", commit]
    packed = subprocess.run(command, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(target, filter="data")


def run_its_tests(former: Path, today: Path, tests: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """The former code's own tests, on what today's code makes of the database; the servers stand in the environment."""
    (former / f"{PLUGIN}.py").write_text(TODAYS_SCHEMA.format(today=str(today)), encoding="utf-8")
    kept = {name: value for name, value in process_environment().items() if not name.startswith(("PYTEST_", "LUMIERE_"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-m", "not long and not platform", "-p", PLUGIN, *tests],
        cwd=former,
        env={**kept, "PYTHONPATH": str(former)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )


def git(root: Path, *words: str) -> str:
    """What git says; nothing where it has nothing to say."""
    command = ["git", "-C", str(root), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
