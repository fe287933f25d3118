"""E-mails through a provider: once each, waiting while it is away, given up only for what no repetition mends."""

import email
import email.policy
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from email.headerregistry import Address

import pytest
import time_machine
from sqlalchemy import select
from structlog.testing import capture_logs

from libs.common import clock
from libs.common.companions import Companion
from libs.common.testing import Harness
from services.notify import use_cases
from services.notify.adapters.resend import ResendSender
from services.notify.adapters.smtp import SmtpSender
from services.notify.domain import (
    EMAIL_ATTEMPTS_MAX,
    DeliveryRefused,
    MailSender,
    MailTemplates,
    ProviderAway,
    Vault,
    next_attempt,
)
from services.notify.models import email as email_table
from services.notify.tests.factories import ADDRESS, LINK, email_requested
from services.notify.tests.fake_resend import KEY, FakeResend, Refusal
from services.notify.tests.fake_smtp import FakeSmtp
from services.notify.tests.test_mail import MAIL

SENDER = Address("Lumière", "no-reply", "lumiere.film")
REMEMBERED = timedelta(hours=24)
"""How long Resend knows a key."""


@pytest.fixture
def resend() -> Iterator[FakeResend]:
    """A fake Resend."""
    with FakeResend() as fake:
        yield fake


@pytest.fixture
def companion() -> Companion:
    """What readiness knows of the provider."""
    return Companion("mail", "e-mails wait")


@pytest.fixture
def sender(resend: FakeResend, companion: Companion) -> Iterator[ResendSender]:
    """Ours, in front of the fake."""
    made = ResendSender(KEY, SENDER, companion, resend.endpoint)
    yield made
    made.close()


@pytest.fixture
def travel() -> Iterator[time_machine.Traveller]:
    """Time that moves when told."""
    with time_machine.travel(clock.now(), tick=False) as traveller:
        yield traveller


def run(harness: Harness, sender: MailSender) -> int:
    templates, vault = harness.resource(MailTemplates), harness.resource(Vault)  # type: ignore[type-abstract]
    return use_cases.deliver_due_emails(harness.database, sender, templates, vault)


def statuses(harness: Harness) -> list[str]:
    with harness.database.reader() as db:
        return [row.status for row in db.all(select(email_table).order_by(email_table.c.id))]


def test_an_email_is_handed_over_whole_under_its_own_id(resend: FakeResend, sender: ResendSender) -> None:
    sender.send(MAIL)
    assert resend.taken == {
        str(MAIL.id): {
            "from": "Lumière <no-reply@lumiere.film>",
            "to": ["ada@example.org"],
            "subject": MAIL.subject,
            "text": MAIL.text,
            "html": MAIL.html,
            "headers": {"Auto-Submitted": "auto-generated", "Content-Language": "fr"},
        }
    }


def test_an_email_whose_answer_was_lost_leaves_once(resend: FakeResend, sender: ResendSender) -> None:
    resend.silent.set()
    with pytest.raises(ProviderAway, match="RemoteProtocolError"):
        sender.send(MAIL)
    resend.silent.clear()
    sender.send(MAIL)
    assert (len(resend.asked), len(resend.taken)) == (2, 1)


def test_an_email_that_left_before_under_other_words_counts_as_sent(resend: FakeResend, sender: ResendSender) -> None:
    sender.send(MAIL)
    sender.send(replace(MAIL, text="Bonjour Augusta"))
    assert [body["text"] for body in resend.taken.values()] == [MAIL.text]


@pytest.mark.parametrize(
    ("refusal", "away", "permanent"),
    [
        (Refusal(400, "validation_error"), False, True),
        (Refusal(422, "missing_required_field"), False, True),
        (Refusal(451, "security_error"), False, True),
        (Refusal(409, "concurrent_idempotent_requests"), False, False),
        (Refusal(422, "invalid_from_address"), True, False),
        (Refusal(302), True, False),
        (Refusal(308), True, False),
        (Refusal(401, "missing_api_key"), True, False),
        (Refusal(403, "validation_error"), True, False),
        (Refusal(429, "rate_limit_exceeded"), True, False),
        (Refusal(429, "daily_quota_exceeded"), True, False),
        (Refusal(500, "application_error"), True, False),
        (Refusal(503), True, False),
    ],
)
def test_what_concerns_one_email_is_given_up_and_what_concerns_all_waits(
    resend: FakeResend, sender: ResendSender, companion: Companion, refusal: Refusal, away: bool, permanent: bool
) -> None:
    resend.refusals = [refusal]
    with pytest.raises(DeliveryRefused) as refused:
        sender.send(MAIL)
    assert (isinstance(refused.value, ProviderAway), refused.value.permanent) == (away, permanent)
    assert (refused.value.error_class, companion.away) == (f"Refused{refusal.status}", away)
    assert not resend.taken
    sender.send(MAIL)
    assert not companion.away


def test_a_wrong_key_is_the_operators_affair_and_appears_nowhere(resend: FakeResend, companion: Companion) -> None:
    wrong = ResendSender("re_wrong_key", SENDER, companion, resend.endpoint)
    with closing(wrong), capture_logs() as lines, pytest.raises(ProviderAway) as refused:
        wrong.send(MAIL)
    assert "re_wrong_key" not in repr(lines) + repr(refused.value)
    assert companion.check() == "degraded: e-mails wait (Refused403)"


def test_while_the_provider_is_away_emails_wait_and_then_each_leaves_once(
    harness: Harness, resend: FakeResend, sender: ResendSender, companion: Companion, travel: time_machine.Traveller
) -> None:
    for _ in range(5):
        harness.deliver(email_requested(expires_at=clock.now() + timedelta(days=2)))
    resend.stop()

    assert [run(harness, sender) for _ in range(3)] == [1, 1, 1]  # one a run finds out that nobody answers

    assert (statuses(harness), companion.away) == (["QUEUED"] * 5, True)
    assert harness.published("notify.delivery.failed") == []
    resend.start()
    travel.shift(timedelta(minutes=1))
    assert run(harness, sender) == 5
    assert (statuses(harness), companion.away) == (["SENT"] * 5, False)
    assert len(resend.taken) == len(resend.asked) == 5
    assert run(harness, sender) == 0


def test_an_outage_of_most_of_a_day_loses_no_email_and_doubles_none(
    harness: Harness, resend: FakeResend, sender: ResendSender, travel: time_machine.Traveller
) -> None:
    harness.deliver(email_requested(expires_at=clock.now() + timedelta(days=2)))
    resend.silent.set()  # it takes the e-mail each time, and its answer is lost
    for _ in range(EMAIL_ATTEMPTS_MAX - 1):
        assert run(harness, sender) == 1
        travel.shift(timedelta(hours=1))
    resend.silent.clear()
    assert run(harness, sender) == 1
    assert (statuses(harness), len(resend.taken)) == (["SENT"], 1)


def test_every_attempt_lies_within_the_time_for_which_a_provider_knows_an_email() -> None:
    start = moment = clock.now()
    for attempt in range(1, EMAIL_ATTEMPTS_MAX):
        moment = next_attempt(attempt, moment)
    assert REMEMBERED - timedelta(hours=3) < moment - start < REMEMBERED


# A mail server of one's own


@pytest.fixture
def server() -> Iterator[FakeSmtp]:
    """A fake mail server."""
    with FakeSmtp() as fake:
        yield fake


def smtp(server: FakeSmtp, companion: Companion, *, plain_allowed: bool = True) -> SmtpSender:
    return SmtpSender(f"smtp://127.0.0.1:{server.port}", SENDER, companion, plain_allowed=plain_allowed)


def test_a_mail_server_takes_the_same_message_in_seven_bits(server: FakeSmtp, companion: Companion) -> None:
    smtp(server, companion).send(MAIL)
    ((recipient, text),) = server.taken
    assert text.isascii()
    message = email.message_from_string(text, policy=email.policy.default)
    assert (recipient, message["Subject"], message["Message-ID"]) == (
        "ada@example.org",
        MAIL.subject,
        f"<{MAIL.id}@lumiere.film>",
    )
    body = message.get_body(("plain",))
    assert body is not None
    assert body.get_content().splitlines() == MAIL.text.splitlines()


@pytest.mark.parametrize(
    ("answers", "away", "permanent"),
    [
        ({"RCPT": "550 no such user"}, False, True),
        ({"RCPT": "451 come again"}, False, False),
        ({".": "554 refused"}, False, True),
        ({".": "452 full"}, False, False),
        ({"MAIL": "421 closing"}, True, False),
        ({"EHLO": "500 what", "HELO": "500 what"}, True, False),
    ],
)
def test_a_refusal_of_the_mail_server_is_for_good_or_for_now(
    server: FakeSmtp, companion: Companion, answers: dict[str, str], away: bool, permanent: bool
) -> None:
    server.answers = answers
    with pytest.raises(DeliveryRefused) as refused:
        smtp(server, companion).send(MAIL)
    assert (isinstance(refused.value, ProviderAway), refused.value.permanent, companion.away) == (away, permanent, away)
    assert server.taken == []


def test_an_address_that_a_mail_server_cannot_carry_holds_up_nobody_else(server: FakeSmtp, companion: Companion) -> None:
    with pytest.raises(DeliveryRefused) as refused:
        smtp(server, companion).send(replace(MAIL, recipient="é@example.org"))
    assert not isinstance(refused.value, ProviderAway)
    assert (refused.value.permanent, companion.away, server.taken) == (True, False, [])


def test_without_tls_no_email_leaves_where_it_is_required(server: FakeSmtp, companion: Companion) -> None:
    with pytest.raises(ProviderAway):
        smtp(server, companion, plain_allowed=False).send(MAIL)
    assert server.taken == []


def test_a_mail_server_that_is_away_makes_emails_wait(companion: Companion) -> None:
    with FakeSmtp() as server:
        sender = smtp(server, companion)
    with pytest.raises(ProviderAway):
        sender.send(MAIL)
    assert companion.away


def test_the_address_and_the_link_reach_no_log(harness: Harness, resend: FakeResend, sender: ResendSender) -> None:
    for refusal in (Refusal(500), Refusal(400, "validation_error"), None):
        harness.deliver(email_requested())
        resend.refusals = [refusal] if refusal else []
        with capture_logs() as lines:
            run(harness, sender)
        assert [part for part in (ADDRESS, LINK, KEY) if part in repr(lines)] == []
