"""What stands, rather than what happened: keys, revocations, replicas, certificates, the policy in force. Read when asked."""

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from gateway.current import KeptCurrent
from gateway.dry_run import DryRun
from gateway.haproxy import HaproxyAway


def gauges(gateway: KeptCurrent, status: Mapping[str, Any]) -> Iterator[Metric]:
    """Of this gateway; `status` is what the control process says of itself."""
    yield _one("keys", "Keys that tokens are verified with", len(gateway.key_ids))
    yield _many("revocations", "Withdrawals in force", "kind", gateway.revocation_counts())
    yield _one("maintenance", "Whether the door is shut for maintenance", gateway.maintenance.enabled)
    yield _one("broadcast_connected", "Whether withdrawals are heard at once", status["broadcast"])
    yield _many(
        "fetched",
        "Whether auth has answered since this process started",
        "what",
        {name: status[f"{name}_fetched"] for name in ("keys", "revocations", "maintenance")},
    )
    yield _many("fetched_timestamp_seconds", "When auth last answered, or this process started", "what", status["fetched_at"])
    trial = DryRun(gateway.folder)
    yield _one("candidate_on_trial", "Whether a candidate policy judges beside the one in force", trial.compiled())
    compiled = CounterMetricFamily("lumiere_gateway_compiles", "Compilations of the policy by outcome", labels=["outcome"])
    for outcome, count in sorted(gateway.compiles.items()):
        compiled.add_metric([outcome], count)
    yield compiled
    yield _one("policy_current", "Whether what is declared now is in force", gateway.current)
    yield _many("certificate_expiry_timestamp_seconds", "When a certificate ends", "file", gateway.expiries)
    yield from _replicas(gateway)


def _replicas(gateway: KeptCurrent) -> Iterator[Metric]:
    try:
        replicas = gateway.haproxy.replicas()
    except HaproxyAway:
        yield _one("haproxy_answers", "Whether HAProxy answers the control process", False)
        return
    yield _one("haproxy_answers", "Whether HAProxy answers the control process", True)
    yield _many("replicas", "Replicas that are known", "backend", {name: len(each) for name, each in replicas.items()})
    up = {name: sum(state.startswith("UP") for state in each.values()) for name, each in replicas.items()}
    yield _many("replicas_up", "Replicas that requests go to", "backend", up)


def _one(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(f"lumiere_gateway_{name}", meaning, float(value))


def _many(name: str, meaning: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"lumiere_gateway_{name}", meaning, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], float(value))
    return family
