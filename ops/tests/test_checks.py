"""The repository's own checks, each shown to bite by something planted."""

import shutil
import subprocess
from pathlib import Path

import pytest

from ops.checks import addresses, locks, secrets_scan
from ops.settings import ROOT

HASH = f"--hash=sha256:{'0' * 64}"
PROJECT = """
[project]
dependencies = ["flask>=3.1"]
[project.optional-dependencies]
dev = ["pytest>=8"]
"""
RUNTIME = f"flask==3.1.2 \\\n    {HASH}\n    # via lumiere\n"
DEVELOPER = f"{RUNTIME}pytest==8.4.0 \\\n    {HASH}\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "requirements" / "runtime.lock").write_text(RUNTIME)
    (tmp_path / "requirements" / "dev.lock").write_text(DEVELOPER)
    (tmp_path / "requirements" / "peers.in").write_text("# why\nflask\n")
    (tmp_path / "requirements" / "peers.lock").write_text(RUNTIME)
    return tmp_path


def test_locks_that_fit_have_no_fault(project: Path) -> None:
    found = [line for line in locks.faults(project).splitlines() if "is needed by" not in line]
    assert found == []


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("runtime.lock", RUNTIME.replace("3.1.2", "3.0.0"), "flask is pinned to 3.0.0"),
        ("runtime.lock", RUNTIME.replace(HASH, ""), "flask has no hash"),
        ("runtime.lock", "--index-" + f"url here\n{RUNTIME}", "option line"),
        ("peers.lock", RUNTIME.replace(HASH, ""), "peers.lock: flask has no hash"),
        ("peers.in", "flask\nkombu", "kombu of peers.in is not pinned"),
        ("dev.lock", RUNTIME, "pytest of pyproject.toml is not pinned"),
        ("dev.lock", DEVELOPER.replace("3.1.2", "3.1.3"), "flask is 3.1.3, runtime.lock has 3.1.2"),
    ],
)
def test_a_lock_that_does_not_fit_is_named(project: Path, file: str, text: str, fault: str) -> None:
    (project / "requirements" / file).write_text(text)
    assert fault in locks.faults(project)


@pytest.mark.parametrize(
    "line",
    [
        "https://pyp" + "i.org/flask",
        "http://deb.debia" + "n.org/debian",
        "https://files.pythonhoste" + "d.org/x",
        "https://mirror.example/simpl" + "e/flask",
        "pip install --index-" + "url https://here",
        "see /wor" + "k/notes",
        "in /hom" + "e/ada/project",
        "--find-" + "links /opt/wheel" + "s/x",
    ],
)
def test_an_address_or_path_of_one_machine_is_found(line: str) -> None:
    assert addresses.findings(f"fine\n{line}\n")[0][0] == 2


@pytest.mark.parametrize(
    "line", ["pip-compile --no-emit-index-" + "url", "https://lumiere.film/problems", "/home page", "network/"]
)
def test_what_merely_looks_like_one_is_left_alone(line: str) -> None:
    assert addresses.findings(line) == []


def test_a_planted_secret_is_found_and_a_reviewed_one_is_not(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)  # noqa: S607 - the git of whoever runs the tests
    shutil.copy(ROOT / secrets_scan.BASELINE, tmp_path)
    planted = tmp_path / "settings.py"
    planted.write_text('AWS = "AKIA' + 'IOSFODNN7EXAMPLQ"\n')
    assert "settings.py:1: AWS Access Key" in secrets_scan.faults(tmp_path)
    secrets_scan.accept(tmp_path)
    assert secrets_scan.faults(tmp_path) == ""
