"""Second factors, consent and devices in Chromium, with its virtual authenticator, behind the gateway."""

import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pyotp
import pytest
from playwright.sync_api import Browser, Page, expect
from werkzeug import Response
from werkzeug.serving import make_server

from gateway.tests.running import free_port
from libs.common import clock
from libs.common.testing import Harness, service_harness
from services.auth.app import service
from services.auth.domain.clients import COMMAND_LINE, AuthMethod
from services.auth.routes.pages.words import NOTICES
from services.auth.tests.conftest import SETTINGS, Person
from services.auth.tests.relying import App, an_app
from tests.browser import Visit, chromium
from tests.journeys.front import Front, front

PORT = free_port()
bare_harness = service_harness(service, {**SETTINGS, "LUMIERE_ORIGIN": f"http://localhost:{PORT}"})


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with chromium() as launched:
        yield launched


@pytest.fixture
def gateway(bare_harness: Harness, tmp_path: Path) -> Iterator[Front]:
    """A gateway before auth."""
    with front(tmp_path, bare_harness) as running:
        yield running


@pytest.fixture
def person(bare_harness: Harness) -> Person:
    """Somebody whose account is verified."""
    found = Person(bare_harness, "ada@example.org")
    assert found.register(locale="en").status_code == 202
    assert found.verify().status_code == 204
    return found


@pytest.fixture
def visit(browser: Browser, gateway: Front) -> Iterator[Visit]:
    """A visitor who reads English."""
    context = browser.new_context(base_url=gateway.url, locale="en-GB")
    yield Visit(context.new_page(), gateway.url, "en")
    context.close()


def with_an_authenticator(page: Page) -> None:
    """Chromium's virtual one, which verifies its user at once (WebAuthn, section 11)."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
    }
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def sign_in(page: Page, person: Person, address: str = "/login") -> None:
    """With the password."""
    page.goto(address)
    page.fill("#email", person.email)
    page.fill("#password", person.password)
    page.keyboard.press("Enter")


def test_a_passkey_is_made_signs_in_alone_and_is_the_second_factor_of_a_password(visit: Visit, person: Person) -> None:
    page = visit.page
    with_an_authenticator(page)
    sign_in(page, person)
    page.click("main a[href^='/security']")
    visit.accessible("best-practice")
    page.fill("#label", "This computer")
    page.click("form[data-passkey] button")
    expect(page.locator("main li code")).to_have_count(10)
    visit.accessible("best-practice")
    page.click("main a.action")
    expect(page.locator("main li")).to_contain_text("This computer")
    visit.accessible("best-practice")

    page.goto("/dashboard")
    page.click("form[action^='/sign-out'] button")
    page.click("form[data-passkey] button")
    expect(page.locator("h1")).to_contain_text("Ada Lovelace")

    sign_in(page, person, "/login?prompt=login&callbackUrl=/security")
    expect(page.locator("h1")).to_have_text("Confirm that it is you")
    visit.accessible("best-practice")
    page.click("form[data-passkey] button")
    page.wait_for_url("**/security")
    page.click("button[aria-label='Remove the passkey This computer']")
    expect(page.locator(".notice")).to_have_text(NOTICES["factor_removed"][1])
    visit.faultless()


def test_a_passkey_that_is_not_used_leaves_the_password(visit: Visit, person: Person) -> None:
    page = visit.page
    with_an_authenticator(page)
    page.goto("/login")
    page.click("form[data-passkey] button")
    expect(page.locator("form[data-passkey] [role=alert]")).to_be_visible()
    visit.accessible("best-practice")
    page.fill("#email", person.email)
    page.fill("#password", person.password)
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("Ada Lovelace")


def test_an_authenticator_app_is_set_up_and_asked_for(visit: Visit, person: Person) -> None:
    page = visit.page
    sign_in(page, person, "/login?callbackUrl=/security")
    page.click("form[action^='/security/totp'] button")
    secret = page.locator("main ol code").inner_text()
    visit.accessible("best-practice")
    page.fill("#otp", pyotp.TOTP(secret).at(int(clock.epoch()) - 30))
    page.keyboard.press("Enter")
    expect(page.locator("main li code")).to_have_count(10)
    page.context.clear_cookies()

    sign_in(page, person)
    expect(page.locator("h1")).to_have_text("Confirm that it is you")
    visit.accessible("best-practice")
    page.fill("#otp", pyotp.TOTP(secret).at(int(clock.epoch())))
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("Ada Lovelace")
    visit.faultless()


@pytest.fixture
def callback() -> Iterator[str]:
    """The address of a program that people come back to."""
    server = make_server("127.0.0.1", 0, Response("welcome back", content_type="text/plain"))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}/callback"
    server.shutdown()
    thread.join()


def test_a_program_is_let_in_and_the_browser_goes_back_to_it(
    visit: Visit, person: Person, bare_harness: Harness, callback: str
) -> None:
    page, app = visit.page, an_app(bare_harness, redirect_uris=[callback])
    address = f"/oauth/authorize?{urlencode(app.asks(scope='openid tasks:read', redirect_uri=callback))}"
    sign_in(page, person, address)
    expect(page.locator("h1")).to_have_text("Authorise Cinémathèque")
    visit.accessible("best-practice")
    page.click("button[value=grant]")
    page.wait_for_url(f"{callback}?**")
    assert "code=" in page.url

    # Nothing is left to ask: from the form of the sign-in straight to the program.
    page.context.clear_cookies()
    sign_in(page, person, address)
    page.wait_for_url(f"{callback}?**")

    assert "code=" in page.url
    assert visit.complaints == []


def test_a_device_is_let_in(visit: Visit, person: Person, bare_harness: Harness) -> None:
    device = App(bare_harness, str(COMMAND_LINE), None, AuthMethod.NONE)
    offered = device.post("/oauth/device_authorization", {"scope": "openid tasks:read"}).get_json()
    page = visit.page
    sign_in(page, person, offered["verification_uri_complete"])
    expect(page.locator("h1")).to_have_text("Connect a device")
    assert page.input_value("#user_code") == offered["user_code"]
    visit.accessible("best-practice")
    page.keyboard.press("Tab")
    page.click("main form button")
    expect(page.locator("h1")).to_have_text("Connect this device?")
    expect(page.locator("main code")).to_have_text(offered["user_code"])
    visit.accessible("best-practice")
    page.click("button[value=grant]")

    expect(page.locator(".notice")).to_have_text(NOTICES["device_allowed"][1])
    visit.faultless()
