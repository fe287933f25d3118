"""For each alert a series that it must fire on, and one just on the healthy side of it. Values are promtool's: `a+bxn`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

MINUTE, HOUR, DAY = 60, 3_600, 86_400
Series = Mapping[str, str]


@dataclass(frozen=True)
class Planted:
    """`bad` fires by `at`, `good` does not; both get `also`. `step` seconds lie between two values, without an end."""

    bad: Series
    good: Series
    at: int = HOUR
    also: Series = field(default_factory=dict)
    step: int = MINUTE


def steady(value: float) -> str:
    """The same at every step."""
    return f"{value:g}+0x1200"


def growing(by: float, start: float = 0) -> str:
    """A counter, or a moment that keeps up with time when `by` is the step."""
    return f"{start:g}+{by:g}x1200"


def gauge(name: str, bad: float, good: float, at: int = HOUR, **also: str) -> Planted:
    """One gauge above or below a limit."""
    return Planted({name: steady(bad)}, {name: steady(good)}, at, also)


def since(name: str, limit: float) -> Planted:
    """A moment that lies further back than the limit, or less far; time begins at 0 in these tests."""
    at = 2 * HOUR
    return Planted({name: steady(at - limit - 3 * HOUR)}, {name: growing(MINUTE, -limit * 0.9)}, at)


def until(name: str, limit: float) -> Planted:
    """A moment that comes sooner than the limit, or later."""
    return Planted({name: steady(limit + HOUR)}, {name: steady(limit + 4 * HOUR)}, 3 * HOUR)


REQUESTS: Final = 'lumiere_gateway_requests_total{operation="tasks.list_films",decision="public",status="200"}'
FAILURES: Final = 'lumiere_gateway_requests_total{operation="tasks.list_films",decision="public",status="503"}'
LOGINS: Final = 'lumiere_gateway_requests_total{operation="auth.login",decision="public",status="401"}'
TIMED: Final = 'lumiere_gateway_request_seconds_{}{{operation="tasks.list_films"{}}}'
DELIVERED: Final = 'lumiere_event_delivery_seconds_{}{{subscription="{}"{}}}'


def share(bad_per_minute: float, at: int = HOUR, good_per_minute: float = 0.001, step: int = MINUTE) -> Planted:
    """Beside 600 requests a minute that succeed so many fail."""
    scale = step / MINUTE
    return Planted(
        {FAILURES: growing(bad_per_minute * scale)},
        {FAILURES: growing(good_per_minute * scale)},
        at,
        {REQUESTS: growing(600 * scale)},
        step,
    )


def slower(within: float, at: int, step: int = MINUTE) -> Planted:
    """Of a hundred requests a minute so many take half a second at most; or all but a few."""
    scale = step / MINUTE
    limit = TIMED.format("bucket", ',le="0.5"')
    return Planted(
        {limit: growing(within * scale)},
        {limit: growing(99.9 * scale)},
        at,
        {TIMED.format("count", ""): growing(100 * scale)},
        step,
    )


def later(subscription: str, bound: str, within: float, at: int, step: int = MINUTE) -> Planted:
    """Of a hundred events a minute so many take effect in time; or all."""
    scale = step / MINUTE
    limit = DELIVERED.format("bucket", subscription, f',le="{bound}"')
    return Planted(
        {limit: growing(within * scale)},
        {limit: growing(100 * scale)},
        at,
        {DELIVERED.format("count", subscription, ""): growing(100 * scale)},
        step,
    )


PROCESSES: Final = [
    *((service, kind) for service in ("auth", "ledger", "media", "notify", "payments", "tasks") for kind in ("web", "worker")),
    ("notify", "stream"),
]
EVERY_PROCESS: Final = {f'up{{service="{service}",process="{kind}"}}': steady(1) for service, kind in PROCESSES}
ALL_BUT_ONE: Final = {**EVERY_PROCESS, 'up{service="ledger",process="worker"}': steady(0)}
SLOW: Final = {"at": 3 * DAY, "step": 20 * MINUTE}
FAST: Final = 70 * MINUTE

PLANTED: Final[Mapping[str, Planted]] = {
    # slo
    "GatewayAvailabilityBurnsFast": share(12, FAST),
    "GatewayAvailabilityBurnsSlowly": share(2, **SLOW),
    "GatewayLatencyBurnsFast": slower(80, FAST),
    "GatewayLatencyBurnsSlowly": slower(96, **SLOW),
    "PayFreshnessBurnsFast": later("payments.tasks.task", "10.0", 98, FAST),
    "PayFreshnessBurnsSlowly": later("payments.tasks.task", "10.0", 99.6, **SLOW),
    "EventDeliveryBurnsFast": later("notify.tasks.task", "30.0", 98, FAST),
    "EventDeliveryBurnsSlowly": later("notify.tasks.task", "30.0", 99.6, **SLOW),
    # gateway
    "GatewayDown": Planted(
        {'up{service="gateway"}': steady(0)}, {'up{service="gateway"}': steady(1), "lumiere_gateway_haproxy_answers": steady(1)}
    ),
    "GatewayErrorsHigh": share(60, good_per_minute=25),
    "GatewayErrorsRising": share(25, good_per_minute=10),
    "RouteFailing": share(100, good_per_minute=50),
    "GatewaySlow": Planted(
        {TIMED.format("bucket", ',le="0.25"'): growing(90)},
        {TIMED.format("bucket", ',le="0.25"'): growing(97)},
        also={
            TIMED.format("bucket", ',le="0.5"'): growing(100),
            TIMED.format("bucket", ',le="+Inf"'): growing(100),
            REQUESTS: growing(100),
        },
    ),
    "BackendWithoutReplica": gauge('lumiere_gateway_replicas_up{backend="tasks-web"}', 0, 1),
    "BackendReplicaDown": Planted(
        {'lumiere_gateway_replicas_up{backend="tasks-web"}': steady(1)},
        {'lumiere_gateway_replicas_up{backend="tasks-web"}': steady(2)},
        also={'lumiere_gateway_replicas{backend="tasks-web"}': steady(2)},
    ),
    "GatewayPolicyNotCurrent": gauge("lumiere_gateway_policy_current", 0, 1),
    "RevocationListStale": since('lumiere_revocations_synchronised_timestamp_seconds{service="tasks"}', 120),
    "BroadcastNotHeard": gauge("lumiere_gateway_broadcast_connected", 0, 1),
    "MaintenanceTooLong": gauge("lumiere_gateway_maintenance", 1, 0, 2 * HOUR),
    "CertificateExpiring": until('lumiere_gateway_certificate_expiry_timestamp_seconds{file="site.pem"}', 14 * DAY),
    "CertificateExpiresNow": until('lumiere_gateway_certificate_expiry_timestamp_seconds{file="site.pem"}', 2 * DAY),
    "LoginFailuresSurge": Planted(
        {LOGINS: "0+12x750 9000+240x60"}, {LOGINS: growing(240)}, 25 * HOUR + 30 * MINUTE, step=2 * MINUTE
    ),
    "GatewayLogLinesLost": Planted(
        {"lumiere_gateway_log_lines_lost": growing(50)}, {"lumiere_gateway_log_lines_lost": growing(5)}
    ),
    # bus
    "OutboxOld": gauge('lumiere_outbox_oldest_seconds{service="tasks"}', 61, 60),
    "OutboxStuck": gauge('lumiere_outbox_oldest_seconds{service="tasks"}', 901, 900),
    "BrokerAway": gauge('lumiere_relay_active{service="tasks"}', 0, 1),
    "RelayInactive": gauge('lumiere_relay_active{service="tasks"}', 0, 1),
    "RelayFailing": Planted(
        {'lumiere_relay_failures_total{service="tasks",reason="broker"}': growing(1)},
        {'lumiere_relay_failures_total{service="tasks",reason="broker"}': growing(0.4)},
    ),
    "DeadLetters": gauge('lumiere_dead_letters{subscription="payments.tasks.task"}', 1, 0),
    "ForgedEvents": Planted(
        {'lumiere_events_dead_lettered_total{subscription="notify.tasks.task",error="ForgedEvent"}': "0x50 1x50"},
        {'lumiere_events_dead_lettered_total{subscription="notify.tasks.task",error="KeyError"}': "0x50 1x50"},
    ),
    "EventsParked": gauge('lumiere_parked_oldest_seconds{service="payments",subscription="payments.tasks.task"}', 301, 300),
    "EventsUnroutable": gauge('lumiere_unroutable_events{service="tasks"}', 1, 0),
    "EventsRetrying": Planted(
        {'lumiere_events_retried_total{subscription="notify.tasks.task"}': growing(7)},
        {'lumiere_events_retried_total{subscription="notify.tasks.task"}': growing(5)},
    ),
    "QueueDeep": gauge('lumiere_queue_depth{subscription="ledger.every.event"}', 10_001, 10_000),
    "QueueWithoutConsumer": gauge('lumiere_queue_consumers{subscription="ledger.every.event"}', 0, 1),
    # proofs
    "LedgerBehind": gauge("lumiere_ledger_pending_oldest_seconds", 61, 60),
    "CheckpointOld": Planted(
        {"lumiere_ledger_checkpoint_timestamp_seconds": steady(0)},
        {"lumiere_ledger_checkpoint_timestamp_seconds": growing(MINUTE)},
        also={'lumiere_events_published_total{service="tasks"}': growing(1)},
    ),
    "LogShrank": Planted(
        {"lumiere_ledger_checkpoint_size": "100x30 99x99"}, {"lumiere_ledger_checkpoint_size": "100x30 101x99"}
    ),
    # money
    "MoneyInvariantBroken": gauge('lumiere_lumens_difference{difference="entries"}', -1, 0),
    "PaymentsFailed": gauge('lumiere_payables{currency="EUR",status="FAILED"}', 1, 0, 2 * HOUR),
    # mail
    "MailQueueOld": gauge("lumiere_mail_oldest_seconds", 901, 900),
    "MailFailing": Planted(
        {'lumiere_mail_attempts_total{outcome="queued"}': growing(30)},
        {'lumiere_mail_attempts_total{outcome="queued"}': growing(20)},
        also={'lumiere_mail_attempts_total{outcome="sent"}': growing(100)},
    ),
    # platform
    "ServiceAbsent": Planted(ALL_BUT_ONE, EVERY_PROCESS),
    "ProcessDown": gauge('up{service="tasks",process="web",instance="10.0.0.2:8000"}', 0, 1),
    "ProcessRestarting": Planted(
        {'process_start_time_seconds{service="tasks",process="worker"}': growing(120)},
        {'process_start_time_seconds{service="tasks",process="worker"}': steady(1)},
    ),
    "JobNotRun": Planted(
        {'lumiere_job_last_success_timestamp_seconds{service="tasks",job="run_advisory_reviews"}': steady(0)},
        {'lumiere_job_last_success_timestamp_seconds{service="tasks",job="run_advisory_reviews"}': growing(MINUTE)},
        also={'lumiere_job_interval_seconds{service="tasks",job="run_advisory_reviews"}': steady(60)},
    ),
    "JobFailing": Planted(
        {'lumiere_job_runs_total{service="tasks",job="run_advisory_reviews",outcome="failed"}': growing(0.5)},
        {'lumiere_job_runs_total{service="tasks",job="run_advisory_reviews",outcome="failed"}': growing(0.1)},
    ),
    "CompanionAway": gauge('lumiere_companion_up{service="notify",companion="mail"}', 0, 1),
    "MeasurementsStale": since('lumiere_measured_timestamp_seconds{service="payments"}', 600),
    # resources
    "DatabaseAway": gauge("lumiere_postgres_up", 0, 1),
    "DatabaseConnectionsHigh": Planted(
        {"lumiere_postgres_connections": steady(321)},
        {"lumiere_postgres_connections": steady(320)},
        also={"lumiere_postgres_connections_max": steady(400)},
    ),
    "DatabasePoolExhausted": Planted(
        {'lumiere_database_connections_in_use{service="tasks",process="web",instance="a",pool="transactions"}': steady(8)},
        {'lumiere_database_connections_in_use{service="tasks",process="web",instance="a",pool="transactions"}': steady(7)},
        also={'lumiere_database_connections_limit{service="tasks",process="web",instance="a",pool="transactions"}': steady(8)},
    ),
    "ReplicationLag": gauge('lumiere_postgres_replication_lag_seconds{standby="two"}', 31, 30),
    "StandbyMissing": Planted({"lumiere_postgres_standbys": "1x30 0x99"}, {"lumiere_postgres_standbys": steady(1)}),
    "DiskFilling": Planted(
        {'lumiere_disk_free_bytes{place="storage"}': steady(14)},
        {'lumiere_disk_free_bytes{place="storage"}': steady(15)},
        also={'lumiere_disk_bytes{place="storage"}': steady(100)},
    ),
    "DiskFull": Planted(
        {'lumiere_disk_free_bytes{place="storage"}': steady(4)},
        {'lumiere_disk_free_bytes{place="storage"}': steady(5)},
        also={'lumiere_disk_bytes{place="storage"}': steady(100)},
    ),
    "WebThreadsBusy": Planted(
        {'lumiere_web_requests_in_progress{service="tasks",process="web",instance="a"}': steady(10)},
        {'lumiere_web_requests_in_progress{service="tasks",process="web",instance="a"}': steady(9)},
        also={'lumiere_web_threads{service="tasks",process="web",instance="a"}': steady(10)},
    ),
    "MemoryHigh": Planted(
        {'process_resident_memory_bytes{service="tasks",process="web",instance="a"}': steady(91)},
        {'process_resident_memory_bytes{service="tasks",process="web",instance="a"}': steady(90)},
        also={'lumiere_memory_limit_bytes{service="tasks",process="web",instance="a"}': steady(100)},
    ),
    "FileDescriptorsHigh": Planted(
        {'process_open_fds{service="tasks",process="web",instance="a"}': steady(81)},
        {'process_open_fds{service="tasks",process="web",instance="a"}': steady(80)},
        also={'process_max_fds{service="tasks",process="web",instance="a"}': steady(100)},
    ),
    # safety
    "BackupOld": since("lumiere_backup_timestamp_seconds", 26 * HOUR),
    "BackupUnverified": since("lumiere_backup_verified_timestamp_seconds", 8 * DAY),
    "SecretsOld": since('lumiere_secret_rotated_timestamp_seconds{name="AUTH_SECRET"}', 90 * DAY),
    "WatchmanAbsent": gauge('up{service="watchman"}', 0, 1),
}
