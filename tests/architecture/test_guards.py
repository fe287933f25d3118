"""What guards the repository from outside it: workflows, owners, updates. Each rule is shown to bite."""

import json
import re
from pathlib import Path

import pytest

from tests.architecture.declared import folders
from tests.architecture.source import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
OWNERS = ROOT / ".github" / "CODEOWNERS"
PINNED = re.compile(r"^(?:\./[\w./-]+(?: # .*)?|[\w.-]+/[\w./-]+@[0-9a-f]{40} # v[\w.]+)$")
SECURITY = "@lumiere/security"
GUARDED = (
    *(
        "services/auth",
        "gateway",
        "libs/common/auth",
        "libs/common/config.py",
        "ops/proof.py",
        "ops/vault.py",
        "SECURITY.md",
        ".secrets.baseline",
    ),
    *(".github", ".semgrep", "ops/audit", "docs/access.md", "docs/threats", "renovate.json", "requirements", "pyproject.toml"),
)
"""What lets somebody in, or decides what we trust: never changed without the team *security*."""


def workflow_faults(text: str) -> list[str]:
    """What lets a workflow do more than it must."""
    used = [line.partition("uses:")[2].strip() for line in text.splitlines() if "uses:" in line]
    found = [f"{each}: pin it by commit, with its version behind it" for each in used if not PINNED.match(each)]
    if not re.search(r"^permissions: \{\}$", text, re.MULTILINE):
        found.append("rights are given to all jobs: say `permissions: {}`, and name them at the job")
    if "pull_request_target" in text:
        found.append("pull_request_target runs with our secrets on the code of others")
    jobs = re.split(r"^  [\w-]+:\n", text.partition("\njobs:\n")[2], flags=re.MULTILINE)[1:]
    found += [
        "a job has no end: say timeout-minutes" for job in jobs if "timeout-minutes:" not in job and "    uses:" not in job
    ]
    checkouts = text.count("actions/checkout@")
    if text.count("persist-credentials: false") < checkouts:
        found.append("a checkout keeps its credentials for everything after it")
    return found


def owners() -> list[tuple[str, list[str]]]:
    """Patterns and their owners, in the order in which they count."""
    lines = [line.partition("#")[0].split() for line in OWNERS.read_text(encoding="utf-8").splitlines()]
    return [(line[0], line[1:]) for line in lines if line]


def owners_of(path: str, rules: list[tuple[str, list[str]]]) -> list[str]:
    """Who approves a change of this path: the last pattern that matches counts."""
    found = [names for pattern, names in rules if pattern == "*" or f"/{path}/".startswith(f"{pattern.rstrip('/')}/")]
    return found[-1] if found else []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_do_no_more_than_it_must(workflow: Path) -> None:
    assert workflow_faults(workflow.read_text(encoding="utf-8")) == []


def test_the_audit_runs_weekly_and_before_each_release_and_every_change_is_checked() -> None:
    text = {path.stem: path.read_text(encoding="utf-8") for path in WORKFLOWS}
    assert re.search(r'schedule:\n    - cron: "\d+ \d+ \* \* \d"', text["audit"])
    assert "run: make audit" in text["audit"]
    assert "uses: ./.github/workflows/audit.yml" in text["release"]
    assert "needs: [check, audit]" in text["release"]
    assert {"make check", "make test", "make compose-test"} <= set(
        re.findall(r"run: (make [\w-]+)$", text["check"], re.MULTILINE)
    )
    assert all("continue-on-error" not in each for each in text.values())


@pytest.mark.parametrize(
    ("planted", "fault"),
    [
        ("      - uses: actions/checkout@v4\n", "pin it by commit"),
        ("      - uses: somebody/wonder@main\n", "pin it by commit"),
        ("on: pull_request_target\n", "code of others"),
        ("jobs:\n  planted:\n    runs-on: ubuntu-24.04\n", "has no end"),
        (f"      - uses: actions/checkout@{'a' * 40} # v4.2.2\n", "keeps its credentials"),
        ("permissions: write-all\n", "rights are given to all jobs"),
    ],
)
def test_a_workflow_that_may_do_more_is_noticed(planted: str, fault: str) -> None:
    assert any(fault in found for found in workflow_faults(f"name: planted\n{planted}"))


def test_every_owner_is_a_team_of_the_access_policy_and_every_pattern_leads_somewhere() -> None:
    policy = (ROOT / "docs" / "access.md").read_text(encoding="utf-8")
    assert {name for _, names in owners() for name in names if f"`{name}`" not in policy} == set()
    assert [pattern for pattern, _ in owners() if pattern != "*" and not (ROOT / pattern.strip("/")).exists()] == []


@pytest.mark.parametrize("path", GUARDED)
def test_what_lets_somebody_in_is_never_changed_without_the_team_security(path: str) -> None:
    assert SECURITY in owners_of(path, owners())


@pytest.mark.parametrize("service", sorted(folders()))
def test_every_service_has_an_owner(service: str) -> None:
    assert owners_of(f"services/{service}/domain.py", owners())


def test_the_last_pattern_that_matches_counts() -> None:
    rules = [("*", ["@a"]), ("/ops/", ["@b"]), ("/ops/proof/", ["@c"])]
    assert [owners_of(path, rules) for path in ("docs/x.md", "ops/cli.py", "ops/proof/x.py", "opsy/x")] == [
        ["@a"],
        ["@b"],
        ["@c"],
        ["@a"],
    ]


def test_updates_wait_until_they_are_a_week_old_and_merge_by_nobody_but_people() -> None:
    text = (ROOT / "renovate.json").read_text(encoding="utf-8")
    wanted = json.loads(text)
    assert (wanted["automerge"], wanted["minimumReleaseAge"], wanted["internalChecksFilter"]) == (False, "7 days", "strict")
    assert '"automerge": true' not in text
    assert wanted["vulnerabilityAlerts"]["enabled"]
    assert wanted["vulnerabilityAlerts"]["minimumReleaseAge"] is None
    assert wanted["postUpgradeTasks"]["commands"] == ["make lock"]


@pytest.mark.parametrize("document", ["SECURITY.md", "docs/access.md", "docs/runbooks/emergency.md"])
def test_every_page_says_that_a_report_is_answered_within_48_hours(document: str) -> None:
    assert re.search(r"48 hours", (ROOT / document).read_text(encoding="utf-8"))
