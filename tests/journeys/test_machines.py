"""Doors for machines on a running platform: a scheduler has a job run, a payment provider delivers an event."""

import json
import threading
from typing import Any

import httpx
import pytest
from stripe import WebhookSignature

from libs.common.auth.policy import CRON_HEADER
from libs.common.ids import new_id
from ops.cron import jobs, trigger
from ops.demo.client import wait_for
from ops.testing import LivePlatform
from tests.journeys.inside import Inside
from tests.journeys.people import Studio

pytestmark = [pytest.mark.platform, pytest.mark.timeout(300)]

RELEASES = "SELECT event_id FROM tasks.event_archive WHERE aggregate_id = :task AND type = 'tasks.task.released'"
TRIGGERS = "SELECT id FROM tasks.audit_record WHERE action = 'job.trigger' AND entity_id = 'release_expired_claims'"


def secret(given: Any) -> bytes:
    """A secret of the platform's settings."""
    return bytes(given.get_secret_value().encode())


def test_a_scheduler_has_a_job_run_and_two_at_once_have_it_done_once(
    studio: Studio, inside: Inside, platform: LivePlatform
) -> None:
    person, film = studio.newcomer("Méliès"), studio.film()
    task = studio.plan_task(film, f"Forgotten {new_id()}")
    person.post(f"/tasks/{task['id']}/claim")
    inside.execute("UPDATE tasks.task SET deadline = now() - interval '1 hour' WHERE id = :task", task=task["id"])
    asked_before = len(inside.rows(TRIGGERS))
    header = {CRON_HEADER.encode(): secret(platform.layout.settings.cron_secret)}
    together, answers = threading.Barrier(2), []

    def ask() -> None:
        together.wait(10)
        answers.append(httpx.post(f"{platform.origin}/cron/release_expired_claims", headers=header, trust_env=False))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [(each.status_code, each.json()) for each in answers] == [
        (202, {"job": "release_expired_claims", "status": "accepted"})
    ] * 2
    # Without them it would run within the minute.
    wait_for("the task is free again", lambda: person.get(f"/tasks/{task['id']}")["status"] == "AVAILABLE")
    assert len(inside.rows(TRIGGERS)) == asked_before + 2
    assert len(inside.rows(RELEASES, task=task["id"])) == 1


def test_a_provider_delivers_an_event_twice_and_it_is_kept_once(inside: Inside, platform: LivePlatform) -> None:
    event_id = f"evt_{new_id().hex}"
    event = {
        "id": event_id,
        "object": "event",
        "type": "invoice.payment_succeeded",
        "created": 1_764_158_400,
        "livemode": False,
        "data": {"object": {"id": "in_1", "object": "invoice", "customer_name": "Jehanne d’Alcy"}},
    }
    body = json.dumps(event, indent=3, ensure_ascii=False).encode() + b"\r\n"
    key = secret(platform.layout.settings.stripe_webhook_secret).decode()
    headers = {
        "Content-Type": "application/json",
        "Stripe-Signature": WebhookSignature.generate_signature_header(body.decode(), key),
    }
    address = f"{platform.origin}/webhooks/stripe"

    answers = [httpx.post(address, content=body, headers=headers, trust_env=False) for _ in range(2)]
    tampered = httpx.post(address, content=body + b" ", headers=headers, trust_env=False)

    assert [(each.status_code, each.json()) for each in answers] == [(200, {"id": event_id, "status": "RECEIVED"})] * 2
    assert tampered.status_code == 400
    kept = inside.rows("SELECT status FROM payments.provider_event WHERE provider_event_id = :event", event=event_id)
    assert [row.status for row in kept] == ["RECEIVED"]
    assert not [path for path in inside.logs() if "d’Alcy".encode() in path.read_bytes()]


def test_who_does_not_know_the_secret_cannot_tell_the_cron_door_from_nothing(platform: LivePlatform, inside: Inside) -> None:
    for base in (platform.origin, inside.straight("tasks")):
        answers = [
            httpx.post(f"{base}/cron/{job}", headers={CRON_HEADER: "a wrong secret of length"}, trust_env=False)
            for job in ("release_expired_claims", "absent")
        ]
        assert [each.status_code for each in answers] == [404, 404]
        told = [{**each.json(), "request_id": "", "instance": ""} for each in answers]
        assert told[0] == told[1]


def test_an_operator_runs_every_job_as_a_scheduler_does(platform: LivePlatform) -> None:
    assert jobs(platform.layout)["seal"] == "ledger"
    for job in jobs(platform.layout):
        trigger(platform.layout, job)
