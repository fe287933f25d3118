"""Every metric that the platform's code exports, found in the code itself: what dashboards and rules may ask for."""

from collections.abc import Iterator
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
from ops import manifests
from ops.observability import watchman

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
    manifests.services()  # each declares its own when it is imported
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
