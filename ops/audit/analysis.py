"""Static analysis of our own: bandit, semgrep with rules of our own, and the files that tell others' machines what to do."""

import json
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from libs.common.config import process_environment
from ops.audit.outcome import Outcome, failed, not_checked, passed
from ops.locked import last_line

PRODUCT: Final = ("libs", "services", "gateway", "ops", "deploy")
MEASURING: Final = ("bench",)
SEMGREP_RULES: Final = ".semgrep"
RULES_FILE: Final = f"{SEMGREP_RULES}/lumiere.yml"
PLANTED_FILE: Final = f"{SEMGREP_RULES}/lumiere.py"
WORKFLOWS: Final = ".github/workflows"
RENOVATE: Final = "renovate.json"
QUIET: Final = ("--metrics", "off", "--disable-version-check")


def bandit(root: Path, programs: Path) -> Outcome:
    """bandit, from medium severity on: what it calls low ruff's S rules judge in `make check`, each exception with a reason."""
    command = [str(programs / "bandit"), "--quiet", "--recursive", *PRODUCT, "--severity-level", "medium", "--format", "json"]
    done = _run(root, [*command, "--exclude", "*/tests/*,*/testing/*"])
    try:
        report = json.loads(done.stdout)
        found, files = report["results"], len(report["metrics"]) - 1
    except (ValueError, KeyError):
        return not_checked("bandit", f"bandit ended with {done.returncode}: {last_line(done.stderr)}")
    if report["errors"] or files < 1:
        return not_checked("bandit", f"{len(report['errors'])} files could not be read, {files} were")
    kept = [each for each in found if not _excused(root, each)]
    lines = [f"{each['filename']}:{each['line_number']}: {each['test_id']} {each['issue_text']}" for each in kept]
    return failed("bandit", lines) if lines else passed("bandit", f"{files} files, nothing of medium severity or above")


def _excused(root: Path, found: Any) -> bool:
    """Whether the place says for ruff why it may: bandit's B608 is ruff's S608, and one reason beside the line is enough."""
    lines = (root / found["filename"]).read_text(encoding="utf-8").splitlines()
    excuse = re.compile(rf"# noqa: [A-Z0-9, ]*\bS{found['test_id'].removeprefix('B')}\b")
    return any(excuse.search(lines[number - 1]) for number in found["line_range"])


def semgrep(root: Path, programs: Path) -> Outcome:
    """Our own rules over the product and what measures it."""
    command = [str(programs / "semgrep"), "scan", "--config", RULES_FILE, "--json", *QUIET, *PRODUCT, *MEASURING]
    done = _run(root, command, programs)
    try:
        report = json.loads(done.stdout)
        found, scanned = report["results"], len(report["paths"]["scanned"])
    except (ValueError, KeyError):
        return not_checked("semgrep", f"semgrep ended with {done.returncode}: {last_line(done.stderr)}")
    if report["errors"] or not scanned:
        return not_checked("semgrep", f"{scanned} files were read, with {len(report['errors'])} errors")
    lines = [_place(each) for each in found]
    return failed("semgrep", lines) if lines else passed("semgrep", f"{scanned} files keep our own rules")


def _place(found: Any) -> str:
    return (
        f"{found['path']}:{found['start']['line']}: {found['check_id'].rpartition('.')[2]}: {found['extra']['message'].strip()}"
    )


def semgrep_rules(root: Path, programs: Path) -> Outcome:
    """Each of our rules finds what is planted for it, and leaves alone what is allowed."""
    done = _run(
        root, [str(programs / "semgrep"), "scan", "--test", "--config", RULES_FILE, PLANTED_FILE, "--json", *QUIET], programs
    )
    try:
        tested = next(iter(json.loads(done.stdout)["results"].values()))["checks"]
    except (ValueError, KeyError, StopIteration):
        return not_checked("rules", f"semgrep ended with {done.returncode}: {last_line(done.stderr)}")
    wrong = [
        f"{name}: does not find what is planted, or finds what is allowed"
        for name, each in tested.items()
        if not each["passed"]
    ]
    return (
        failed("rules", wrong)
        if wrong
        else passed("rules", f"{len(tested)} rules of our own, each against a planted violation")
    )


def workflows(root: Path, programs: Path) -> Outcome:
    """Workflows and Renovate's configuration have the shape that their readers want, and zizmor sees no way in through them."""
    names = sorted(str(path.relative_to(root)) for path in (root / WORKFLOWS).glob("*.yml"))
    if not names:
        return not_checked("workflows", f"there is none in {WORKFLOWS}")
    shapes = [
        ("vendor.github-workflows", names),
        ("custom.github-workflows-require-timeout", names),
        ("vendor.renovate", [RENOVATE]),
    ]
    found = list[str]()
    for schema, files in shapes:
        done = _run(root, [str(programs / "check-jsonschema"), "--builtin-schema", schema, *files])
        if done.returncode:
            found += [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    done = _run(root, [str(programs / "zizmor"), "--offline", "--quiet", "--format", "json", "--persona", "pedantic", *names])
    try:
        findings = json.loads(done.stdout)
    except ValueError:
        return not_checked("workflows", f"zizmor ended with {done.returncode}: {last_line(done.stderr)}")
    found += [f"{_file(each)}: {each['ident']}: {each['desc']}" for each in findings]
    return failed("workflows", found) if found else passed("workflows", f"{len(names)} workflows and {RENOVATE}")


def _file(finding: Any) -> str:
    places = finding.get("locations") or [{}]
    key = places[0].get("symbolic", {}).get("key", {})
    local = key.get("Local", {}) if isinstance(key, dict) else {}
    return str(local.get("given_path") or local.get("path") or WORKFLOWS)


def _run(root: Path, command: Sequence[str], programs: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """A program's answer; `programs` comes first in its PATH, for those that start others of their own."""
    environ = process_environment()
    if programs is not None:
        environ = {**environ, "PATH": f"{programs}{os.pathsep}{environ.get('PATH', os.defpath)}"}
    return subprocess.run(list(command), cwd=root, env=environ, capture_output=True, text=True, check=False)
