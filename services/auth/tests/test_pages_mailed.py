"""Pages that mailed links lead to: what opens them spends nothing, and no token stays behind."""

import re

import pytest

from libs.common.auth.browser import SESSION_COOKIE
from libs.common.testing import Harness
from services.auth.events import EmailRequested
from services.auth.routes.pages.cookies import RESET_COOKIE
from services.auth.routes.pages.words import BY_FIELD, NOTICES, REFUSALS
from services.auth.tests.conftest import PASSWORD, Person
from services.auth.tests.surfing import Surfer

NEW_PASSWORD = "another one that nobody guesses"


@pytest.fixture
def surfer(harness: Harness) -> Surfer:
    """A browser that was never here."""
    return Surfer(harness)


@pytest.fixture
def at_home(surfer: Surfer, person: Person) -> Surfer:
    """A browser that is signed in."""
    sign_in(surfer, person)
    return surfer


def sign_in(surfer: Surfer, person: Person, password: str = PASSWORD) -> None:
    surfer.open("/login")
    surfer.submit("/login", email=person.email, password=password)


def test_opening_a_mailed_link_spends_nothing_and_leaves_no_token_behind(surfer: Surfer, newcomer: Person) -> None:
    newcomer.register()
    link = newcomer.mails("VERIFY_EMAIL")[-1]["link"]

    for _ in range(3):
        scanner = Surfer(newcomer.harness)
        answer = scanner.open(link, follow=False)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/verify-email")
        assert answer.headers["Referrer-Policy"] == "no-referrer"
    surfer.open(link)
    assert "token=" not in surfer.page.request.url
    surfer.submit("/verify-email")

    assert NOTICES["verified"][1] in surfer.page.text
    surfer.open(link)
    surfer.submit("/verify-email")
    assert surfer.page.status_code == 400
    assert REFUSALS["TokenRefused"][1] in surfer.page.text


def test_a_token_is_taken_from_the_page_where_the_browser_keeps_no_cookie(surfer: Surfer, newcomer: Person) -> None:
    newcomer.register()
    surfer.open("/verify-email")
    surfer.submit("/verify-email", token="")
    assert surfer.page.status_code == 422
    assert BY_FIELD["token"][1] in surfer.page.text

    surfer.submit("/verify-email", token=newcomer.mails("VERIFY_EMAIL")[-1]["token"])

    assert NOTICES["verified"][1] in surfer.page.text


def test_a_token_that_no_cookie_can_hold_is_dropped(surfer: Surfer) -> None:
    surfer.open("/verify-email?token=a%3Bb%0D%0ASet-Cookie:%20x")

    assert surfer.path == "/verify-email"
    assert surfer.signed_out


def test_a_forgotten_password_is_replaced_by_the_mailed_link(at_home: Surfer, person: Person) -> None:
    at_home.open("/forgot-password?lang=en")
    at_home.submit("/forgot-password", email=person.email)
    assert at_home.path == "/dashboard"
    assert NOTICES["reset_sent"][1] in at_home.page.text
    person.harness.run_job("mail_links")
    at_home.open(person.mails("RESET_PASSWORD")[-1]["link"])
    at_home.submit("/reset-password", password="short")
    assert at_home.page.status_code == 422
    at_home.submit("/reset-password", password=NEW_PASSWORD)

    assert NOTICES["reset"][1] in at_home.page.text
    assert RESET_COOKIE not in at_home.kept
    assert SESSION_COOKIE not in at_home.kept
    sign_in(at_home, person, NEW_PASSWORD)
    assert at_home.path == "/dashboard"


def test_the_mail_that_confirms_is_sent_once_more_to_who_asks(surfer: Surfer, newcomer: Person) -> None:
    newcomer.register()
    surfer.open("/verify-email/resend")
    surfer.submit("/verify-email/resend", email=newcomer.email)
    assert NOTICES["verify_sent"][1] in surfer.page.text
    newcomer.harness.run_job("mail_links")

    assert len(newcomer.mails("VERIFY_EMAIL")) == 2


def test_a_change_of_address_is_confirmed_by_both_or_stopped(at_home: Surfer, person: Person) -> None:
    def asked() -> dict[str, str]:
        body = {"new_email": "new@example.org", "current_password": PASSWORD}
        assert person.post("/auth/email/change", body, token=person.signed_in()["access_token"]).status_code == 202
        events = [each.event(EmailRequested) for each in person.harness.published("auth.email.requested")]
        keyring = person.harness.keyring
        return {each.recipient.open(keyring): str(each.variables.open(keyring)) for each in events}

    links = {address: re.findall(r"http[^' ]+/email/[a-z]+\?token=[^' ]+", text) for address, text in asked().items()}
    for address, told in (("ada@example.org", "email_waiting"), ("new@example.org", "email_changed")):
        link = next(each for each in links[address] if "/confirm" in each)
        at_home.open(f"{link}&lang=en")
        assert at_home.path == "/email/confirm"
        at_home.submit("/email/confirm", follow=False)
        assert f"notice={told}" in at_home.page.headers["Location"]
    at_home.open("/email/cancel")
    at_home.submit("/email/cancel", token="x")
    assert at_home.page.status_code == 400
