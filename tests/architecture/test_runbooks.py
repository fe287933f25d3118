"""Somebody who is woken finds a page for what rang, and every command and path on it is there."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from ops.cli import main
from ops.doctor.command import chosen_boxes
from ops.errors import OperationError
from ops.settings import Announcements
from tests.architecture.source import ROOT

RUNBOOKS = ROOT / "docs" / "runbooks"
RULES = ROOT / "deploy" / "observability" / "rules"
GENERAL = {"README", "severities", "emergency", "credential-leak"}
PREFIX = "without-"
PARTS = ["## What it means", "## How to see it", "## What to do", "## How to verify that it is over"]
MATRIX = {
    "required-settings": ("DATABASE_URL", "AUTH_SECRET"),
    "redis": ("REDIS_URL",),
    "rabbitmq": ("AMQP_URL",),
    "mail-provider": ("RESEND_API_KEY",),
    "stripe": ("STRIPE_SECRET_KEY",),
    "stripe-webhook-secret": ("STRIPE_WEBHOOK_SECRET",),
    "cron-secret": ("CRON_SECRET",),
    "anthropic": ("ANTHROPIC_API_KEY",),
    "s3": ("S3_ACCESS_KEY_ID",),
    "sentry": ("SENTRY_DSN",),
}
"""Every row of the degradation matrix, and the settings that it is about."""
ALERT = re.compile(r"- alert: (\w+)\n(.*?)(?=\n      - (?:alert|record):|\n  - name:|\Z)", re.DOTALL)
CODE = re.compile(r"```\n(.*?)```|`([^`\n]+)`", re.DOTALL)
PATH = re.compile(r"(?<![\w./:-])((?:docs|deploy|ops|services|libs|gateway|requirements|\.github|\.semgrep)/[\w./-]*\w)")
SETTING = re.compile(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]*[A-Z0-9]\b")
PASSWORD = re.compile(r"(?:AMQP|DATABASE)_PASSWORD_[A-Z]+")
"""Of the roles and users that the platform makes; they are secrets of its own, and no settings."""
PLACEHOLDERS = re.compile(r"^(?:[A-Z][A-Z0-9_-]*|INC-[\w…-]*|…|\".*|'.*)$")
PAGES = sorted(RUNBOOKS.glob("*.md"))


def alerts(rules: Path = RULES) -> dict[str, tuple[str, str]]:
    """Every alert: its severity and the path of its runbook."""
    found = {}
    for file in sorted(rules.glob("*.yml")):
        for name, body in ALERT.findall(file.read_text(encoding="utf-8")):
            severity, page = re.search(r"severity: (SEV-\d)", body), re.search(r"runbook_url: (\S+)", body)
            found[name] = (severity[1] if severity else "", page[1] if page else "")
    return found


def code(text: str) -> Iterator[str]:
    """Every line of code in a page."""
    for block, inline in CODE.findall(text):
        yield from (block or inline).splitlines()


def unknown_command(line: str) -> str | None:
    """What of a line `lumiere …` does not exist: a command, or an option of it."""
    found = re.search(r"(?:^|\s|/)lumiere ((?:[^|;#`]|\\\|)*)", line.split("   #", maxsplit=1)[0])
    if found is None:
        return None
    command: click.Command = main
    words = re.findall(r"\"[^\"]*\"?|\S+", found[1])
    for word in words:
        bare = word.strip("[]").rstrip(".,")
        if bare.startswith("--"):
            options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
            if bare.partition("=")[0] not in options | {"--help"}:
                return f"{command.name}: {bare}"
        elif isinstance(command, click.Group) and not PLACEHOLDERS.match(bare):
            following = command.get_command(click.Context(command), bare)
            if following is None:
                return f"lumiere … {bare}"
            command = following
    return None


def faults(text: str, settings: str) -> list[str]:
    """What a page names and is not there: commands, options, targets of make, paths, settings."""
    lines = list(code(text))
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    found = [fault for line in lines if (fault := unknown_command(line))]
    found += [f"make {each}" for line in lines for each in re.findall(r"\bmake ([a-z-]+)", line) if each not in targets]
    found += [f"--only {name}" for name in re.findall(r"--only ([a-z-]+)", text) if not is_a_box(name)]
    found += [path for path in PATH.findall(text) if not (ROOT / path).exists()]
    found += [name for name in SETTING.findall(text) if name not in settings and not PASSWORD.fullmatch(name)]
    return sorted(set(found))


def is_a_box(name: str) -> bool:
    """Whether the doctor has a box, or a group of them, of this name."""
    try:
        return bool(chosen_boxes((name,)))
    except OperationError:
        return False


def known_settings() -> str:
    return (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") + "AUTH_SECRET_PREVIOUS KEY_ID LUMIERE_INCIDENTS"


@pytest.mark.parametrize("name", alerts())
def test_every_alert_has_the_page_that_it_names(name: str) -> None:
    severity, page = alerts()[name]
    assert severity in {"SEV-1", "SEV-2", "SEV-3"}
    text = (ROOT / page).read_text(encoding="utf-8")
    assert text.startswith(f"# {name}\n\n{severity} "), "the page bears the alert's name and severity"
    assert f"[{name}]({Path(page).name}) {severity[-1]}" in (RUNBOOKS / "README.md").read_text(encoding="utf-8")


def test_no_two_alerts_share_a_page_and_no_page_is_left_over() -> None:
    named = [Path(page).stem for _, page in alerts().values()]
    assert len(named) == len(set(named))
    assert {path.stem for path in PAGES} == {*named, *GENERAL, *(PREFIX + row for row in MATRIX)}


@pytest.mark.parametrize("row", MATRIX)
def test_every_row_of_the_degradation_matrix_has_a_page_and_a_setting_that_exists(row: str) -> None:
    page = RUNBOOKS / f"{PREFIX}{row}.md"
    text = page.read_text(encoding="utf-8")
    assert [name for name in MATRIX[row] if name not in text or name not in known_settings()] == []
    assert f"({page.name})" in (RUNBOOKS / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [each for each in PAGES if each.stem not in GENERAL], ids=lambda path: path.stem)
def test_a_page_says_what_it_means_how_to_see_it_what_to_do_and_when_it_is_over(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"^## .*$", text, re.MULTILINE) == PARTS
    for part in text.split("\n## ")[1:]:
        assert len(part.partition("\n")[2].strip()) > 20, f"{part.partition(chr(10))[0]} says too little"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_every_command_path_and_setting_on_a_page_exists(page: Path) -> None:
    assert faults(page.read_text(encoding="utf-8"), known_settings()) == []


def test_metrics_on_pages_are_those_of_the_rules() -> None:
    known = "".join(path.read_text(encoding="utf-8") for path in RULES.glob("*.yml"))
    known += "lumiere_relay_failures_total lumiere_job_runs lumiere_outbox_depth"
    named = {name for page in PAGES for name in re.findall(r"\blumiere[_:][a-z_:0-9]+", page.read_text(encoding="utf-8"))}
    assert {name for name in named if name not in known} == set()


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("`lumiere wonder`", "lumiere … wonder"),
        ("`lumiere incident begin SEV-1`", "lumiere … begin"),
        ("`lumiere queues --loud`", "queues: --loud"),
        ("```\nlumiere gateway revoke --everybody\n```", "revoke: --everybody"),
        ("`lumiere doctor --only wonders`", "--only wonders"),
        ("`make wonders`", "make wonders"),
        ("See docs/wonders.md.", "docs/wonders.md"),
        ("Set WONDERFUL_SECRET.", "WONDERFUL_SECRET"),
    ],
)
def test_what_does_not_exist_is_noticed(line: str, fault: str) -> None:
    assert faults(line, known_settings()) == [fault]


@pytest.mark.parametrize(
    "line",
    [
        '`lumiere incident start SEV-1 "payments stop" --maintenance`',
        "`lumiere gateway revoke --session ID` and `lumiere keys withdraw KEY_ID`",
        "```\nlumiere queues --watch 2\nlumiere logs tasks-worker --no-follow --lines 100     # the last ones\n```",
    ],
)
def test_what_exists_is_left_alone(line: str) -> None:
    assert faults(line, known_settings()) == []


def test_an_alert_without_a_page_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(
        "groups:\n  - name: a\n    rules:\n      - alert: Planted\n        labels: {severity: SEV-1}\n"
    )
    assert alerts(tmp_path) == {"Planted": ("SEV-1", "")}


def test_the_emergency_page_calls_channel_and_service_as_the_settings_do() -> None:
    text = (RUNBOOKS / "emergency.md").read_text(encoding="utf-8")
    names = {name: field.default for name, field in Announcements.model_fields.items()}
    assert f"Slack `{names['incident_slack_channel']}`" in text
    assert f"PagerDuty `{names['pagerduty_service']}`" in text
    assert all(name.upper() in text for name in names if name != "pagerduty_events_url")
