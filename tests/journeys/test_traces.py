"""One request is one trace, from the gateway through outbox and broker to every consumer; logs can be joined to it."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from libs.common.ids import new_id
from libs.common.telemetry.traces import new_traceparent
from ops.demo.client import wait_for
from ops.demo.report import StepFailed
from ops.span_receiver import Span, SpanReceiver
from tests.journeys.inside import Inside
from tests.journeys.people import Studio

pytestmark = pytest.mark.platform

EXPECTED = {
    ("gateway", "POST tasks.review_submission"),
    ("tasks", "POST /api/v1/admin/submissions/<submission_id>/review"),
    ("tasks", "tasks.task.validated publish"),
    ("payments", "tasks.task.validated process"),
    ("notify", "tasks.task.validated process"),
    ("ledger", "tasks.task.validated process"),
    ("payments", "payments.lumens.changed publish"),
    ("notify", "payments.lumens.changed process"),
    ("ledger", "payments.lumens.changed process"),
}
"""What a validation sets in motion, by service and name."""
SPANS_SECONDS = 60
"""Each process sends its spans in batches, and waits before it repeats what was not taken."""


@dataclass(frozen=True)
class Validation:
    """One request, and the spans of everything that followed."""

    traceparent: str
    request_id: str
    spans: list[Span]

    @property
    def trace_id(self) -> str:
        """The trace's name."""
        return self.traceparent.split("-")[1]


@pytest.fixture(scope="module")
def validation(studio: Studio, spans: SpanReceiver) -> Validation:
    traceparent, request_id = new_traceparent(sampled=True), f"validation-{new_id().hex}"
    trace_id = traceparent.split("-")[1]
    person, task = studio.newcomer(), studio.plan_task(studio.film(), f"Traced {new_id()}")
    work = studio.deliver(person, task)
    studio.advised(person, work)

    studio.approve(work, headers={"traceparent": traceparent, "X-Request-Id": request_id})

    def missing() -> set[tuple[str, str]]:
        return EXPECTED - {(each.service, each.name) for each in spans.trace(trace_id)}

    with suppress(StepFailed):  # which span did not come is said below
        wait_for("every span of the validation", lambda: not missing(), seconds=SPANS_SECONDS, every=0.2)
    assert not missing()
    return Validation(traceparent, request_id, spans.trace(trace_id))


def test_one_trace_hangs_together_from_the_gateway_to_every_consumer(validation: Validation) -> None:
    by_id = {each.span_id: each for each in validation.spans}
    roots = [each for each in validation.spans if each.parent_id not in by_id]

    assert [(each.service, each.parent_id) for each in roots] == [("gateway", validation.traceparent.split("-")[2])]
    assert len(by_id) == len(validation.spans)


def test_what_the_service_did_lies_within_what_the_gateway_saw(validation: Validation) -> None:
    found = {each.service: each for each in validation.spans if "POST" in each.name}

    assert found["gateway"].began <= found["tasks"].began <= found["tasks"].ended <= found["gateway"].ended


def test_the_gateways_line_and_the_services_lines_join_by_request_and_trace(validation: Validation, inside: Inside) -> None:
    def joined() -> bool:
        found = list(lines_with(inside, validation.request_id))
        return {(each["service"], each["event"]) for each in found} >= {("gateway", "request"), ("tasks", "http.request")}

    wait_for("both lines", joined, every=0.1)
    found = list(lines_with(inside, validation.request_id))
    assert {each["trace_id"] for each in found} == {validation.trace_id}
    assert {each["operation"] for each in found if each["event"] in {"request", "http.request"}} == {"tasks.review_submission"}


def test_a_request_without_a_trace_of_its_own_gets_one_that_all_its_lines_carry(studio: Studio, inside: Inside) -> None:
    request_id = f"untraced-{new_id().hex}"
    studio.administrator.get("/films", headers={"X-Request-Id": request_id})

    def both() -> bool:
        return {each["service"] for each in lines_with(inside, request_id)} == {"gateway", "tasks"}

    wait_for("both lines", both, every=0.1)
    (trace_id,) = {each["trace_id"] for each in lines_with(inside, request_id)}
    assert len(trace_id) == 32


def lines_with(inside: Inside, request_id: str) -> Iterator[dict[str, Any]]:
    """The log lines of one request, of gateway and services."""
    for path in inside.logs():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if request_id in line and line.startswith("{"):
                yield json.loads(line)
