"""The mail that confirms an address can be had again, without saying whether one is owed and without confirming a stranger's
password.
"""

from datetime import timedelta

import pytest

from libs.common.testing import Harness
from services.auth.domain.tokens import MAIL_WINDOWS, MAILS_ALLOWED, VERIFICATION_LIFE, Template
from services.auth.tests.conftest import PASSWORD, Person, Time


def resend(person: Person, email: str | None = None) -> bytes:
    answer = person.post("/auth/verify-email/resend", {"email": email or person.email})
    assert answer.status_code == 202
    person.harness.run_job("mail_links")
    return answer.get_data()


def test_the_link_comes_again_and_confirms_the_password_of_the_registration(newcomer: Person) -> None:
    newcomer.register()
    first = newcomer.mails("VERIFY_EMAIL")[-1]["token"]
    resend(newcomer)
    assert [each["template"] for each in newcomer.mails()] == ["VERIFY_EMAIL"] * 2
    assert newcomer.mails()[-1]["token"] != first
    assert newcomer.verify().status_code == 204
    assert newcomer.login().status_code == 200
    assert newcomer.post("/auth/verify-email", {"token": first}).status_code == 400


def test_where_several_registrations_wait_the_owner_of_the_address_chooses_the_password(
    harness: Harness, newcomer: Person
) -> None:
    newcomer.register()
    attacker = Person(harness, newcomer.email, "laid by an attacker")
    attacker.register()
    resend(newcomer)
    assert [each["template"] for each in newcomer.mails()] == ["VERIFY_EMAIL", "VERIFY_EMAIL", "RESET_PASSWORD"]
    body = {"token": newcomer.mails("RESET_PASSWORD")[-1]["token"], "password": "a better password"}
    assert newcomer.post("/auth/password/reset", body).status_code == 204
    assert [newcomer.login(password).status_code for password in (PASSWORD, attacker.password)] == [401, 401]
    assert newcomer.login("a better password").status_code == 200


def test_where_every_link_has_run_out_the_owner_chooses_a_password(newcomer: Person, time: Time) -> None:
    newcomer.register()
    time.passes(VERIFICATION_LIFE)
    resend(newcomer)
    assert newcomer.mails()[-1]["template"] == "RESET_PASSWORD"


def test_everybody_is_answered_alike_and_only_who_waits_gets_a_mail(harness: Harness, person: Person) -> None:
    waiting = Person(harness, "grace@example.org")
    waiting.register()
    before = len(harness.published("auth.email.requested"))
    answers = {resend(person, email) for email in (person.email, waiting.email, "nobody@example.org")}
    assert len(answers) == 1
    assert len(harness.published("auth.email.requested")) == before + 1
    assert waiting.mails()[-1]["template"] == "VERIFY_EMAIL"


def test_nobody_is_flooded(newcomer: Person, time: Time) -> None:
    newcomer.register()
    for _ in range(MAILS_ALLOWED):
        resend(newcomer)
    assert len(newcomer.mails("VERIFY_EMAIL")) == MAILS_ALLOWED
    time.passes(MAIL_WINDOWS[Template.VERIFY_EMAIL] - timedelta(microseconds=1))
    resend(newcomer)
    assert len(newcomer.mails("VERIFY_EMAIL")) == MAILS_ALLOWED
    time.passes(timedelta(microseconds=1))
    resend(newcomer)
    assert len(newcomer.mails("VERIFY_EMAIL")) == MAILS_ALLOWED + 1


@pytest.mark.parametrize("email", ["not an address", ""])
def test_what_is_no_address_is_named(newcomer: Person, email: str) -> None:
    answer = newcomer.post("/auth/verify-email/resend", {"email": email})
    assert answer.status_code == 422
    assert answer.get_json()["errors"][0]["pointer"] == "/email"
