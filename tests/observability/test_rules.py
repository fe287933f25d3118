"""Every alert fires on the series planted for it, stays silent on a healthy one, and leads to a runbook."""

import json
import re
import shutil
import subprocess
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from ops.layout import Layout
from ops.observability.exported import sample_names
from ops.observability.slos import OBJECTIVES, UNTIMED, Objective, runbook
from ops.settings import ROOT, PlatformSettings
from tests.observability.planted import PLANTED, PROCESSES, Planted

FOLDER = ROOT / "deploy" / "observability"
SEVERITIES = {"SEV-1", "SEV-2", "SEV-3"}
FOREIGN = {"up"}
"""Metrics that Prometheus itself makes."""
NAME = re.compile(r"\b(?:lumiere|process|up)(?:_[a-z_]+)?\b(?![:(])")

PROMTOOL = shutil.which("promtool") or ""
needs_promtool = pytest.mark.skipif(not PROMTOOL, reason="NOT CHECKED: promtool is absent; install Debian's package prometheus")


def rules() -> list[dict[str, Any]]:
    """Every rule of every file."""
    files = [YAML(typ="safe").load(path) for path in sorted((FOLDER / "rules").glob("*.yml"))]
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}


def test_every_alert_has_a_name_of_its_own_and_a_series_that_is_planted_for_it() -> None:
    assert sorted(rule["alert"] for rule in rules() if "alert" in rule) == sorted(PLANTED)


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_an_alert_says_how_bad_it_is_what_it_means_and_where_to_read_on(alert: str) -> None:
    rule = ALERTS[alert]

    assert rule["labels"]["severity"] in SEVERITIES
    assert set(rule["annotations"]) == {"summary", "meaning", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{runbook(alert)}.md"


def test_rules_ask_only_for_what_the_code_exports() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    known = sample_names() | FOREIGN
    for rule in rules():
        asked = re.sub(r"lumiere:[a-z0-9_:]+", lambda match: "" if match[0] in recorded else match[0], rule["expr"])
        assert set(NAME.findall(re.sub(r'"[^"]*"|by \([^)]*\)', "", asked))) - known - {"process"} == set(), rule
        assert ":" not in re.sub(r'"[^"]*"', "", asked), "a recorded name that nobody records"


def test_what_is_expected_to_run_is_what_the_services_declare() -> None:
    declared = Layout(PlatformSettings()).services

    assert sorted(PROCESSES) == sorted((service, kind) for service, kinds in declared.items() for kind in kinds)
    for service, kind in PROCESSES:
        assert f'absent(up{{service="{service}",process="{kind}"}} == 1)' in ALERTS["ServiceAbsent"]["expr"]


def test_routes_whose_time_is_the_clients_are_those_that_stream_or_carry_files() -> None:
    declared = {
        route["operation"]
        for path in (ROOT / "services").glob("*/policy.json")
        for route in json.loads(path.read_bytes())["routes"]
        if route.get("stream") or route["timeout"] > 600
    }

    assert declared == set(UNTIMED)
    assert {each.alert + end for each in OBJECTIVES for end in ("BurnsFast", "BurnsSlowly")} <= set(ALERTS)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda each: each.name)
def test_the_page_for_operators_names_each_objective_with_its_share_and_its_budget(objective: Objective) -> None:
    page = (ROOT / "docs" / "observability.md").read_text(encoding="utf-8")
    (row,) = [line for line in page.splitlines() if line.startswith(f"| {objective.title} |")]
    minutes = objective.budget_minutes
    budget = f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"

    assert row.split("|")[3:5] == [f" {objective.good * 100:g} % ", f" {budget} "]


def promtool_test(name: str, alert: str, planted: Planted, series: dict[str, str], firing: bool) -> dict[str, Any]:
    """One of promtool's unit tests."""
    expected = [{"labels": "{}", "value": 1}] if firing else []
    return {
        "name": name,
        "interval": f"{planted.step}s",
        "input_series": [{"series": each, "values": values} for each, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) > bool 0',
                "eval_time": f"{planted.at}s",
                "exp_samples": expected,
            }
        ],
    }


@needs_promtool
@pytest.mark.parametrize(
    "file",
    [
        # Windows of three days take a while.
        pytest.param(path.name, marks=[pytest.mark.long] if path.name == "slo.yml" else [])
        for path in sorted((FOLDER / "rules").glob("*.yml"))
    ],
)
def test_each_alert_fires_on_what_is_planted_and_is_silent_on_what_is_healthy(file: str, tmp_path: Path) -> None:
    path = FOLDER / "rules" / file
    groups = YAML(typ="safe").load(path)["groups"]
    alerts = [rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule]
    for step, some in groupby(sorted(alerts, key=step_of), step_of):
        tests = [
            promtool_test(f"{alert} {name}", alert, PLANTED[alert], {**PLANTED[alert].also, **series}, firing)
            for alert in some
            for name, series, firing in (("fires", PLANTED[alert].bad, True), ("is silent", PLANTED[alert].good, False))
        ]
        document = {"rule_files": [str(path)], "evaluation_interval": f"{step}s", "tests": tests}
        written = tmp_path / f"every-{step}.json"
        written.write_text(json.dumps(document), encoding="utf-8")
        done = subprocess.run([PROMTOOL, "test", "rules", written], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def step_of(alert: str) -> int:
    """How far apart its planted values are: rules are judged at the same pace."""
    return PLANTED[alert].step
