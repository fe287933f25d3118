"""What is counted from the log's lines, and how HAProxy's lines come to be counted."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.certificates import expiries
from gateway.gauges import gauges
from gateway.measures import MILLISECONDS, WORKERS_KEPT, Measures, Tally, changed_by
from gateway.telling import Teller
from gateway.tests.running import RunningGateway, eventually, free_port
from libs.common.auth.policy import Role
from tests.certificates import certificate

STATUS = {
    "broadcast": True,
    "keys_fetched": True,
    "revocations_fetched": False,
    "maintenance_fetched": False,
    "fetched_at": {"keys": 1000.0},
}


def line(**changes: Any) -> bytes:
    """A line of the access log, as far as it is counted."""
    entry = {"event": "request", "operation": "echo.a", "decision": "permitted", "access": "ADMIN", "status": 200}
    return json.dumps({**entry, "milliseconds": 3, "worker": 1, "number": 0, **changes}, separators=(",", ":")).encode()


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Name and label values → value."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def told(tally: Tally) -> dict[tuple[str, ...], float]:
    """What a tally would tell."""
    return {(sample.name, *sample.labels.values()): sample.value for metric in tally.metrics() for sample in metric.samples}


def test_requests_are_counted_by_operation_decision_and_status() -> None:
    tally = Tally()

    tally.take([line(), line(number=1), line(number=2, operation="-", decision="not_found", status=404)])

    found = told(tally)
    assert found["lumiere_gateway_requests_total", "echo.a", "permitted", "200"] == 2
    assert found["lumiere_gateway_requests_total", "", "not_found", "404"] == 1
    assert found["lumiere_gateway_request_seconds_count", "echo.a"] == 2
    assert found["lumiere_gateway_request_seconds_sum", "echo.a"] == 0.006


@pytest.mark.parametrize("bound", MILLISECONDS)
def test_a_duration_belongs_to_the_first_bucket_that_holds_it(bound: int) -> None:
    for milliseconds, inside in ((bound - 1, 1), (bound, 1), (bound + 1, 0)):
        tally = Tally()
        tally.take([line(milliseconds=milliseconds)])
        assert told(tally)["lumiere_gateway_request_seconds_bucket", "echo.a", str(bound / 1000).removesuffix(".0")] == inside


def test_what_was_cut_off_before_it_was_measured_counts_as_no_time() -> None:
    tally = Tally()

    tally.take([line(milliseconds=-1, status=-1)])

    assert told(tally)["lumiere_gateway_request_seconds_sum", "echo.a"] == 0


def test_lines_that_never_came_are_known_whatever_their_order_and_worker() -> None:
    tally = Tally()

    tally.take([line(number=n) for n in (7, 5, 6, 10)])
    assert tally.lost == 2
    tally.take([line(number=n) for n in (8, 9)])
    assert tally.lost == 0
    for worker in range(2, WORKERS_KEPT + 3):
        tally.take([line(worker=worker, number=n) for n in (0, 2)])
    assert tally.lost == WORKERS_KEPT + 1


def test_what_is_no_line_of_the_log_is_passed_over_or_counted() -> None:
    tally = Tally()

    tally.take([b"Proxy door stopped.", b"", b'{"event":', b'{"event":"request"}', b"{}", b'{"event":"new"}'])

    assert told(tally)["lumiere_gateway_log_lines_unreadable_total",] == 3
    assert not tally.requests


def test_connections_that_ended_before_a_request_are_counted_by_reason() -> None:
    tally = Tally()

    tally.take(
        [
            b'{"event":"refused","reason":"SSL handshake failure","status":-1}',
            b'{"event":"refused","reason":"Success","status":400}',
            b'{"event":"refused","reason":"Success"}',
            b'{"event":"subscriber","termination":"cD"}',
        ]
    )

    found = told(tally)
    assert found["lumiere_gateway_refused_connections_total", "SSL handshake failure"] == 1
    assert found["lumiere_gateway_refused_connections_total", "Success"] == 1
    assert found["lumiere_gateway_requests_total", "", "malformed", "400"] == 1
    assert found["lumiere_gateway_subscriber_connections_total", "cD"] == 1


@pytest.mark.parametrize(
    ("decision", "candidate", "change"),
    [
        ("permitted", "permitted", None),
        ("permitted", "role_missing", "refuse"),
        ("public", "token_missing", "refuse"),
        ("role_missing", "permitted", "permit"),
        ("sent_to_login", "token_missing", None),
        ("sent_to_login", "public", "permit"),
        ("not_found", "public", "permit"),
        ("token_expired", "permitted", None),
        ("subject_limit", "permitted", None),
        ("role_missing", "not_found", None),
    ],
)
def test_only_what_the_policy_decides_counts_as_a_change(decision: str, candidate: str, change: str | None) -> None:
    assert changed_by(decision, candidate) == change


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningGateway, int]]:
    """A gateway whose port for metrics is open, and the port."""
    port = free_port()
    running = RunningGateway(tmp_path_factory.mktemp("watched"), metrics_port=port)
    stopped = threading.Event()
    try:
        running.scale(1)
        running.publish_key()
        running.start()
        yield running, port
    finally:
        stopped.set()
        running.close()


@pytest.fixture
def measures(watched: tuple[RunningGateway, int]) -> Iterator[Measures]:
    """Something that counts for it."""
    running, _ = watched
    counting = Measures(running.folder, lambda: gauges(running.gateway, STATUS))
    stopped = threading.Event()
    thread = threading.Thread(target=counting.run, args=(stopped,), daemon=True)
    thread.start()
    yield counting
    stopped.set()
    thread.join(5)


def test_every_request_of_a_running_gateway_is_counted(watched: tuple[RunningGateway, int], measures: Measures) -> None:
    running, _ = watched
    with httpx.Client(base_url=running.url) as client:
        for _ in range(50):
            client.get("/api/v1/echo")
        client.get("/api/v1/mine", headers=running.bearer())
        client.get("/api/v1/admin/things", headers=running.bearer(Role.VIEWER))
        client.get("/api/v1/admin/things")
        client.get("/nowhere")
    counted = measures.tally.requests

    eventually(lambda: counted["echo.get_echo", "public", "200"] >= 50 and counted["", "not_found", "404"] >= 1)

    assert counted["echo.get_mine", "permitted", "200"] == 1
    assert counted["echo.get_admin_things", "role_missing", "403"] == 1
    assert counted["echo.get_admin_things", "token_missing", "401"] == 1
    assert measures.tally.lost == 0


def test_counting_goes_on_after_a_reload_and_after_the_counter_was_away(
    watched: tuple[RunningGateway, int], measures: Measures
) -> None:
    running, _ = watched
    running.write_routes(json.loads(running.manifest.read_bytes())["routes"][:-2])
    assert running.gateway.compile()

    eventually(lambda: httpx.get(f"{running.url}/api/v1/echo") and measures.tally.requests["echo.get_echo", "public", "200"])

    assert running.gateway.compiles["in_force"] >= 1


def test_the_gauges_say_what_stands(watched: tuple[RunningGateway, int], measures: Measures) -> None:
    eventually(lambda: samples(measures.exposition().decode()).get(("lumiere_gateway_replicas_up", "echo-web")) == 1)

    found = samples(measures.exposition().decode())
    assert found["lumiere_gateway_keys",] == 1
    assert found["lumiere_gateway_broadcast_connected",] == 1
    assert found["lumiere_gateway_fetched", "revocations"] == 0
    assert found["lumiere_gateway_policy_current",] == 1
    assert found["lumiere_gateway_maintenance",] == 0
    assert found["lumiere_gateway_candidate_on_trial",] == 0
    assert found["lumiere_gateway_haproxy_answers",] == 1
    assert found["lumiere_gateway_revocations", "sessions"] == 0


def test_a_policy_that_is_refused_shows(watched: tuple[RunningGateway, int]) -> None:
    running, _ = watched
    kept = running.manifest.read_bytes()
    running.manifest.write_text("{", encoding="utf-8")
    with pytest.raises(Exception, match="is no JSON"):
        running.gateway.compile()
    refused = {
        sample.value for each in gauges(running.gateway, STATUS) if each.name.endswith("current") for sample in each.samples
    }
    running.manifest.write_bytes(kept)
    running.gateway.compile()

    assert refused == {0}
    assert running.gateway.current


def test_the_gateways_figures_come_from_the_control_process_itself(
    watched: tuple[RunningGateway, int], measures: Measures
) -> None:
    running, port = watched
    stopped = threading.Event()
    teller = threading.Thread(target=Teller(running.folder, dict, measures.exposition).run, args=(stopped,))
    teller.start()
    try:
        told = eventually(lambda: (answer := httpx.get(f"http://127.0.0.1:{port}/metrics")).status_code == 200 and answer)
        assert samples(told.text)["lumiere_gateway_keys",] == 1
        assert told.headers["content-type"].startswith("text/plain; version=")
    finally:
        stopped.set()
        teller.join()


def test_haproxys_own_figures_are_on_the_port_for_metrics_alone(watched: tuple[RunningGateway, int]) -> None:
    running, port = watched
    inside = f"http://127.0.0.1:{port}"

    assert "haproxy_process_uptime_seconds" in httpx.get(f"{inside}/metrics/haproxy").text
    assert httpx.get(f"{inside}/metrics").status_code == 503
    assert httpx.get(f"{inside}/api/v1/echo").status_code == 404
    assert httpx.get(f"{inside}/health").status_code == 404
    assert httpx.post(f"{inside}/metrics").status_code == 404
    for path in ("/metrics", "/metrics/haproxy"):
        assert httpx.get(f"{running.url}{path}").status_code == 404


def test_the_end_of_a_certificate_is_told_and_a_file_that_holds_none_is_left_out(tmp_path: Any) -> None:
    good, bad = certificate(tmp_path).server, tmp_path / "bad.pem"
    bad.write_text("none", encoding="utf-8")

    found = expiries([good, bad, tmp_path / "gone.pem"])

    assert list(found) == [good.name]
    assert found[good.name] > 1_700_000_000
