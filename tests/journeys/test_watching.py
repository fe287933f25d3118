"""The shipped configurations on Debian's Prometheus and Alertmanager, scraping the platform of this test run."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import start_http_server

from ops.demo.client import wait_for
from ops.doctor.places import local
from ops.observability.dashboards import expressions
from ops.observability.watchman import Watched, Watchman
from ops.ports import free_range
from ops.testing import LivePlatform
from tests.journeys.conftest import Lumiere
from tests.journeys.people import Studio
from tests.observability.servers import (
    ALERTMANAGER,
    PROMETHEUS,
    alertmanager_config,
    impatient_rules,
    inbox,
    prometheus_config,
    running,
)

pytestmark = [
    pytest.mark.platform,
    pytest.mark.long,
    pytest.mark.skipif(
        not (PROMETHEUS and ALERTMANAGER),
        reason="NOT CHECKED: install Debian's packages prometheus and prometheus-alertmanager",
    ),
]
PORTS_FROM = 31_600
IN_HASTE = {"BackupOld", "BackupUnverified"}
"""What is true of a platform that is a minute old and has no backup, once rules do not wait."""


@dataclass(frozen=True)
class Watching:
    """Prometheus at work, and what it had told."""

    address: str
    messages: list[tuple[str, Mapping[str, Any]]]

    def ask(self, path: str, **parameters: str) -> Any:
        """The data of an answer."""
        answer = httpx.get(f"{self.address}/api/v1/{path}", params=parameters, trust_env=False)
        assert answer.json()["status"] == "success", answer.text
        return answer.json()["data"]

    def firing(self) -> set[str]:
        """Alerts that fire now."""
        return {each["labels"]["alertname"] for each in self.ask("alerts")["alerts"] if each["state"] == "firing"}


@pytest.fixture(scope="module")
def watching(platform: LivePlatform, studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watching]:
    folder = tmp_path_factory.mktemp("watching")
    port = free_range(PORTS_FROM, 3)
    examined = local(production=False, layout=platform.layout)
    person = studio.newcomer()
    studio.finish(person, studio.plan_task(studio.film(), "Watched"))
    with ExitStack() as stack:
        told, messages = stack.enter_context(inbox())
        watched = Watched(examined.addresses.database, {"state": platform.state}, folder, platform.layout.secrets)
        server, thread = start_http_server(port + 2, "127.0.0.1", Watchman(watched).registry)
        stack.callback(server.server_close)
        stack.callback(thread.join)
        stack.callback(server.shutdown)
        rules = folder / "rules"
        rules.mkdir()
        addresses = examined.addresses.processes()
        config = prometheus_config(addresses, port + 2, port + 1, impatient_rules(rules))
        (folder / "prometheus.yml").write_text(json.dumps(config), encoding="utf-8")
        (folder / "alertmanager.yml").write_text(json.dumps(alertmanager_config(folder, told)), encoding="utf-8")
        for command, log in (
            (alertmanager(folder, port + 1), folder / "alertmanager.log"),
            (prometheus(folder, port), folder / "prometheus.log"),
        ):
            stack.enter_context(running(command, log))
        found = Watching(f"http://127.0.0.1:{port}", messages)
        wait_for("Prometheus", lambda: ready(found.address), seconds=60, every=0.3)
        yield found


def prometheus(folder: Path, port: int) -> list[str]:
    """Its command."""
    files = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    return [PROMETHEUS, *files, f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]


def alertmanager(folder: Path, port: int) -> list[str]:
    """Its command."""
    files = [f"--config.file={folder / 'alertmanager.yml'}", f"--storage.path={folder / 'alerts'}"]
    return [ALERTMANAGER, *files, f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]


def ready(address: str) -> bool:
    """Whether it has loaded everything."""
    try:
        return httpx.get(f"{address}/-/ready", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def test_every_process_is_scraped_and_no_rule_is_at_fault(watching: Watching) -> None:
    def all_up() -> bool:
        targets = watching.ask("targets")["activeTargets"]
        return bool(targets) and all(each["health"] == "up" for each in targets)

    wait_for("every target", all_up, seconds=90, every=0.5)
    rules = [rule for group in watching.ask("rules")["groups"] for rule in group["rules"]]
    assert len(watching.ask("targets")["activeTargets"]) == 15
    assert [rule for rule in rules if rule["health"] == "err"] == []


def test_every_query_of_the_dashboards_is_answered(watching: Watching) -> None:
    for each in expressions():
        watching.ask("query", query=each.replace("$__rate_interval", "1m"))


def test_figures_have_the_labels_that_rules_and_dashboards_join_by(watching: Watching) -> None:
    def measured() -> bool:
        found = watching.ask("query", query='lumiere_outbox_depth{service="tasks",process="worker"}')["result"]
        return len(found) == 1

    wait_for("the outbox of tasks", measured, seconds=60, every=0.5)
    for query in ('lumiere_http_requests_total{service="tasks",process="web"}', 'process_open_fds{service="gateway"}'):
        assert watching.ask("query", query=query)["result"], query


def test_a_healthy_platform_is_silent(watching: Watching) -> None:
    wait_for("a quiet moment", lambda: watching.firing() <= IN_HASTE, seconds=90, every=1)

    assert watching.firing() <= IN_HASTE


def test_what_happens_is_told_to_the_incident_channel_with_its_runbook_and_when_it_is_over(
    watching: Watching, lumiere: Lumiere
) -> None:
    def told(word: str) -> bool:
        return any(path == "/slack" and word in json.dumps(message) for path, message in list(watching.messages))

    lumiere("gateway", "maintenance", "on", "--reason", "a rehearsal of the alert")
    try:
        wait_for("the alert", lambda: told("[SEV-2] MaintenanceTooLong"), seconds=90, every=0.5)
    finally:
        lumiere("gateway", "maintenance", "follow")
    assert told("docs/runbooks/maintenance-too-long.md")
    wait_for("its end", lambda: told("MaintenanceTooLong is over"), seconds=120, every=0.5)
