"""What `lumiere top` makes of two looks at the platform's processes."""

from typing import Any

import pytest
from rich.console import Console

from ops.doctor.processes import Address
from ops.top.figures import Standing, standing
from ops.top.reading import Reading, understood
from ops.top.showing import picture

SERVED = """\
# TYPE lumiere_http_requests_total counter
lumiere_http_requests_total{{operation="tasks.list_films",status="200"}} {ok}
lumiere_http_requests_total{{operation="tasks.list_films",status="503"}} {failed}
# TYPE lumiere_http_request_seconds histogram
lumiere_http_request_seconds_bucket{{operation="tasks.list_films",le="0.01"}} {fast}
lumiere_http_request_seconds_bucket{{operation="tasks.list_films",le="0.1"}} {ok}
lumiere_http_request_seconds_bucket{{operation="tasks.list_films",le="+Inf"}} {ok}
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total {cpu}
# TYPE lumiere_database_connections_in_use gauge
lumiere_database_connections_in_use{{service="tasks",pool="reads"}} 3
lumiere_database_connections_limit{{service="tasks",pool="reads"}} 8
"""
WORKED = """\
# TYPE lumiere_outbox_depth gauge
lumiere_outbox_depth{{service="tasks"}} 7
lumiere_outbox_oldest_seconds{{service="tasks"}} 70
lumiere_relay_active{{service="tasks"}} {relay}
# TYPE lumiere_events_published_total counter
lumiere_events_published_total{{service="tasks"}} {published}
# TYPE lumiere_queue_depth gauge
lumiere_queue_depth{{subscription="tasks.media.upload"}} 4
lumiere_queue_consumers{{subscription="tasks.media.upload"}} 2
lumiere_dead_letters{{subscription="tasks.media.upload"}} 1
# TYPE lumiere_events_consumed_total counter
lumiere_events_consumed_total{{subscription="tasks.media.upload",outcome="applied"}} {published}
lumiere_events_consumed_total{{subscription="tasks.media.upload",outcome="duplicate"}} 99
"""
COUNTED = """\
# TYPE lumiere_gateway_requests_total counter
lumiere_gateway_requests_total{{operation="tasks.list_films",decision="public",status="200"}} {ok}
lumiere_gateway_requests_total{{operation="",decision="not_found",status="404"}} {refused}
# TYPE lumiere_gateway_maintenance gauge
lumiere_gateway_maintenance {shut}
lumiere_gateway_replicas{{backend="tasks-web"}} 2
lumiere_gateway_replicas_up{{backend="tasks-web"}} 1
"""
TEN = 10.0


def reading(name: str, at: float, text: str, service: str = "tasks", kind: str = "web", **values: Any) -> Reading:
    """A process that told this."""
    return Reading(Address(name, "http://x/metrics", service, kind), at, understood(text.format(**values)))


def web(at: float, **values: Any) -> Reading:
    return reading("tasks-web-1", at, SERVED, **{"ok": 0, "failed": 0, "fast": 0, "cpu": 0, **values})


def worker(number: int, at: float, **values: Any) -> Reading:
    return reading(f"tasks-worker-{number}", at, WORKED, kind="worker", **{"relay": 0, "published": 0, **values})


def gateway(at: float, **values: Any) -> Reading:
    return reading("gateway", at, COUNTED, "gateway", "control", **{"ok": 0, "refused": 0, "shut": 0, **values})


def shown(now: Standing) -> str:
    """As it stands in the terminal."""
    console = Console(width=200, no_color=True)
    with console.capture() as captured:
        console.print(picture(now))
    return captured.get()


def test_rates_and_times_are_of_the_time_between_the_two_looks() -> None:
    now = standing([web(0, ok=100, fast=100, cpu=5)], [web(TEN, ok=200, failed=20, fast=190, cpu=10)])

    (process,) = now.processes
    assert process.requests is not None
    assert process.requests.per_second == pytest.approx(12)
    assert process.requests.errors_per_second == pytest.approx(2)
    assert (process.requests.median_seconds, process.requests.slow_seconds) == (0.01, 0.1)
    assert process.cpu == pytest.approx(0.5)
    assert (process.connections, process.connections_max) == (3, 8)


def test_without_requests_there_is_no_time_to_answer() -> None:
    now = standing([web(0, ok=5, fast=5)], [web(TEN, ok=5, fast=5)])

    assert now.processes[0].requests is not None
    assert now.processes[0].requests.slow_seconds is None


def test_a_process_that_was_started_anew_has_no_negative_rate() -> None:
    now = standing([web(0, ok=900, cpu=50)], [web(TEN, ok=1, cpu=0.1)])

    assert now.processes[0].requests is not None
    assert (now.processes[0].requests.per_second, now.processes[0].cpu) == (0, 0)


def test_what_replicas_measure_alike_counts_once_and_what_each_does_is_added_up() -> None:
    now = standing([worker(1, 0), worker(2, 0)], [worker(1, TEN, relay=1, published=20), worker(2, TEN, published=10)])

    (outbox,), (subscription,) = now.outboxes, now.subscriptions
    assert (outbox.depth, outbox.oldest_seconds, outbox.relays) == (7, 70, 1)
    assert outbox.published_per_second == pytest.approx(3)
    assert (subscription.depth, subscription.consumers, subscription.dead) == (4, 2, 1)
    assert subscription.applied_per_second == pytest.approx(3)


def test_the_door_tells_what_passed_and_what_it_refused() -> None:
    now = standing([gateway(0)], [gateway(TEN, ok=80, refused=20, shut=1)])

    assert now.door is not None
    assert now.door.requests.per_second == pytest.approx(10)
    assert now.door.refused_per_second == pytest.approx(2)
    assert (now.door.maintenance, now.door.replicas_up, now.door.replicas) == (True, 1, 2)
    assert "shut for maintenance" in shown(now)


def test_who_does_not_answer_is_named() -> None:
    silent = Reading(Address("tasks-web-2", "http://x/metrics", "tasks", "web"), TEN, failure="ConnectError")

    now = standing([web(0)], [web(TEN), silent])

    assert now.silent == ["tasks-web-2"]
    assert now.door is None
    assert "tasks-web-2" in shown(now)
    assert "does not answer" in shown(now)


def test_the_picture_has_every_part_before_anything_was_measured() -> None:
    text = shown(standing([], [web(0), worker(1, 0), gateway(0)]))

    for part in ("gateway", "PROCESS", "OUTBOX", "SUBSCRIPTION", "ledger", "mail", "not measured yet"):
        assert part in text
