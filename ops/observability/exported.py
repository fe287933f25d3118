"""Every metric that the platform's code exports, found in the code itself: what dashboards and rules may ask for."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily, Metric

from gateway.current import KeptCurrent
from gateway.folder import Folder
from gateway.gauges import gauges
from gateway.measures import Tally
from gateway.spans import Spans
from libs.common.config import Settings
from libs.common.service import web, worker
from libs.common.service.synchroniser import SYNCHRONISED_AT
from libs.common.telemetry.introduction import Introduction
from libs.common.telemetry.memory import MemoryLimit
from ops.observability import watchman
from ops.settings import ROOT

SERVICES, GATEWAY, WATCHMAN, PROCESS = "every service", "the gateway", "the watchman", "every process"
OURS: Final = "lumiere_"
_PRESENT: Final = (web, worker, SYNCHRONISED_AT)
"""Imported so that what they declare is in the registry."""
_STATUS: Final[dict[str, Any]] = {
    "broadcast": False,
    **{f"{name}_fetched": False for name in ("keys", "revocations", "maintenance")},
    "fetched_at": {},
}


def families() -> dict[str, tuple[Metric, str]]:
    """Name of the family (as it is scraped, counters without `_total`) → what it is, and who exports it."""
    found: dict[str, tuple[Metric, str]] = {}
    for who, metrics in ((SERVICES, _of_services()), (GATEWAY, _of_the_gateway()), (WATCHMAN, _of_the_watchman())):
        for metric in metrics:
            holder = who if metric.name.startswith(OURS) else PROCESS
            found.setdefault(metric.name, (metric, holder))
    return found


def sample_names() -> set[str]:
    """Every name that a query may use."""
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "summary": ("_count", "_sum")}
    return {name + suffix for name, (metric, _) in families().items() for suffix in suffixes.get(metric.type, ("",))}


def _of_services() -> Iterator[Metric]:
    for path in sorted((ROOT / "services").glob("*/app.py")):
        import_module(f"services.{path.parent.name}.app")  # each declares its own
    yield from REGISTRY.collect()
    yield from Introduction("", "", Settings()).collect()
    yield from MemoryLimit().collect()


def _of_the_gateway() -> Iterator[Metric]:
    yield from Tally().metrics()
    yield from Spans("http://127.0.0.1:1").metrics()
    nothing = SimpleNamespace(
        key_ids=[],
        revocation_counts=dict,
        maintenance=SimpleNamespace(enabled=False),
        folder=Folder(Path("/nowhere")),
        compiles={},
        current=False,
        expiries={},
        haproxy=SimpleNamespace(replicas=dict),
    )
    yield from gauges(cast(KeptCurrent, nothing), _STATUS)


def _of_the_watchman() -> Iterator[Metric]:
    for name, (meaning, labels) in watchman.FAMILIES.items():
        yield GaugeMetricFamily(name, meaning, labels=labels)


HEAD: Final = """# Metrics

{notice} What to look at first, and what alerts ask for, stands in [observability.md](observability.md).

Every process answers `/metrics` inside the network: services, workers and streams on their own port, the gateway on
`GATEWAY_METRICS_PORT`, the watchman on `LUMIERE_WATCHMAN_PORT`. No label holds an identity, an address or anything that
somebody wrote. Scraped by the shipped configuration each sample also has `service` and `process`.

| metric | kind | labels | meaning |
|---|---|---|---|
"""


def metrics_page(notice: str) -> str:
    """docs/metrics.md."""
    known = families()
    lines = [HEAD.format(notice=notice)]
    for who in (SERVICES, GATEWAY, WATCHMAN, PROCESS):
        lines.append(f"| **{who}** | | | |\n")
        lines += [_row(metric) for name, (metric, holder) in sorted(known.items()) if holder == who]
    return "".join(lines)


def _row(metric: Metric) -> str:
    name = metric.name + ("_total" if metric.type == "counter" else "")
    labels = ", ".join(f"`{each}`" for each in labels_of(metric))
    return f"| `{name}` | {metric.type} | {labels} | {metric.documentation.rstrip('.')} |\n"


def labels_of(metric: Metric) -> tuple[str, ...]:
    """The labels that its samples have; the client library keeps them to itself."""
    # Under the name of its first sample in the registry, or in the family itself when it was made for one answer.
    collectors = getattr(REGISTRY, "_names_to_collectors")  # noqa: B009 - private, and without a public equal
    holder = collectors.get(metric.name, metric) if not hasattr(metric, "_labelnames") else metric
    return tuple(getattr(holder, "_labelnames", ()) or ())
