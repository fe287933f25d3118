"""Cut a release: a commit that states the version and its changes, and a tag on it. Nothing is pushed."""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from ops.errors import OperationError
from ops.release import versions

MAIN: Final = "main"
CHECKS: Final = (("make", "check"), ("make", "test"))
"""What has to be green; in this order, the quick one first."""
PROJECT: Final = "pyproject.toml"
CHANGELOG: Final = "CHANGELOG.md"
LINES_SHOWN: Final = 30


@dataclass(frozen=True)
class Plan:
    """What a release would do to this checkout."""

    current: str
    version: str
    notes: str
    base: str
    """The commit that it is cut from."""

    @property
    def tag(self) -> str:
        """The name of the tag."""
        return f"v{self.version}"


class Checkout:
    """A git checkout of the repository. Every failure is an OperationError that says what to do."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def git(self, *words: str, told: str | None = None) -> str:
        """What git says; `told` is what is given to it."""
        command = ["git", "-C", str(self.root), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, input=told)
        if done.returncode != 0:
            raise OperationError(f"git {words[0]} failed.", details=done.stderr.strip() or done.stdout.strip())
        return done.stdout.strip()

    def plan(self, wanted: str) -> Plan:
        """What would be released; refuses what must not be. Changes nothing."""
        branch = self.git("rev-parse", "--abbrev-ref", "HEAD")
        if branch != MAIN:
            raise OperationError(f"Releases are cut on {MAIN}; this is {branch}. `git switch {MAIN}` first.")
        if changed := self.git("status", "--porcelain"):
            raise OperationError("The checkout has changes. Commit or stash them, then repeat.", details=changed)
        current = versions.stated_version(self._read(PROJECT))
        version = versions.next_version(current, wanted)
        if self.git("tag", "--list", f"v{version}"):
            raise OperationError(f"The tag v{version} is there already. Choose a higher version.")
        return Plan(current, version, versions.notes(self._read(CHANGELOG)), self.git("rev-parse", "HEAD"))

    def check(self, commands: Sequence[Sequence[str]] = CHECKS, tell: Callable[[str], None] = lambda _: None) -> None:
        """Run what has to be green. Raises OperationError with the end of what the first failure says."""
        for command in commands:
            tell(" ".join(command))
            done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                said = (done.stdout + done.stderr).strip().splitlines()
                raise OperationError(
                    f"`{' '.join(command)}` is not green; nothing was changed.", details="\n".join(said[-LINES_SHOWN:])
                )

    def cut(self, plan: Plan, day: date) -> str:
        """Commit version and changelog and tag the commit; returns its name. What was begun is undone when it fails."""
        if self.git("rev-parse", "HEAD") != plan.base or self.git("status", "--porcelain"):
            raise OperationError("The checkout changed while it was checked. Repeat the release.")
        project, changelog = self._read(PROJECT), self._read(CHANGELOG)
        try:
            self._write(PROJECT, versions.with_version(project, plan.version))
            self._write(CHANGELOG, versions.released(changelog, plan.version, day))
            self.git("commit", "--quiet", "--message", f"Release {plan.version}", "--", PROJECT, CHANGELOG)
            self.git("tag", "--annotate", "--cleanup=verbatim", "--file=-", plan.tag, told=f"{plan.version}\n\n{plan.notes}")
        except OperationError:
            # Nothing else was there to lose: the checkout was clean, and its base is known.
            self.git("reset", "--quiet", "--hard", plan.base)
            raise
        return self.git("rev-parse", "HEAD")

    def _read(self, name: str) -> str:
        return (self.root / name).read_text(encoding="utf-8")

    def _write(self, name: str, text: str) -> None:
        (self.root / name).write_text(text, encoding="utf-8")
