"""Grafana's dashboards as code: what each panel asks, and how it is shown. `make manifests` writes them for Grafana."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ops.observability.slos import OBJECTIVES, PAY_SUBSCRIPTION, UNTIMED

SCHEMA_VERSION: Final = 39
WIDTH: Final = 24
HEIGHT: Final = 8
DATASOURCE: Final = {"type": "prometheus", "uid": "prometheus"}
RATE: Final = "[$__rate_interval]"


@dataclass(frozen=True)
class Query:
    """PromQL, and what its lines are called."""

    expression: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One picture. `thresholds`: value from which it is red; `unit` is Grafana's name of one."""

    title: str
    queries: Sequence[Query]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    red_from: float | None = None


@dataclass(frozen=True)
class Dashboard:
    """One page of pictures."""

    uid: str
    title: str
    panels: Sequence[Panel]


def one(title: str, expression: str, legend: str = "", **how: Any) -> Panel:
    """A panel with one query."""
    return Panel(title, [Query(expression, legend)], **how)


def rate(metric: str, by: str, selector: str = "") -> str:
    """A counter's growth a second, added up by labels."""
    return f"sum by ({by}) (rate({metric}{f'{{{selector}}}' if selector else ''}{RATE}))"


def quantile(share: float, metric: str, by: str, selector: str = "") -> str:
    """A quantile of a histogram, by labels."""
    return f"histogram_quantile({share}, {rate(f'{metric}_bucket', by, selector)})"


def quantiles(title: str, metric: str, by: str, selector: str = "") -> Panel:
    """The median and the 99th percentile of a histogram."""
    queries = [Query(quantile(share, metric, f"le, {by}", selector), f"{{{{{by}}}}} p{share * 100:g}") for share in (0.5, 0.99)]
    return Panel(title, queries, unit="s", width=12)


_TIMED: Final = f'operation!~"{"|".join(UNTIMED)}"'
_OVERVIEW: Final = Dashboard(
    "overview",
    "Overview",
    [
        *(
            one(
                f"Bad of {each.title} (budget {each.budget:.2%})",
                each.ratio("1h"),
                unit="percentunit",
                kind="stat",
                width=6,
                red_from=each.budget,
            )
            for each in OBJECTIVES
        ),
        one("Requests", rate("lumiere_gateway_requests_total", "status"), "{{status}}", unit="reqps"),
        Panel(
            "Time to answer at the door",
            [
                Query(quantile(share, "lumiere_gateway_request_seconds", "le", _TIMED), f"p{share * 100:g}")
                for share in (0.5, 0.95, 0.99)
            ],
            unit="s",
        ),
        one("Alerts that fire", 'sum by (alertname, severity) (ALERTS{alertstate="firing"})', "{{severity}} {{alertname}}"),
        one("Outbox age", "max by (service) (lumiere_outbox_oldest_seconds)", "{{service}}", unit="s", red_from=60),
        one("Dead letters", "max by (subscription) (lumiere_dead_letters)", "{{subscription}}", red_from=1),
        one("Facts that wait to be sealed", "max(lumiere_ledger_pending_leaves)", "leaves"),
        one("The book of Lumens is off by", "max by (difference) (lumiere_lumens_difference)", "{{difference}}", red_from=1),
        one("Processes that answer", "sum by (service, process) (up)", "{{service}} {{process}}"),
        one("Maintenance", "max(lumiere_gateway_maintenance)", "shut", kind="stat", red_from=1),
    ],
)
_GATEWAY: Final = Dashboard(
    "gateway",
    "Gateway: each route",
    [
        one(
            "Requests by route",
            rate("lumiere_gateway_requests_total", "operation"),
            "{{operation}}",
            unit="reqps",
        ),
        one(
            "5xx by route",
            rate("lumiere_gateway_requests_total", "operation", 'status=~"5.."'),
            "{{operation}}",
            unit="reqps",
        ),
        one(
            "Refusals by decision",
            rate("lumiere_gateway_requests_total", "decision", 'decision!~"public|permitted"'),
            "{{decision}}",
            unit="reqps",
        ),
        quantiles("Time by route", "lumiere_gateway_request_seconds", "operation", _TIMED),
        Panel(
            "Replicas",
            [
                Query("max by (backend) (lumiere_gateway_replicas)", "{{backend}} known"),
                Query("max by (backend) (lumiere_gateway_replicas_up)", "{{backend}} up"),
            ],
            width=12,
        ),
        one("Withdrawals in force", "max by (kind) (lumiere_gateway_revocations)", "{{kind}}"),
        one(
            "Since auth last answered",
            "time() - min by (what) (lumiere_gateway_fetched_timestamp_seconds)",
            "{{what}}",
            unit="s",
            red_from=120,
        ),
        one("Failed handshakes", rate("lumiere_gateway_refused_connections_total", "reason"), "{{reason}}"),
        one(
            "Days until certificates end",
            "(min by (file) (lumiere_gateway_certificate_expiry_timestamp_seconds) - time()) / 86400",
            "{{file}}",
        ),
        one("Log lines that the figures lack", "max(lumiere_gateway_log_lines_lost)", "lines"),
        one("Spans", rate("lumiere_gateway_spans_total", "outcome"), "{{outcome}}"),
    ],
)
_SERVICES: Final = Dashboard(
    "services",
    "Services: requests and resources",
    [
        one("Requests", rate("lumiere_http_requests_total", "service"), "{{service}}", unit="reqps"),
        one(
            "5xx by operation",
            rate("lumiere_http_requests_total", "operation", 'status=~"5.."'),
            "{{operation}}",
            unit="reqps",
        ),
        one(
            "Database pool in use",
            "max by (service, process, pool) (lumiere_database_connections_in_use / lumiere_database_connections_limit)",
            "{{service}} {{process}} {{pool}}",
            unit="percentunit",
            red_from=1,
        ),
        quantiles("Time by operation", "lumiere_http_request_seconds", "operation"),
        Panel(
            "Requests in hand and waiting",
            [
                Query("sum by (service, process) (lumiere_web_requests_in_progress)", "{{service}} {{process}}"),
                Query("sum by (service, process) (lumiere_web_requests_waiting)", "{{service}} {{process}} waiting"),
            ],
            width=12,
        ),
        one("Processor", rate("process_cpu_seconds_total", "service, process"), "{{service}} {{process}}"),
        one("Memory", "max by (service, process) (process_resident_memory_bytes)", "{{service}} {{process}}", unit="bytes"),
        one(
            "Memory of what the container may have",
            "max by (service, process) (process_resident_memory_bytes / lumiere_memory_limit_bytes)",
            "{{service}} {{process}}",
            unit="percentunit",
            red_from=0.9,
        ),
        one("Open files", "max by (service, process) (process_open_fds)", "{{service}} {{process}}"),
        one("Request threads", "sum by (service, process) (lumiere_web_threads)", "{{service}} {{process}}"),
        one(
            "Since withdrawals were read",
            "time() - min by (service) (lumiere_revocations_synchronised_timestamp_seconds)",
            "{{service}}",
            unit="s",
            red_from=120,
        ),
        one("Companions that answer", "min by (service, companion) (lumiere_companion_up)", "{{service}} {{companion}}"),
    ],
)
_BUS: Final = Dashboard(
    "bus",
    "Bus: facts on their way",
    [
        one("Outbox depth", "max by (service) (lumiere_outbox_depth)", "{{service}}"),
        one("Outbox age", "max by (service) (lumiere_outbox_oldest_seconds)", "{{service}}", unit="s", red_from=60),
        one("Published", rate("lumiere_events_published_total", "service"), "{{service}}", unit="ops"),
        one("Queue depth", "max by (subscription) (lumiere_queue_depth)", "{{subscription}}"),
        one("Consumers", "max by (subscription) (lumiere_queue_consumers)", "{{subscription}}"),
        one(
            "Consumed",
            rate("lumiere_events_consumed_total", "subscription, outcome"),
            "{{subscription}} {{outcome}}",
        ),
        quantiles("From commit to effect", "lumiere_event_delivery_seconds", "subscription"),
        Panel(
            "Relays",
            [
                Query("sum by (service) (lumiere_relay_active)", "{{service}} at work"),
                Query(rate("lumiere_relay_failures_total", "service, reason"), "{{service}} fails: {{reason}}"),
            ],
            width=12,
        ),
        one("On the retry ladder", "max by (subscription) (lumiere_events_waiting_for_retry)", "{{subscription}}"),
        one("Retries", rate("lumiere_events_retried_total", "subscription"), "{{subscription}}"),
        one("Dead letters", "max by (subscription) (lumiere_dead_letters)", "{{subscription}}", red_from=1),
        one(
            "New dead letters",
            f"sum by (subscription, error) (increase(lumiere_events_dead_lettered_total{RATE}))",
            "{{subscription}} {{error}}",
        ),
        one("Parked", "max by (subscription) (lumiere_parked_events)", "{{subscription}}"),
        one(
            "Parked since", "max by (subscription) (lumiere_parked_oldest_seconds)", "{{subscription}}", unit="s", red_from=300
        ),
        one("Wanted by no queue", "max by (service) (lumiere_unroutable_events)", "{{service}}", red_from=1),
        one(
            "Broadcasts",
            rate("lumiere_broadcasts_received_total", "service, outcome"),
            "{{service}} {{outcome}}",
        ),
    ],
)
_STUDIO: Final = Dashboard(
    "studio",
    "Studio: work, pay and proofs",
    [
        one("Tasks", "max by (status) (lumiere_tasks)", "{{status}}"),
        one("Lumens", "max by (kind) (lumiere_lumens)", "{{kind}}"),
        one("The book of Lumens is off by", "max by (difference) (lumiere_lumens_difference)", "{{difference}}", red_from=1),
        one("Payments", "max by (currency, status) (lumiere_payables)", "{{currency}} {{status}}"),
        one(
            "Owed and paid, minor units",
            "max by (currency, status) (lumiere_payables_minor_units)",
            "{{currency}} {{status}}",
        ),
        one(
            "From validation to Lumens, 99th percentile",
            quantile(0.99, "lumiere_event_delivery_seconds", "le", f'subscription="{PAY_SUBSCRIPTION}"'),
            "p99",
            unit="s",
            red_from=10,
        ),
        one("Leaves that a checkpoint covers", "max(lumiere_ledger_checkpoint_size)", "leaves"),
        Panel(
            "Committed and sealed",
            [
                Query(f"sum(rate(lumiere_events_published_total{RATE}))", "published"),
                Query("deriv(max(lumiere_ledger_checkpoint_size)[5m:15s])", "sealed"),
            ],
            unit="ops",
        ),
        one("Oldest fact that is not sealed", "max(lumiere_ledger_pending_oldest_seconds)", "age", unit="s", red_from=60),
        one("E-mails on their way", "max(lumiere_mail_queued)", "queued"),
        one("Oldest of them", "max(lumiere_mail_oldest_seconds)", "age", unit="s", red_from=900),
        one("Attempts to send", rate("lumiere_mail_attempts_total", "outcome"), "{{outcome}}"),
        one("Uploads", "max by (status) (lumiere_uploads)", "{{status}}"),
        one("Bytes received", "max by (status) (lumiere_upload_bytes)", "{{status}}", unit="bytes"),
    ],
)
_GROUND: Final = Dashboard(
    "ground",
    "Ground: database, disks, jobs, backups",
    [
        Panel(
            "Connections to Postgres",
            [Query("max(lumiere_postgres_connections)", "open"), Query("max(lumiere_postgres_connections_max)", "allowed")],
        ),
        Panel(
            "Postgres on disk",
            [
                Query("max(lumiere_postgres_database_bytes)", "database"),
                Query("max(lumiere_postgres_wal_bytes)", "write-ahead log"),
            ],
            unit="bytes",
        ),
        one(
            "Standbys behind",
            "max by (standby) (lumiere_postgres_replication_lag_seconds)",
            "{{standby}}",
            unit="s",
            red_from=30,
        ),
        one(
            "Free on disks",
            "min by (place) (lumiere_disk_free_bytes / lumiere_disk_bytes)",
            "{{place}}",
            unit="percentunit",
        ),
        one("Age of the newest backup", "time() - max(lumiere_backup_timestamp_seconds)", "age", unit="s", red_from=93_600),
        one(
            "Age of the newest verified backup",
            "time() - max(lumiere_backup_verified_timestamp_seconds)",
            "age",
            unit="s",
            red_from=691_200,
        ),
        one(
            "Age of secrets, days",
            "(time() - lumiere_secret_rotated_timestamp_seconds) / 86400",
            "{{name}}",
            red_from=90,
        ),
        one(
            "Runs of jobs",
            rate("lumiere_job_runs_total", "service, job, outcome"),
            "{{service}} {{job}} {{outcome}}",
        ),
        one(
            "Since jobs succeeded, in intervals",
            "(time() - max by (service, job) (lumiere_job_last_success_timestamp_seconds)) "
            "/ max by (service, job) (lumiere_job_interval_seconds)",
            "{{service}} {{job}}",
            red_from=3,
        ),
        quantiles("Duration of jobs", "lumiere_job_seconds", "job"),
        one("What the watchman cannot read", "max by (part) (lumiere_watchman_failed)", "{{part}}", red_from=1, width=12),
    ],
)
DASHBOARDS: Final = (_OVERVIEW, _GATEWAY, _SERVICES, _BUS, _STUDIO, _GROUND)


def expressions() -> Iterator[str]:
    """Every query of every dashboard."""
    for dashboard in DASHBOARDS:
        for panel in dashboard.panels:
            yield from (each.expression for each in panel.queries)


def document(dashboard: Dashboard) -> bytes:
    """As Grafana reads it."""
    panels = list(_placed(dashboard.panels))
    written = {
        "uid": f"lumiere-{dashboard.uid}",
        "title": dashboard.title,
        "tags": ["lumiere"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        "refresh": "15s",
        "time": {"from": "now-3h", "to": "now"},
        "links": [{"type": "dashboards", "tags": ["lumiere"], "title": "Lumière", "asDropdown": True}],
        "panels": panels,
    }
    return (json.dumps(written, indent=1, ensure_ascii=False) + "\n").encode()


def _placed(panels: Sequence[Panel]) -> Iterator[dict[str, Any]]:
    x = y = 0
    for number, panel in enumerate(panels, 1):
        if x + panel.width > WIDTH:
            x, y = 0, y + HEIGHT
        yield _written(panel, number, x, y)
        x += panel.width


def _written(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.red_from is not None:
        steps.append({"color": "red", "value": panel.red_from})
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "datasource": DATASOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": HEIGHT},
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "min": 0,
                "thresholds": {"mode": "absolute", "steps": steps},
                "custom": {"thresholdsStyle": {"mode": "line" if panel.red_from is not None else "off"}},
            },
            "overrides": [],
        },
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": DATASOURCE, "expr": each.expression, "legendFormat": each.legend}
            for place, each in enumerate(panel.queries)
        ],
    }
