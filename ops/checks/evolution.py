"""Published events grow and never shrink: golden files are compared with those of the history, so that a deleted one is missed.

The tests compare an event with its golden file. That holds only while the file is the one that was published: one that was
deleted and written anew would vouch for whatever the event has become. So golden files are compared with what stood at the last
release, where this branch left main, and in the last commit.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from libs.common.events.golden import additive_faults
from ops.settings import ROOT

MAIN = ("origin/main", "main")
Golden = dict[tuple[str, int], dict[str, Any]]


def faults(root: Path = ROOT) -> str:
    """One line for every event that consumers would lose or stumble over; empty when there is none, or no history."""
    now = _read(path.read_bytes() for path in sorted((root / "services").glob("*/tests/golden/*.json")))
    found = {fault for commit in bases(root) for fault in broken(_committed(root, commit), now)}
    return "\n".join(sorted(found))


def broken(old: Golden, new: Golden) -> Iterator[str]:
    """Why a consumer of the old events would stumble over the new ones."""
    for (event_type, version), before in old.items():
        after = new.get((event_type, version))
        if after is not None:
            for fault in additive_faults(before, after):
                yield f"{event_type} version {version}: {fault}; declare the next version instead"
        elif not any(name == event_type and number > version for name, number in new):
            yield f"{event_type} version {version}: was published and is gone; keep it, or publish the next version first"


def bases(root: Path) -> list[str]:
    """The commits to compare with, as far as there is history: the last release, the point of departure, the last commit."""
    asked = [("describe", "--tags", "--abbrev=0", "--match", "v*"), *(("merge-base", "HEAD", each) for each in MAIN)]
    names = [_git(root, *words) for words in asked] + ["HEAD~1", "HEAD"]
    commits = [_git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}") for name in names if name]
    return list(dict.fromkeys(commit for commit in commits if commit))


def _committed(root: Path, commit: str) -> Golden:
    listed = _git(root, "ls-tree", "-r", "--name-only", commit, "services").splitlines()
    files = [name for name in listed if "/tests/golden/" in name and name.endswith(".json")]
    return _read(_git(root, "show", f"{commit}:{name}").encode() for name in files)


def _read(contents: Iterator[bytes]) -> Golden:
    documents = [json.loads(content) for content in contents]
    return {(each["type"], each["version"]): each for each in documents}


def _git(root: Path, *words: str) -> str:
    """What git says; nothing where it has nothing to say."""
    command = ["git", "-C", str(root), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
