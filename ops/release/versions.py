"""Versions and the changelog: what the next number is, and how `Unreleased` becomes a release. Pure."""

import re
from datetime import date
from typing import Final

from ops.errors import OperationError

VERSION: Final = re.compile(r"(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})", re.ASCII)
PARTS: Final = ("major", "minor", "patch")
_STATED: Final = re.compile(r'^version = "([^"]*)"$', re.MULTILINE)
_UNRELEASED: Final = re.compile(r"^## Unreleased[ ]*\n(?P<told>.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_ENTRY: Final = re.compile(r"^- \S", re.MULTILINE)


def next_version(current: str, wanted: str) -> str:
    """`major`, `minor`, `patch`, or a version that is higher than the current one. Raises OperationError."""
    numbers = _numbers(current)
    if wanted in PARTS:
        kept = PARTS.index(wanted)
        return ".".join(str(number) for number in (*numbers[:kept], numbers[kept] + 1, *([0] * (2 - kept))))
    if _numbers(wanted) <= numbers:
        raise OperationError(f"{wanted} is not higher than {current}. Say major, minor, patch or a higher version.")
    return wanted


def _numbers(version: str) -> tuple[int, ...]:
    found = VERSION.fullmatch(version)
    if not found:
        raise OperationError(f"{version!r} is no version: write MAJOR.MINOR.PATCH, for example 1.4.0, or major, minor, patch.")
    return tuple(int(number) for number in found.groups())


def stated_version(project: str) -> str:
    """The version in the text of pyproject.toml. Raises OperationError."""
    found = _STATED.findall(project)
    if len(found) != 1:
        raise OperationError('pyproject.toml must state the version once, as a line `version = "…"`.')
    version: str = found[0]
    return version


def with_version(project: str, version: str) -> str:
    """The text of pyproject.toml with another version. Raises OperationError."""
    stated_version(project)
    return _STATED.sub(f'version = "{version}"', project)


def notes(changelog: str) -> str:
    """What stands under Unreleased. Raises OperationError when nothing does."""
    found = _UNRELEASED.search(changelog)
    if not found:
        raise OperationError("CHANGELOG.md has no heading `## Unreleased`. Write one, and below it what changes for whom.")
    if not _ENTRY.search(found["told"]):
        raise OperationError("CHANGELOG.md tells nothing under `## Unreleased`. Say there what changes for whom.")
    told: str = found["told"].strip()
    return told + "\n"


def released(changelog: str, version: str, day: date) -> str:
    """The changelog with Unreleased as this release, and an empty Unreleased above it. Raises OperationError."""
    told = notes(changelog)
    return _UNRELEASED.sub(lambda _: f"## Unreleased\n\n## {version} – {day.isoformat()}\n\n{told}\n", changelog, count=1)


def notes_of(changelog: str, version: str) -> str:
    """What the changelog tells of a release that was cut. Raises OperationError."""
    found = re.search(rf"^## {re.escape(version)} – [^\n]*\n(?P<told>.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if not found:
        raise OperationError(f"CHANGELOG.md tells nothing of {version}. Cut it with `lumiere release cut`.")
    return f"# Lumière {version}\n\n{found['told'].strip()}\n"
