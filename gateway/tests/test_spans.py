"""The gateway's spans: what they are made of, what a real HAProxy hands on, and that nothing waits for a collector."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.gauges import gauges
from gateway.measures import Measures
from gateway.spans import QUEUE_SPANS, Spans, span_of
from gateway.tests.running import RunningGateway, eventually
from gateway.tests.test_measures import STATUS, line
from ops.span_receiver import SpanReceiver, spans_in

NOWHERE = "http://127.0.0.1:1"
TRACE, CALLER = "ab" * 16, "cd" * 8


def entry(**changes: Any) -> dict[str, Any]:
    """A line of a request that is traced."""
    named = {"trace_id": TRACE, "span_id": "ef" * 8, "parent_id": CALLER, "timestamp": "2026-11-26T10:00:00.250Z"}
    told = {"method": "GET", "request_id": "a-request", "backend": "echo-web", "queue_milliseconds": -1}
    return {**json.loads(line()), **named, **told, **changes}


def attributes(span: dict[str, Any]) -> dict[str, Any]:
    """Name → value, whatever its kind."""
    return {each["key"]: next(iter(each["value"].values())) for each in span["attributes"]}


def test_a_span_says_what_the_line_says_and_nothing_that_was_not_reached() -> None:
    span = span_of(entry())

    assert (span["traceId"], span["spanId"], span["parentSpanId"]) == (TRACE, "ef" * 8, CALLER)
    assert span["name"] == "GET echo.a"
    assert attributes(span)["lumiere.decision"] == "permitted"
    assert attributes(span)["http.response.status_code"] == "200"
    assert "lumiere.queue_milliseconds" not in attributes(span)
    # 3 ms, and the millisecond in which the line was written.
    assert int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"]) == 4_000_000


def test_a_span_that_begins_a_trace_has_no_parent() -> None:
    assert "parentSpanId" not in span_of(entry(parent_id="-"))


@pytest.mark.parametrize(("status", "failed"), [(200, False), (404, False), (499, False), (500, True), (503, True), (-1, True)])
def test_what_the_platform_owes_is_an_error_and_what_the_client_did_is_none(status: int, failed: bool) -> None:
    assert bool(span_of(entry(status=status))["status"]) is failed


def test_a_request_that_is_not_traced_is_no_span() -> None:
    spans = Spans(NOWHERE)

    spans.take(entry(span_id="-"))
    spans.take(json.loads(line()))
    spans.send()

    assert (spans.sent, spans.lost) == (0, 0)


@pytest.mark.parametrize(("taken", "lost"), [(QUEUE_SPANS - 1, 0), (QUEUE_SPANS, 0), (QUEUE_SPANS + 1, 1)])
def test_a_full_queue_loses_spans_and_counts_them(taken: int, lost: int) -> None:
    spans = Spans(NOWHERE)

    for _ in range(taken):
        spans.take(entry())

    assert spans.lost == lost


def test_a_collector_that_is_away_costs_spans_and_nothing_else() -> None:
    spans = Spans(NOWHERE)
    spans.take(entry())

    spans.send()

    assert {tuple(each.labels.values()): each.value for family in spans.metrics() for each in family.samples} == {
        ("sent",): 0,
        ("lost",): 1,
    }


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningGateway, SpanReceiver]]:
    """A gateway whose requests are all traced, and what receives its spans."""
    running = RunningGateway(tmp_path_factory.mktemp("traced"), trace_sample_percent=100, spans=True)
    stopped = threading.Event()
    with SpanReceiver() as receiver:
        spans = Spans(receiver.endpoint)
        counting = Measures(running.folder, lambda: gauges(running.gateway, STATUS), spans)
        threads = [threading.Thread(target=each, args=(stopped,), daemon=True) for each in (counting.run, spans.run)]
        running.scale(1)
        running.publish_key()
        for thread in threads:
            thread.start()
        running.start()
        try:
            yield running, receiver
        finally:
            stopped.set()
            running.close()
            for thread in threads:
                thread.join(5)


def handed_on(running: RunningGateway, **headers: str) -> list[str]:
    """The traceparent that the service was given, in its parts."""
    answer = httpx.get(f"{running.url}/api/v1/echo", headers=headers)
    return str(answer.json()["headers"]["traceparent"]).split("-")


def test_the_gateways_span_stands_between_the_callers_and_the_services(traced: tuple[RunningGateway, SpanReceiver]) -> None:
    running, receiver = traced

    _, trace_id, span_id, flags = handed_on(running, traceparent=f"00-{TRACE}-{CALLER}-01")

    (span,) = eventually(lambda: [each for each in receiver.trace(TRACE) if each.span_id == span_id])
    assert (trace_id, flags, span.parent_id) == (TRACE, "01", CALLER)
    assert span_id != CALLER


def test_a_trace_that_begins_at_the_gateway_has_its_span_for_a_root(traced: tuple[RunningGateway, SpanReceiver]) -> None:
    running, receiver = traced

    _, trace_id, span_id, _ = handed_on(running)

    (span,) = eventually(lambda: receiver.trace(trace_id))
    assert (span.span_id, span.parent_id, span.name) == (span_id, "", "GET echo.get_echo")


def test_what_a_caller_does_not_sample_is_handed_on_as_it_came(traced: tuple[RunningGateway, SpanReceiver]) -> None:
    running, receiver = traced
    unsampled = "12" * 16

    assert handed_on(running, traceparent=f"00-{unsampled}-{CALLER}-00") == ["00", unsampled, CALLER, "00"]
    last = handed_on(running)[1]
    eventually(lambda: receiver.trace(last))
    assert receiver.trace(unsampled) == []


def test_no_span_holds_what_a_client_wrote(traced: tuple[RunningGateway, SpanReceiver]) -> None:
    running, receiver = traced
    planted = "planted-by-somebody"
    httpx.get(f"{running.url}/{planted}?q={planted}", headers={"User-Agent": planted, "Cookie": f"a={planted}"})
    last = handed_on(running)[1]
    eventually(lambda: receiver.trace(last))

    assert not any(planted.encode() in body for body in receiver.received)
    assert {span.service for body in receiver.received for span in spans_in(body)} == {"gateway"}


def test_a_gateway_without_a_collector_leaves_a_callers_trace_alone(tmp_path: Path) -> None:
    quiet = RunningGateway(tmp_path, trace_sample_percent=100)
    quiet.gateway.compile()

    assert "span_id" not in (quiet.folder.current / "haproxy.cfg").read_text(encoding="utf-8")
