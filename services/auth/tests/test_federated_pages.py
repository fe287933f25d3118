"""Sign in with another provider with a browser, and link and unlink identities on pages."""

from html import unescape
from re import search
from urllib.parse import urlencode

import pytest

from libs.common.auth.browser import SESSION_COOKIE
from libs.common.testing import Harness
from services.auth.routes.pages.cookies import LINK_COOKIE
from services.auth.routes.pages.words import NOTICES, REFUSALS
from services.auth.tests.conftest import Person
from services.auth.tests.fake_provider import FakeProvider
from services.auth.tests.federating import accounts
from services.auth.tests.surfing import Surfer

HERE = "/identities"


@pytest.fixture
def surfer(harness: Harness) -> Surfer:
    """A browser that was never here."""
    return Surfer(harness)


def leave(surfer: Surfer, page: str = "/login", action: str = "/login/with/fake") -> str:
    """Press the button, and return where the browser is sent."""
    surfer.open(page)
    left = surfer.submit(action)
    address = search(r'url=([^"]+)"', left.text)
    assert address is not None, left.text
    return unescape(address[1])


def come_back(surfer: Surfer, fake: FakeProvider, address: str, **more: str) -> None:
    surfer.open(f"/oauth/callback/fake?{urlencode({**fake.authorize(address), 'session_state': 'ignored', **more})}")


def sign_in(surfer: Surfer, person: Person, address: str = "/login") -> None:
    surfer.open(address)
    surfer.submit("/login", email=person.email, password=person.password)


def test_a_browser_signs_in_with_a_provider_and_goes_where_it_was_led_from(surfer: Surfer, fake: FakeProvider) -> None:
    come_back(surfer, fake, leave(surfer, "/login?callbackUrl=/identities"))
    assert surfer.path == HERE
    assert SESSION_COOKIE in surfer.kept


def test_without_providers_the_page_offers_none(surfer: Surfer) -> None:
    assert "/login/with/" not in surfer.open("/login").text


def test_another_browser_cannot_use_what_comes_back(harness: Harness, surfer: Surfer, fake: FakeProvider) -> None:
    address = leave(surfer)
    victim = Surfer(harness)
    come_back(victim, fake, address)
    assert victim.page.status_code == 401
    assert REFUSALS["ProviderAnswerRefused"][1] in victim.page.text
    assert SESSION_COOKIE not in victim.kept
    assert accounts(harness) == 0


def test_who_has_an_account_signs_in_to_it_and_confirms(surfer: Surfer, fake: FakeProvider, person: Person) -> None:
    fake.person["email"] = person.email
    come_back(surfer, fake, leave(surfer))
    assert surfer.path == "/login"
    assert NOTICES["link_offered"][1] in surfer.page.text
    surfer.submit("/login", email=person.email, password=person.password)
    assert surfer.path == HERE
    surfer.submit(f"{HERE}/confirm")
    assert NOTICES["identity_linked"][0] in surfer.page.text
    assert LINK_COOKIE not in surfer.kept
    surfer.submit(f"{HERE}/unlink")
    assert NOTICES["identity_unlinked"][0] in surfer.page.text


def test_who_is_signed_in_links_from_their_page_and_keeps_the_last_way_in(
    harness: Harness, surfer: Surfer, fake: FakeProvider, person: Person
) -> None:
    sign_in(surfer, person)
    come_back(surfer, fake, leave(surfer, HERE, f"{HERE}/link"))
    assert surfer.path == HERE
    surfer.submit(f"{HERE}/confirm")
    assert NOTICES["identity_linked"][0] in surfer.page.text
    fake.person = {**fake.person, "sub": "somebody-new", "email": "new@example.org"}
    other = Surfer(harness)
    come_back(other, fake, leave(other, f"/login?callbackUrl={HERE}"))
    other.submit(f"{HERE}/unlink")
    assert other.page.status_code == 409
    assert REFUSALS["LastWayIn"][1] in other.page.text


def test_an_offer_to_somebody_else_is_refused_in_words(
    harness: Harness, surfer: Surfer, fake: FakeProvider, person: Person
) -> None:
    grace = Person(harness, "grace@example.org")
    grace.register()
    grace.verify()
    come_back(surfer, fake, leave(surfer))
    surfer.submit("/login", email=person.email, password=person.password)
    surfer.submit(f"{HERE}/confirm")
    assert (surfer.page.status_code, REFUSALS["LinkRefused"][0] in surfer.page.text) == (400, True)


def test_an_unknown_provider_or_one_that_is_away_is_told_on_the_form(surfer: Surfer, fake: FakeProvider) -> None:
    surfer.open("/login")
    assert surfer.send("/login/with/nobody", {"callbackUrl": ""}).status_code == 404
    fake.metadata = {"issuer": "https://elsewhere.example.org"}
    surfer.send("/login/with/fake", {"callbackUrl": ""})
    assert (surfer.page.status_code, REFUSALS["ProviderUnavailable"][1] in surfer.page.text) == (503, True)
    assert surfer.open("/oauth/callback/nobody?state=x&code=y").status_code == 404
