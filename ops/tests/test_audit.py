"""The audit says what it found and what it could not ask; what it could not ask is never taken for well."""

import json
import re
import stat
import subprocess
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from ops import locked
from ops.audit import advisories, analysis, licences
from ops.audit.command import PARTS, PLACE, command, run
from ops.audit.outcome import Outcome, State, exit_code, failed, not_checked, passed
from ops.errors import OperationError
from ops.settings import ROOT

HASH = f"--hash=sha256:{'0' * 64}"
VULNERABLE = {
    "name": "flask",
    "version": "3.1.2",
    "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["3.1.3"]}],
}
CLEAN = {"name": "flask", "version": "3.1.2", "vulns": []}
UNKNOWN = {"name": "flask", "skip_reason": "Dependency not found"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with one pinned package."""
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "runtime.lock").write_text(f"flask==3.1.2 \\\n    {HASH}\n")
    making = ["git", "init", "--quiet", str(tmp_path)]
    subprocess.run(making, check=True)
    return tmp_path


def fake_pip_audit(place: Path, answer: str, *, code: int = 0) -> Path:
    """A folder with a fake pip-audit that gives this answer; the real one says that all is well when it asked nobody."""
    place.mkdir()
    program = place / "pip-audit"
    program.write_text(f"#!/bin/sh\necho 'No known vulnerabilities found' >&2\nprintf '%s' '{answer}'\nexit {code}\n")
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    return place


def answer(*packages: object) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


def test_a_known_vulnerability_fails_the_audit_and_names_the_cure(project: Path, tmp_path: Path) -> None:
    outcome = advisories.audit(project, fake_pip_audit(tmp_path / "fake", answer(VULNERABLE), code=1))
    assert outcome.state is State.FAILED
    assert outcome.lines == ("flask 3.1.2 (runtime.lock): CVE-1, PYSEC-1; mended in 3.1.3",)


def test_a_package_that_nobody_was_asked_about_is_not_checked_although_the_program_ends_well(
    project: Path, tmp_path: Path
) -> None:
    outcome = advisories.audit(project, fake_pip_audit(tmp_path / "fake", answer(UNKNOWN)))
    assert outcome.state is State.NOT_CHECKED
    assert outcome.lines == ("flask 3.1.2: pypi does not know it, osv does not know it",)
    assert exit_code([outcome]) == 3


def test_a_service_out_of_reach_is_not_checked(project: Path, tmp_path: Path) -> None:
    outcome = advisories.audit(project, fake_pip_audit(tmp_path / "fake", "", code=1))
    assert outcome.state is State.NOT_CHECKED


def test_a_program_that_is_not_there_is_not_checked(project: Path, tmp_path: Path) -> None:
    outcome = advisories.audit(project, tmp_path / "nothing")
    assert outcome.state is State.NOT_CHECKED
    assert "FileNotFoundError" in outcome.evidence


def test_what_was_asked_about_and_is_clean_passes(project: Path, tmp_path: Path) -> None:
    outcome = advisories.audit(project, fake_pip_audit(tmp_path / "fake", answer(CLEAN)))
    assert outcome == passed("advisories", "1 versions of 1 locks, none with a known vulnerability")


def test_an_answer_about_another_version_answers_nothing(project: Path, tmp_path: Path) -> None:
    outcome = advisories.audit(project, fake_pip_audit(tmp_path / "fake", answer({**CLEAN, "version": "3.1.1"})))
    assert outcome.state is State.NOT_CHECKED


@pytest.mark.parametrize(
    ("until", "state"), [("2026-11-27", State.PASSED), ("2026-11-26", State.PASSED), ("2026-11-25", State.FAILED)]
)
def test_an_accepted_advisory_is_silent_until_its_day_has_passed(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until: str, state: State
) -> None:
    (project / advisories.ACCEPTED).write_text(f'[[advisory]]\nid = "CVE-1"\nuntil = {until}\nbecause = "not reachable"\n')
    known = advisories.accepted_now(project, date(2026, 11, 26))
    monkeypatch.setattr(advisories, "accepted_now", lambda _root: known)
    assert advisories.audit(project, fake_pip_audit(tmp_path / "fake", answer(VULNERABLE))).state is state


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([passed("a", "")], 0),
        ([passed("a", ""), not_checked("b", "away")], 3),
        ([not_checked("b", "away"), failed("c", ["x"])], 1),
        ([], 0),
    ],
)
def test_the_exit_code_tells_a_finding_from_what_was_not_checked(outcomes: list[Outcome], code: int) -> None:
    assert exit_code(outcomes) == code


def test_programs_that_cannot_be_installed_leave_everything_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_reach(_lock: Path, _place: Path) -> Path:
        raise OperationError("What audit.lock names could not be installed: no registry")

    monkeypatch.setattr(locked, "installed", out_of_reach)
    result = CliRunner().invoke(command, ["bandit", "semgrep", "--json"])
    assert result.exit_code == 3
    told = json.loads(result.stdout)
    assert [(each["name"], each["state"]) for each in told] == [("bandit", "not checked"), ("semgrep", "not checked")]


def test_every_part_has_an_outcome_when_its_program_says_nothing(tmp_path: Path) -> None:
    for name in ("bandit", "semgrep", "check-jsonschema", "zizmor"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 2\n")
        (tmp_path / name).chmod(0o755)
    for part in (analysis.bandit, analysis.semgrep, analysis.semgrep_rules, analysis.workflows):
        assert part(ROOT, tmp_path).state is State.NOT_CHECKED


def test_a_reason_that_stands_beside_a_line_for_ruff_counts_for_bandit_and_only_for_that_rule(tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text("a\nb  # noqa: S608 - a folder's name\n")
    found = [
        {"filename": "planted.py", "line_number": n, "line_range": [n], "test_id": f"B{t}", "issue_text": "x"}
        for n, t in ((1, 608), (2, 608), (2, 501))
    ]
    report = {"results": found, "metrics": {"planted.py": {}, "_totals": {}}, "errors": []}
    program = tmp_path / "bandit"
    program.write_text(f"#!/bin/sh\ncat <<'EOF'\n{json.dumps(report)}\nEOF\n")
    program.chmod(0o755)
    assert analysis.bandit(tmp_path, tmp_path).lines == ("planted.py:1: B608 x", "planted.py:2: B501 x")


# --- licences


def distribution(place: Path, name: str, *metadata: str) -> None:
    folder = place / f"{name}-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("\n".join(("Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0", *metadata, "", "")))


def licence_faults(tmp_path: Path, *metadata: str, allowed: frozenset[str] = licences.DISTRIBUTED) -> list[str]:
    distribution(tmp_path / "site", "planted", *metadata)
    lock = Path("requirements/planted.lock")
    (tmp_path / "requirements").mkdir()
    (tmp_path / lock).write_text(f"planted==1.0 \\\n    {HASH}\n")
    return licences.python_faults(tmp_path, {lock: allowed}, [str(tmp_path / "site")])


@pytest.mark.parametrize(
    "metadata",
    [
        "License-Expression: GPL-3.0-only",
        "License-Expression: MIT AND AGPL-3.0-or-later",
        "Classifier: License :: OSI Approved :: GNU General Public License v3 (GPLv3)",
        "License: GPL-2.0-or-later",
        "License-Expression: SSPL-1.0",
        "Classifier: License :: Other/Proprietary License",
    ],
)
def test_a_planted_licence_that_does_not_go_with_ours_is_found(tmp_path: Path, metadata: str) -> None:
    assert "is not among the licences allowed there" in licence_faults(tmp_path, metadata)[0]


@pytest.mark.parametrize("metadata", ["Summary: says nothing", "License: see the file, please", "License: UNKNOWN LICENCE"])
def test_a_licence_that_nobody_can_read_is_found(tmp_path: Path, metadata: str) -> None:
    assert "names no licence" in licence_faults(tmp_path, metadata)[0]


@pytest.mark.parametrize(
    "metadata",
    [
        "License-Expression: MIT OR GPL-3.0-only",
        "License-Expression: MPL-2.0 AND (Apache-2.0 OR MIT)",
        "License-Expression: Apache-2.0 WITH LLVM-exception",
        "Classifier: License :: OSI Approved :: BSD License",
        "License: The MIT License (MIT)",
    ],
)
def test_a_licence_that_goes_with_ours_is_left_alone(tmp_path: Path, metadata: str) -> None:
    assert licence_faults(tmp_path, metadata) == []


def test_a_tool_that_is_not_distributed_may_be_under_the_gpl(tmp_path: Path) -> None:
    assert licence_faults(tmp_path, "License-Expression: GPL-3.0-only", allowed=licences.TOOLS) == []


def test_a_package_that_is_not_installed_is_named(tmp_path: Path) -> None:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "planted.lock").write_text("absent==1.0\n")
    found = licences.python_faults(tmp_path, {Path("requirements/planted.lock"): licences.DISTRIBUTED}, [str(tmp_path)])
    assert "absent (planted.lock): is not installed" in found[0]


def test_the_runtime_is_held_to_what_is_distributed_and_tools_are_not(project: Path) -> None:
    (project / "requirements" / "audit.in").write_text("bandit\n")
    for name in ("audit", "dev", "service-auth"):
        (project / "requirements" / f"{name}.lock").write_text("")
    assert {path.stem for path in licences.runtime_locks(project)} == {"runtime", "service-auth"}


def test_npm_packages_without_a_licence_are_named(project: Path) -> None:
    packages = {
        "": {},
        "node_modules/fine": {"license": "MIT"},
        "node_modules/silent": {},
        "node_modules/bad": {"license": "SSPL-1.0"},
    }
    (project / "package-lock.json").write_text(json.dumps({"packages": packages}))
    assert list(licences.npm_faults(project)) == [
        "silent (package-lock.json): names no licence",
        "bad (package-lock.json): SSPL-1.0",
    ]


# --- rules of our own


def test_every_rule_of_our_own_has_a_planted_violation_and_something_it_leaves_alone() -> None:
    rules = set(re.findall(r"^  - id: ([a-z-]+)$", (ROOT / analysis.RULES_FILE).read_text(encoding="utf-8"), re.MULTILINE))
    planted = (ROOT / analysis.PLANTED_FILE).read_text(encoding="utf-8")
    assert rules
    assert set(re.findall(r"# ruleid: ([a-z-]+)$", planted, re.MULTILINE)) == rules
    assert set(re.findall(r"# ok: ([a-z-]+)$", planted, re.MULTILINE)) == rules


def test_the_audit_names_its_parts() -> None:
    result = CliRunner().invoke(command, ["--help"])
    assert result.exit_code == 0
    assert all(name in result.stdout for name in PARTS)


@pytest.mark.long
def test_the_programs_of_the_audit_find_what_is_planted(tmp_path: Path) -> None:
    outcomes = {each.name: each for each in run(ROOT, ("bandit", "semgrep", "rules", "workflows"))}
    assert {name: each.state for name, each in outcomes.items()} == dict.fromkeys(outcomes, State.PASSED), outcomes
    programs = ROOT / PLACE / "audit" / "bin"
    for folder in analysis.PRODUCT:
        (tmp_path / folder).mkdir()
    (tmp_path / "ops" / "planted.py").write_text("import subprocess\nsubprocess.run('ls ' + __file__, shell=True)\n")
    assert "B602" in analysis.bandit(tmp_path, programs).lines[0]
    (tmp_path / ".github" / "workflows").mkdir(parents=True)
    (tmp_path / "renovate.json").write_text('{"automerge": "perhaps"}')
    (tmp_path / ".github" / "workflows" / "planted.yml").write_text(
        "on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n"
        "      - uses: actions/checkout@v4\n      - run: echo ${{ github.head_ref }}\n"
    )
    told = "\n".join(analysis.workflows(tmp_path, programs).lines)
    assert "unpinned-uses" in told
    assert "template-injection" in told
    assert "timeout-minutes" in told
    assert "automerge" in told
