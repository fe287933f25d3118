"""E-mails leave once, are tried again with patience, and leave nothing personal behind."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
import time_machine
from prometheus_client import REGISTRY
from sqlalchemy import select
from structlog.testing import capture_logs

from libs.common import clock
from libs.common.ids import new_id
from libs.common.testing import Harness
from services.notify import measures, use_cases
from services.notify.domain import EMAIL_ATTEMPTS_MAX, EMAIL_BACK_OFF, DeliveryRefused, Mail, MailTemplates, Vault
from services.notify.models import email
from services.notify.tests.factories import ADDRESS, LINK, NAME, email_requested, task_validated, user_registered


class Sender:
    """A fake sender: remembers what left, after refusing as often as told."""

    def __init__(self, *refusals: Exception) -> None:
        self.refusals = list(refusals)
        self.sent: list[Mail] = []

    def send(self, mail: Mail) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        self.sent.append(mail)


def passing() -> DeliveryRefused:
    return DeliveryRefused("ConnectionRefusedError", permanent=False)


def run(harness: Harness, sender: Sender) -> int:
    templates, vault = harness.resource(MailTemplates), harness.resource(Vault)  # type: ignore[type-abstract]
    return use_cases.deliver_due_emails(harness.database, sender, templates, vault)


def only_row(harness: Harness) -> dict[str, Any]:
    with harness.database.reader() as db:
        return dict(db.one(select(email))._mapping)


@pytest.fixture
def travel() -> Iterator[time_machine.Traveller]:
    """Time that moves when told."""
    with time_machine.travel(clock.now(), tick=False) as traveller:
        yield traveller


def test_a_requested_email_goes_to_the_address_in_the_request(harness: Harness) -> None:
    harness.deliver(email_requested(locale="fr"))
    sender = Sender()

    assert run(harness, sender) == 1

    (mail,) = sender.sent
    assert (mail.recipient, mail.locale, mail.template) == (ADDRESS, "fr", "VERIFY_EMAIL")
    assert LINK in mail.text
    assert NAME in mail.text


def test_an_email_leaves_once_however_often_it_is_asked_for_and_the_job_runs(harness: Harness) -> None:
    event = email_requested()
    harness.deliver(event, times=2)
    harness.deliver(harness.envelope(event))
    sender = Sender()

    assert [run(harness, sender), run(harness, sender)] == [1, 0]
    assert len(sender.sent) == 1


def test_two_runs_at_once_send_each_email_once(harness: Harness) -> None:
    for _ in range(8):
        harness.deliver(email_requested())
    sender = Sender()
    barrier = Barrier(3)

    def work(_: int) -> int:
        barrier.wait(timeout=10)
        return run(harness, sender)

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(work, range(3))) == 8
    assert len({mail.id for mail in sender.sent}) == len(sender.sent) == 8


def test_a_refused_email_is_tried_again_when_its_time_has_come(harness: Harness, travel: time_machine.Traveller) -> None:
    harness.deliver(email_requested())
    sender = Sender(passing())

    assert (run(harness, sender), only_row(harness)["status"]) == (1, "QUEUED")
    assert run(harness, sender) == 0
    travel.shift(EMAIL_BACK_OFF[0])
    assert (run(harness, sender), only_row(harness)["status"]) == (1, "SENT")

    assert len(sender.sent) == 1
    assert harness.published("notify.delivery.failed") == []


def test_an_email_is_given_up_after_its_last_attempt_and_that_is_told(harness: Harness, travel: time_machine.Traveller) -> None:
    event = email_requested(expires_at=clock.now() + timedelta(days=3))
    harness.deliver(event)
    sender = Sender(*(passing() for _ in range(EMAIL_ATTEMPTS_MAX)))

    for _ in range(EMAIL_ATTEMPTS_MAX):
        assert run(harness, sender) == 1
        travel.shift(max(EMAIL_BACK_OFF))
    assert run(harness, sender) == 0

    (failed,) = harness.published("notify.delivery.failed")
    assert failed.data == {
        "notification_id": str(event.email_id),
        "channel": "EMAIL",
        "attempts": EMAIL_ATTEMPTS_MAX,
        "error_class": "ConnectionRefusedError",
    }
    assert only_row(harness)["status"] == "FAILED"


def test_a_permanent_refusal_is_given_up_at_once(harness: Harness) -> None:
    harness.deliver(email_requested())

    run(harness, Sender(DeliveryRefused("AddressInvalid", permanent=True)))

    assert (only_row(harness)["status"], only_row(harness)["attempts"]) == ("FAILED", 1)
    assert harness.published("notify.delivery.failed")[0].data["error_class"] == "AddressInvalid"


def test_an_unknown_template_is_given_up_at_once(harness: Harness) -> None:
    harness.deliver(email_requested(template="../VERIFY_EMAIL"))

    run(harness, Sender())

    assert harness.published("notify.delivery.failed")[0].data["error_class"] == "TemplateUnknown"


def test_an_expired_email_is_not_sent_any_more(harness: Harness, travel: time_machine.Traveller) -> None:
    harness.deliver(email_requested(expires_at=clock.now() + timedelta(minutes=30)))
    travel.shift(timedelta(minutes=30))
    sender = Sender()

    run(harness, sender)

    assert (sender.sent, only_row(harness)["status"]) == ([], "EXPIRED")
    assert harness.published("notify.delivery.failed")[0].data["error_class"] == "Expired"


def test_what_is_wrong_with_one_email_does_not_hold_up_the_others(harness: Harness) -> None:
    for _ in range(3):
        harness.deliver(email_requested())
    sender = Sender(ZeroDivisionError())

    assert run(harness, sender) == 3
    assert len(sender.sent) == 2


def test_an_attempt_that_died_before_it_was_settled_is_repeated_under_the_same_id(
    harness: Harness, travel: time_machine.Traveller
) -> None:
    harness.deliver(email_requested())
    sender = Sender()

    class Crash(BaseException):
        """The process dies here."""

    sender.refusals.append(Crash())  # type: ignore[arg-type]
    with pytest.raises(Crash):
        run(harness, sender)
    assert run(harness, sender) == 0
    travel.shift(EMAIL_BACK_OFF[0])
    run(harness, sender)

    assert [mail.id for mail in sender.sent] == [only_row(harness)["id"]]


def test_the_validation_email_goes_to_the_persons_own_address_in_their_language(harness: Harness) -> None:
    contributor = new_id()
    harness.deliver(user_registered(contributor, locale="fr"))
    harness.deliver(task_validated(contributor, title="Fusée lunaire"))
    sender = Sender()

    run(harness, sender)

    (mail,) = sender.sent
    assert (mail.recipient, mail.subject) == (ADDRESS, "Votre travail est accepté")
    assert [part for part in (NAME, "Fusée lunaire", "10 Lumens", "50.00 EUR") if part not in mail.text] == []


def test_an_email_to_somebody_not_known_yet_waits_for_them(harness: Harness, travel: time_machine.Traveller) -> None:
    contributor = new_id()
    harness.deliver(task_validated(contributor))
    sender = Sender()
    run(harness, sender)
    assert (sender.sent, only_row(harness)["status"]) == ([], "QUEUED")

    harness.deliver(user_registered(contributor))
    travel.shift(EMAIL_BACK_OFF[0])
    run(harness, sender)

    assert [mail.recipient for mail in sender.sent] == [ADDRESS]


@pytest.mark.parametrize("refusals", [[], [DeliveryRefused("AddressInvalid", permanent=True)]], ids=["sent", "given up"])
def test_a_settled_email_keeps_neither_address_nor_link(harness: Harness, refusals: list[Exception]) -> None:
    harness.deliver(email_requested())

    run(harness, Sender(*refusals))

    row = only_row(harness)
    assert (row["recipient_sealed"], row["variables_sealed"]) == (None, None)


def test_no_log_line_holds_an_address_a_name_or_a_link(harness: Harness) -> None:
    for _ in range(3):
        harness.deliver(email_requested())

    with capture_logs() as lines:
        run(harness, Sender(passing(), DeliveryRefused("AddressInvalid", permanent=True)))

    assert sorted(line["event"] for line in lines) == ["email.given_up", "email.refused", "email.sent"]
    assert [part for part in (ADDRESS, "example.org", NAME, "token=") if part in repr(lines)] == []


def test_the_job_of_the_worker_sends_what_is_due(harness: Harness) -> None:
    harness.deliver(email_requested())

    assert [harness.run_job("deliver_emails"), harness.run_job("deliver_emails")] == [1, 0]
    assert only_row(harness)["status"] == "SENT"


def test_a_moment_of_expiry_itself_is_too_late(harness: Harness, travel: time_machine.Traveller) -> None:
    expires_at: datetime = clock.now() + timedelta(seconds=1)
    harness.deliver(email_requested(expires_at=expires_at))
    travel.move_to(expires_at - timedelta(microseconds=1))
    sender = Sender()

    run(harness, sender)

    assert len(sender.sent) == 1


def test_the_queue_is_measured_and_attempts_are_counted_by_outcome(harness: Harness) -> None:
    def attempts(outcome: str) -> float:
        return REGISTRY.get_sample_value("lumiere_mail_attempts_total", {"outcome": outcome}) or 0.0

    before = {outcome: attempts(outcome) for outcome in ("sent", "queued")}
    harness.deliver(email_requested())
    run(harness, Sender(passing()))
    with harness.database.reader() as db:
        measures.mail(db)

    assert REGISTRY.get_sample_value("lumiere_mail_queued") == 1
    assert (REGISTRY.get_sample_value("lumiere_mail_oldest_seconds") or 0) > 0
    assert {outcome: attempts(outcome) - count for outcome, count in before.items()} == {"sent": 0, "queued": 1}
