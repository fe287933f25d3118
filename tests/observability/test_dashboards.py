"""Dashboards ask for what the code exports, as Prometheus understands it; configurations are what their servers read."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from ops.compose import GIVEN, WATCHING
from ops.layout import Layout
from ops.observability.dashboards import DASHBOARDS, WIDTH, document, expressions
from ops.observability.exported import sample_names
from ops.settings import ROOT, PlatformSettings
from tests.observability.test_rules import FOREIGN, NAME, rules

DEPLOY = ROOT / "deploy"
FOLDER = DEPLOY / "observability"
OVERLAY = YAML(typ="safe").load(DEPLOY / "observability.yml")
PROMTOOL, AMTOOL = shutil.which("promtool") or "", shutil.which("amtool") or ""


def scrapes() -> dict[str, dict[str, Any]]:
    """Prometheus's jobs by name."""
    return {each["job_name"]: each for each in YAML(typ="safe").load(FOLDER / "prometheus.yml")["scrape_configs"]}


def names_in(expression: str) -> set[str]:
    """The metrics that a query asks for, without what was recorded by rules."""
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    bare = re.sub(r'"[^"]*"|by \([^)]*\)', "", expression)
    return set(NAME.findall(re.sub("|".join(map(re.escape, recorded)), "", bare)))


def test_dashboards_ask_only_for_what_the_code_exports() -> None:
    known = sample_names() | FOREIGN

    assert {name for each in expressions() for name in names_in(each)} - known == set()


def test_a_metric_that_nobody_exports_would_be_noticed() -> None:
    assert names_in("sum by (service) (rate(lumiere_nobodys_total[5m]))") - sample_names() == {"lumiere_nobodys_total"}


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda each: each.uid)
def test_panels_have_numbers_of_their_own_and_lie_side_by_side_within_the_page(dashboard: Any) -> None:
    panels = json.loads(document(dashboard))["panels"]
    places = {(x, each["gridPos"]["y"]) for each in panels for x in range(each["gridPos"]["x"], right(each))}

    assert len({each["id"] for each in panels}) == len(panels)
    assert len(places) == sum(each["gridPos"]["w"] for each in panels)
    assert max(right(each) for each in panels) <= WIDTH


def right(panel: dict[str, Any]) -> int:
    """Where a panel ends."""
    return int(panel["gridPos"]["x"] + panel["gridPos"]["w"])


@pytest.mark.skipif(not PROMTOOL, reason="NOT CHECKED: promtool is absent; install Debian's package prometheus")
def test_prometheus_takes_its_configuration_and_every_query(tmp_path: Path) -> None:
    written = (FOLDER / "prometheus.yml").read_text(encoding="utf-8").replace("/etc/lumiere/rules", str(FOLDER / "rules"))
    (tmp_path / "prometheus.yml").write_text(written, encoding="utf-8")
    asked = {
        "groups": [
            {
                "name": "dashboards",
                "rules": [
                    {"record": f"dashboard:query:{number}", "expr": each.replace("$__rate_interval", "5m")}
                    for number, each in enumerate(expressions())
                ],
            }
        ]
    }
    (tmp_path / "queries.json").write_text(json.dumps(asked), encoding="utf-8")

    for kind, file in {"config": "prometheus.yml", "rules": "queries.json"}.items():
        done = subprocess.run([PROMTOOL, "check", kind, tmp_path / file], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not AMTOOL, reason="NOT CHECKED: amtool is absent; install Debian's package prometheus-alertmanager")
def test_alertmanager_takes_its_configuration_and_leads_each_severity_to_its_receiver(tmp_path: Path) -> None:
    written = (FOLDER / "alertmanager.yml").read_text(encoding="utf-8")
    config = tmp_path / "alertmanager.yml"
    config.write_text(written.replace("/etc/lumiere/templates", str(FOLDER / "templates")), encoding="utf-8")

    done = subprocess.run([AMTOOL, "check-config", config], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for severity, receiver in {"SEV-1": "page", "SEV-2": "incidents", "SEV-3": "notes"}.items():
        asked = [AMTOOL, "config", "routes", "test", f"--config.file={config}", f"severity={severity}"]
        led = subprocess.run(asked, capture_output=True, text=True, check=False)
        assert led.stdout.strip() == receiver


def test_prometheus_asks_every_process_that_the_services_declare() -> None:
    asked = {name for job in ("web", "worker", "stream") for name in scrapes()[job]["dns_sd_configs"][0]["names"]}
    declared = Layout(PlatformSettings()).services

    assert asked == {s if kind == "web" else f"{s}-{kind}" for s, kinds in declared.items() for kind in kinds}


def test_only_the_gateway_and_on_this_machine_alone_grafana_publish_a_port() -> None:
    published = {name: service["ports"] for name, service in OVERLAY["services"].items() if "ports" in service}

    assert published == {"grafana": ["127.0.0.1:${GRAFANA_PORT:-3000}:3000"]}


def test_images_of_others_are_pinned_and_every_container_is_held_as_ours_are() -> None:
    for name, service in OVERLAY["services"].items():
        if "image" not in service:
            assert service["environment"] == {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, name
            continue
        assert re.search(r":(v?\d+\.\d+\.\d+|\$\{LUMIERE_TAG:-local\})$", service["image"]), name
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name
        assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}, name


def test_every_process_of_the_platform_sends_its_spans() -> None:
    compose = YAML(typ="safe").load(DEPLOY / "compose.yml")["services"]
    working = {
        name
        for name, service in compose.items()
        if service["image"].startswith("lumiere/") and service.get("restart", "unless-stopped") == "unless-stopped"
    }

    assert working == {name for name, service in OVERLAY["services"].items() if "image" not in service}


def test_secrets_of_the_overlay_are_prepared_with_the_others() -> None:
    assert set(OVERLAY["secrets"]) <= {*WATCHING, *GIVEN}
