"""What Stripe sends: believed when it is signed over the very bytes, kept once, not there at all without a secret."""

import json
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from flask.testing import FlaskClient
from pydantic import SecretStr
from sqlalchemy import select
from stripe import WebhookSignature
from werkzeug.test import TestResponse

from libs.common import clock
from libs.common.config import DOOR_SECRET_LENGTH_MIN
from libs.common.http.health import Health
from libs.common.ids import new_id
from libs.common.testing import Harness
from services.payments.adapters.stripe_events import TOLERANCE_SECONDS
from services.payments.models import provider_event
from services.payments.routes import EVENT_BYTES_MAX
from services.payments.tests.conftest import STRIPE_SECRET

STRIPE = "/webhooks/stripe"
CREATED = datetime(2026, 5, 4, 12, tzinfo=UTC)
EMAIL = "eloise@example.org"


def an_event(event_id: str = "evt_1", **changes: Any) -> dict[str, Any]:
    """A checkout that was paid, as Stripe would tell of it."""
    return {
        "id": event_id,
        "object": "event",
        "api_version": "2026-01-28.preview",
        "created": int(CREATED.timestamp()),
        "type": "checkout.session.completed",
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "data": {"object": {"id": "cs_1", "object": "checkout.session", "customer_email": EMAIL, "amount_total": 500}},
        **changes,
    }


def signed(body: bytes, *, secret: str = STRIPE_SECRET, age: int = 0) -> dict[str, str]:
    """The headers of a delivery, its signature this many seconds old."""
    moment = int(clock.epoch()) - age
    return {
        "Content-Type": "application/json; charset=utf-8",
        "Stripe-Signature": WebhookSignature.generate_signature_header(body.decode(), secret, moment),
    }


def deliver(client: FlaskClient, event: dict[str, Any] | bytes, headers: dict[str, str] | None = None) -> TestResponse:
    """What Stripe does."""
    body = event if isinstance(event, bytes) else json.dumps(event, indent=2).encode()
    return client.post(STRIPE, data=body, headers=signed(body) if headers is None else headers)


def kept(harness: Harness) -> list[Any]:
    """The events that are kept."""
    with harness.database.reader() as db:
        return db.all(select(provider_event).order_by(provider_event.c.id))


def test_a_signed_event_is_kept_as_received_without_its_content(harness: Harness) -> None:
    answer = deliver(harness.client(), an_event())

    assert (answer.status_code, answer.get_json()) == (200, {"id": "evt_1", "status": "RECEIVED"})
    (row,) = kept(harness)
    assert (row.provider, row.provider_event_id, row.type, row.status) == (
        "STRIPE",
        "evt_1",
        "checkout.session.completed",
        "RECEIVED",
    )
    assert (row.object_kind, row.object_id, row.live, row.occurred_at) == ("checkout.session", "cs_1", False, CREATED)
    assert EMAIL not in str(row)


def test_an_event_that_comes_again_is_answered_alike_and_kept_once(harness: Harness) -> None:
    client = harness.client()
    answers = [deliver(client, an_event()) for _ in range(3)]

    assert [(each.status_code, each.get_json()) for each in answers] == [(200, {"id": "evt_1", "status": "RECEIVED"})] * 3
    assert len(kept(harness)) == 1


def test_an_event_delivered_many_times_at_once_is_kept_once(harness: Harness) -> None:
    harness.application()
    barrier, statuses = threading.Barrier(4), []

    def send() -> None:
        client = harness.client()
        barrier.wait(10)
        statuses.append(deliver(client, an_event()).status_code)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (statuses, len(kept(harness))) == ([200] * 4, 1)


def test_events_may_come_in_any_order(harness: Harness) -> None:
    for number, moment in ((2, 200), (1, 100), (3, 300)):
        assert deliver(harness.client(), an_event(f"evt_{number}", created=moment)).status_code == 200

    assert [row.provider_event_id for row in kept(harness)] == ["evt_2", "evt_1", "evt_3"]


@pytest.mark.parametrize("spacing", [b" %s\r\n\t ", b"%s", b"\n%s\n"])
def test_the_signature_is_over_the_bytes_as_they_came(spacing: bytes, harness: Harness) -> None:
    text = json.dumps(an_event(description="caf\u00e9 \u2028"), ensure_ascii=False, separators=(" ,", " :  "))
    body = spacing % text.encode()

    assert deliver(harness.client(), body).status_code == 200


def forged() -> dict[str, tuple[bytes, dict[str, str]]]:
    """Deliveries that Stripe did not make."""
    body = json.dumps(an_event()).encode()
    good = signed(body)["Stripe-Signature"]
    moment = good.split(",")[0]
    return {
        "no signature": (body, {}),
        "an empty signature": (body, {"Stripe-Signature": ""}),
        "another secret": (body, signed(body, secret="whsec_of_somebody_else")),  # pragma: allowlist secret
        "another body": (body + b" ", {"Stripe-Signature": good}),
        "another time": (body, {"Stripe-Signature": good.replace(moment, f"t={int(moment[2:]) + 1}")}),
        "no time": (body, {"Stripe-Signature": good.removeprefix(f"{moment},")}),
        "another scheme alone": (body, {"Stripe-Signature": good.replace("v1=", "v0=")}),
        "nonsense": (body, {"Stripe-Signature": "t=now,v1"}),
        "foreign letters": (body, {"Stripe-Signature": f"{moment},v1=\xe9"}),
        "a body that is no text": (b"\xff\xfe", {"Stripe-Signature": good}),
        "nothing": (b"", {"Stripe-Signature": good}),
    }


@pytest.mark.parametrize("case", forged())
def test_what_stripe_did_not_sign_is_refused(case: str, harness: Harness) -> None:
    body, headers = forged()[case]
    answer = harness.client().post(STRIPE, data=body, headers=headers, content_type="application/json")

    assert (answer.status_code, answer.get_json()["type"]) == (400, "https://lumiere.film/problems/signature-refused")
    assert kept(harness) == []


@pytest.mark.parametrize(
    ("age", "status"), [(TOLERANCE_SECONDS - 1, 200), (TOLERANCE_SECONDS, 200), (TOLERANCE_SECONDS + 1, 400)]
)
def test_a_signature_counts_for_five_minutes(age: int, status: int, harness: Harness) -> None:
    body = json.dumps(an_event()).encode()
    harness.client()
    with time_machine.travel(CREATED, tick=False):
        assert deliver(harness.client(), body, signed(body, age=age)).status_code == status


FAULTS: dict[str, Any] = {
    "id": [None, "", "evt 1", 1, "e" * 256],
    "object": ["event2", None],
    "type": ["", None, "Robert'); DROP TABLE payment", "t" * 201],
    "created": ["1", -1, 2**32, 1.5, True],
    "livemode": ["false", 0, None],
    "data": [None, {}, {"object": None}, {"object": {"id": "x"}}, {"object": {"id": 1, "object": "x"}}],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in FAULTS.items() for value in values])
def test_a_signed_body_that_is_no_event_is_refused_by_field_and_never_repeated(
    field: str, value: Any, harness: Harness
) -> None:
    answer = deliver(harness.client(), an_event(**{field: value}))

    assert (answer.status_code, answer.get_json()["type"]) == (400, "https://lumiere.film/problems/unreadable-provider-event")
    assert field in answer.get_json()["detail"]
    assert EMAIL not in answer.text
    assert kept(harness) == []


@pytest.mark.parametrize("body", [b"null", b"[]", b"{", b'"evt_1"'])
def test_a_signed_body_that_is_no_object_is_refused(body: bytes, harness: Harness) -> None:
    assert deliver(harness.client(), body).status_code == 400


def test_fields_and_types_that_stripe_adds_are_no_fault(harness: Harness) -> None:
    event = an_event(type="something.quite.new", context={"new": [1]}, data={"object": {"object": "balance"}, "previous": {}})

    assert deliver(harness.client(), event).status_code == 200
    (row,) = kept(harness)
    assert (row.type, row.object_kind, row.object_id) == ("something.quite.new", "balance", None)


@pytest.mark.parametrize(("over", "status"), [(-1, 200), (0, 200), (1, 413)])
def test_an_event_has_a_longest_length(over: int, status: int, harness: Harness) -> None:
    body = json.dumps(an_event()).encode()
    padded = body + b" " * (EVENT_BYTES_MAX + over - len(body))

    assert deliver(harness.client(), padded).status_code == status


@pytest.mark.parametrize(
    ("secret", "open_"),
    [
        (None, False),
        ("", False),
        ("w" * (DOOR_SECRET_LENGTH_MIN - 1), False),
        ("w" * DOOR_SECRET_LENGTH_MIN, True),
        ("w" * (DOOR_SECRET_LENGTH_MIN + 1), True),
    ],
)
def test_without_a_secret_or_with_a_short_one_the_door_is_not_there(secret: str | None, open_: bool, harness: Harness) -> None:
    settings = harness.settings.model_copy(update={"stripe_webhook_secret": None if secret is None else SecretStr(secret)})
    assembled = harness.service.assemble(settings, "web", harness.keys)
    client = assembled.application(Health({})).test_client()
    body = json.dumps(an_event(f"evt_{new_id().hex}")).encode()

    answer = deliver(client, body, signed(body, secret=secret or "anything"))
    assert answer.status_code == (200 if open_ else 404)
    if not open_:
        absent = client.post("/webhooks/absent")
        told = [{**each.get_json(), "request_id": "", "instance": ""} for each in (answer, absent)]
        assert told[0] == told[1]
        assert [client.open(f"{STRIPE}?x=1", method=method).status_code for method in ("GET", "POST", "PUT")] == [404] * 3
    assembled.database.dispose()
