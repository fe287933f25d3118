"""Debian's Prometheus and Alertmanager on the shipped configurations, with this machine's addresses in place of names."""

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
from ruamel.yaml import YAML

from ops.doctor.processes import Address
from ops.settings import ROOT

FOLDER = ROOT / "deploy" / "observability"
PROMETHEUS, ALERTMANAGER = shutil.which("prometheus") or "", shutil.which("prometheus-alertmanager") or ""
EVERY = "1s"
STOP_SECONDS = 20


def prometheus_config(addresses: Sequence[Address], watchman_port: int, alertmanager_port: int, rules: Path) -> dict[str, Any]:
    """The shipped configuration; jobs whose servers are not there are left out."""
    shipped: dict[str, Any] = YAML(typ="safe").load(FOLDER / "prometheus.yml")
    shipped["global"] |= {"scrape_interval": EVERY, "scrape_timeout": EVERY, "evaluation_interval": EVERY}
    shipped["rule_files"] = [str(rules / "*.yml")]
    shipped["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager_port}"]}]}]
    kinds = {"web": "web", "worker": "worker", "stream": "stream", "gateway": "control"}
    jobs = []
    for job in shipped["scrape_configs"]:
        if job["job_name"] == "watchman":
            job["static_configs"][0]["targets"] = [f"127.0.0.1:{watchman_port}"]
            jobs.append(job)
        elif job["job_name"] in kinds:
            chosen = [each for each in addresses if each.kind == kinds[job["job_name"]]]
            static = [
                {"targets": [httpx.URL(each.url).netloc.decode()], "labels": {"service": each.service, "process": each.kind}}
                for each in chosen
            ]
            jobs.append({"job_name": job["job_name"], "honor_labels": job["honor_labels"], "static_configs": static})
    shipped["scrape_configs"] = jobs
    return shipped


def impatient_rules(folder: Path) -> Path:
    """The shipped rules, firing at once."""
    for path in sorted((FOLDER / "rules").glob("*.yml")):
        document = YAML(typ="safe").load(path)
        for rule in (rule for group in document["groups"] for rule in group["rules"]):
            if "alert" in rule:
                rule["for"] = "0s"
        (folder / path.name).write_text(json.dumps(document), encoding="utf-8")
    return folder


def alertmanager_config(folder: Path, told: str) -> dict[str, Any]:
    """The shipped configuration; what would leave goes to `told`, and soon."""
    shipped: dict[str, Any] = YAML(typ="safe").load(FOLDER / "alertmanager.yml")
    webhook, key = folder / "slack", folder / "pagerduty"
    webhook.write_text(f"{told}/slack", encoding="ascii")
    key.write_text("a-routing-key", encoding="ascii")
    shipped["global"]["slack_api_url_file"] = str(webhook)
    shipped["templates"] = [str(FOLDER / "templates" / "*.tmpl")]
    for route in (shipped["route"], *shipped["route"]["routes"]):
        route |= {"group_wait": EVERY, "group_interval": EVERY}
    for receiver in shipped["receivers"]:
        for each in receiver.get("pagerduty_configs", ()):
            each |= {"routing_key_file": str(key), "url": f"{told}/pagerduty"}
    return shipped


@contextmanager
def running(command: Sequence[str], log: Path) -> Iterator[None]:
    """A server for the length of a block."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            yield
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


@contextmanager
def inbox() -> Iterator[tuple[str, list[tuple[str, Mapping[str, Any]]]]]:
    """What Slack and PagerDuty would be told: (address, messages by path)."""
    messages: list[tuple[str, Mapping[str, Any]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            messages.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(202 if self.path == "/pagerduty" else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", messages
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
