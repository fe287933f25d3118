"""Nothing secret or personal leaves by the logs."""

import json

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from libs.common.ids import random_token
from libs.common.telemetry import Part, configure_logs, context, logger, spans_beside
from libs.common.telemetry.redaction import REDACTED, redact, redact_text
from libs.common.telemetry.reports import scrub
from libs.common.telemetry.traces import collect_spans, new_traceparent, span

TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLXNpZ25hdHVyZQ"


@pytest.mark.parametrize(
    "name", ["password", "new_password", "AUTH_SECRET", "access_token", "otp", "Authorization", "email", "recipient"]
)
def test_a_member_with_a_telling_name_is_redacted(name: str) -> None:
    assert redact({name: "value"}) == {name: REDACTED}


@pytest.mark.parametrize(
    "text",
    [
        f"got {TOKEN} here",
        "mail to ada@example.org now",
        "amqp://user:hunter2@host/",
        "Bearer abcdefgh12345678",
        "/verify?token=kS3bGqk0cYzv0Jj6T2mXWw1nq8hF4uRlA9eVtDpO5iE",
        "refused: sk_live_hunter2hunter2",
        "signed with whsec_hunter2hunter2",
        "re_hunter2A_hunter2hunter2hunter2",
        "https://hooks.slack.com/services/T1/B1/hunter2",  # pragma: allowlist secret
        "https://bucket/incoming/1?X-Amz-Expires=3600&X-Amz-Signature=hunter2",
    ],
)
def test_what_looks_like_a_secret_is_redacted_wherever_it_stands(text: str) -> None:
    cleaned = redact_text(text)

    for secret in (TOKEN, "ada@example.org", "hunter2", "abcdefgh12345678"):
        assert secret not in cleaned
    assert "token=[token]" in cleaned or "?token" not in text


@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10
    )
)
def test_redaction_never_fails_and_never_keeps_a_token(value: object) -> None:
    assert TOKEN not in json.dumps(redact({"deep": [value, TOKEN, {"x": TOKEN}]}))


def test_words_of_ours_are_no_tokens() -> None:
    for text in ("re_delivered_events", "hvs is Vault's", "whsec_…", "task_live_test"):
        assert redact_text(text) == text


def test_a_log_line_is_one_json_object_with_the_identifiers_of_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("tasks", "web")
    with context.bound(request_id="r-1", correlation_id="c-1", actor="user:1", traceparent=new_traceparent(sampled=True)):
        logger("x").info("task.claimed", task_id="t-1", password="hunter2", note="by ada@example.org")

    line = json.loads(capsys.readouterr().err.splitlines()[-1])
    structlog.reset_defaults()
    assert (line["event"], line["service"], line["request_id"], line["task_id"]) == ("task.claimed", "tasks", "r-1", "t-1")
    assert len(line["trace_id"]) == 32
    assert line["password"] == REDACTED
    assert "ada@" not in line["note"]


def test_an_error_report_carries_no_request_content() -> None:
    event = {
        "request": {"data": "x", "headers": {"a": "b"}, "url": f"http://h/?token={random_token()}"},
        "user": {"email": "a@b.org"},
    }

    cleaned = scrub(event)

    assert set(cleaned["request"]) == {"url"}
    assert "user" not in cleaned
    assert "token=[token]" in cleaned["request"]["url"]


def test_a_sampled_trace_goes_on_and_an_unsampled_one_is_only_carried() -> None:
    spans = collect_spans("tests")
    sampled, unsampled = new_traceparent(sampled=True), new_traceparent(sampled=False)

    with span("outer", sampled) as _, span("inner", context.current().traceparent):
        assert context.current().traceparent is not None
    with span("quiet", unsampled):
        assert context.current().traceparent == unsampled

    assert [each.name for each in spans.spans] == ["inner", "outer"]
    assert {format(each.context.trace_id, "032x") for each in spans.spans if each.context} == {sampled.split("-")[1]}


def test_work_for_several_traces_has_a_span_in_each_that_is_sampled_linked_to_the_one_in_hand() -> None:
    spans = collect_spans("tests")
    first, second, quiet = (new_traceparent(sampled=each) for each in (True, True, False))

    with span("whole", new_traceparent(sampled=True)):
        with spans_beside([Part("one", first), Part("two", second), Part("none", quiet)]):
            assert not [each.name for each in spans.spans]

    *parts, whole = spans.spans
    assert {each.name: format(each.parent.span_id, "016x") for each in parts if each.parent} == {
        "one": first.split("-")[2],
        "two": second.split("-")[2],
    }
    assert all([link.context for link in each.links] == [whole.context] for each in parts)


def test_a_part_ends_when_the_work_fails() -> None:
    spans = collect_spans("tests")

    with pytest.raises(RuntimeError), spans_beside([Part("one", new_traceparent(sampled=True))]):
        raise RuntimeError

    assert [each.name for each in spans.spans] == ["one"]
