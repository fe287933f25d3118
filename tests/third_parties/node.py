"""Programs of npm: installed once for each lock, below `.local`, and never beside our own code."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from ops.settings import ROOT

HERE: Final = Path(__file__).parent
LOCK: Final = "package-lock.json"
INSTALL_SECONDS: Final = 120
RUN_SECONDS: Final = 90


def run(name: str, script: str, task: dict[str, Any]) -> dict[str, Any]:
    """Hand a task to a script, in JSON; returns what it says, in JSON too. Skips the test where there is no node or npm."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip(f"NOT TESTED against {name}: there is no node or npm here (apt-get install nodejs npm)")
    place = ROOT / ".local" / "third_parties" / name
    _install(name, place, npm)
    shutil.copy(HERE / name / script, place / script)
    done = subprocess.run(
        [node, script], cwd=place, input=json.dumps(task), capture_output=True, text=True, timeout=RUN_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def _install(name: str, place: Path, npm: str) -> None:
    lock = HERE / name / LOCK
    if (place / LOCK).exists() and (place / LOCK).read_bytes() == lock.read_bytes():
        return
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    shutil.copy(HERE / name / "package.json", place)
    shutil.copy(lock, place)
    command = [npm, "ci", "--prefix", str(place), "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    if done.returncode:
        (place / LOCK).unlink()
        pytest.skip(f"NOT TESTED against {name}: npm cannot install it here: {done.stderr.strip().splitlines()[-1:]}")
