"""The pages of auth in a real browser, behind the real gateway: people sign up, sign in, stay signed in and look after it."""

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from libs.common.auth.browser import COOKIE_PREFIX, SESSION_COOKIE
from libs.common.ids import new_id
from ops.demo.client import wait_for
from ops.demo.mailbox import mails_to, text_of
from ops.testing import LivePlatform
from services.auth.routes.pages.cookies import RENEWAL_COOKIE
from services.auth.routes.pages.words import NOTICES, REFUSALS
from tests.browser import Visit, chromium
from tests.journeys.people import Person, Studio

pytestmark = [pytest.mark.platform, pytest.mark.timeout(300)]

FORMS = ("/login", "/sign-out", "/dashboard/sessions/end-others")
ELSEWHERE = ("//127.0.0.1:1/", "/\\127.0.0.1:1/", "/\t/127.0.0.1:1/", "http://127.0.0.1:1/", "javascript:alert(1)")
PASSWORD = "une longue phrase que personne ne devine"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with chromium() as launched:
        yield launched


@pytest.fixture(params=[("fr-FR", "dark"), ("en-GB", "light")], ids="-".join)
def visit(browser: Browser, platform: LivePlatform, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """A visitor with a language and a palette."""
    language, scheme = request.param
    context = browser.new_context(base_url=platform.origin, locale=language, color_scheme=scheme)
    yield Visit(context.new_page(), platform.origin, language[:2])
    context.close()


one_visitor = pytest.mark.parametrize("visit", [("en-GB", "light")], indirect=True, ids="-".join)


def said(name: str, visit: Visit, sentences: dict[str, tuple[str, str]] | None = None) -> str:
    """One of the sentences in the visitor's language."""
    return (sentences or dict(NOTICES))[name][visit.language == "en"]


def sign_in(visit: Visit, person: Person, address: str = "/login") -> None:
    """Fill in the form as a person does."""
    visit.page.goto(address)
    visit.page.fill("#email", person.email)
    visit.page.fill("#password", person.password)
    visit.page.keyboard.press("Enter")


def mailed_link(platform: LivePlatform, address: str) -> str:
    """The link in the newest mail to an address."""

    def link() -> str | None:
        texts = [text_of(mail) for mail in mails_to(platform.mail, address)]
        found = [word for text in texts for word in text.split() if word.startswith(platform.origin) and "token=" in word]
        return found[-1] if found else None

    return wait_for("a mail with a link", link)


def kept(context: BrowserContext) -> dict[str, str]:
    """The platform's cookies that the browser holds."""
    return {each["name"]: each["value"] for each in context.cookies() if each["name"].startswith(COOKIE_PREFIX)}


def test_somebody_signs_up_confirms_and_signs_in_and_every_page_can_be_used_by_everybody(
    visit: Visit, platform: LivePlatform
) -> None:
    page, address = visit.page, f"visitor-{new_id()}@studio.example"
    page.goto("/register")
    visit.accessible("best-practice")
    page.fill("#display_name", "Ada")
    page.fill("#email", address)
    page.fill("#password", PASSWORD)
    page.click("main button")
    expect(page.locator(".notice")).to_have_text(said("registered", visit))
    visit.accessible("best-practice")

    page.goto(mailed_link(platform, address))
    assert page.url == f"{platform.origin}/verify-email"
    assert "token" not in page.evaluate("JSON.stringify([location.href, document.referrer])")
    visit.accessible("best-practice")
    page.click("main button")
    expect(page.locator(".notice")).to_have_text(said("verified", visit))

    page.fill("#email", address)
    page.fill("#password", PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("Ada")
    assert page.url.endswith("/dashboard")
    assert page.evaluate("document.documentElement.lang") == visit.language
    visit.accessible("best-practice")
    page.click("form[action^='/sign-out'] button")
    expect(page.locator(".notice")).to_have_text(said("signed_out", visit))
    for path in ("/forgot-password", "/reset-password", "/verify-email"):
        page.goto(path)
        visit.accessible("best-practice")
    visit.faultless()


@one_visitor
def test_faults_and_refusals_are_told_to_everybody(visit: Visit, studio: Studio) -> None:
    page = visit.page
    page.goto("/register")
    page.evaluate("document.querySelector('form').noValidate = true")
    page.fill("#password", "short")
    page.click("main button")
    expect(page.locator("[role=alert] li")).to_have_count(3)
    visit.accessible("best-practice")
    page.click("[role=alert] a[href='#password']")
    assert page.evaluate("document.activeElement.id") == "password"

    page.goto("/login")
    page.fill("#email", studio.administrators[1].email)
    page.fill("#password", "a wrong password")
    page.keyboard.press("Enter")
    expect(page.locator("[role=alert]").first).to_have_text(said("WrongCredentials", visit, dict(REFUSALS)))
    assert page.input_value("#email") == studio.administrators[1].email
    visit.accessible("best-practice")
    visit.forgive(422)
    visit.forgive(401)
    visit.faultless()


@one_visitor
def test_a_keyboard_is_enough(visit: Visit, studio: Studio) -> None:
    person, page = studio.newcomer(), visit.page
    page.goto("/login?callbackUrl=/dashboard")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    page.keyboard.type(person.email)
    page.keyboard.press("Tab")
    page.keyboard.type(person.password)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "BUTTON"
    page.keyboard.press("Space")
    expect(page.locator("h1")).to_contain_text(person.display_name)

    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".notice")).to_have_text(said("signed_out", visit))
    visit.faultless()


@one_visitor
def test_the_browser_keeps_secure_cookies_of_the_loopback_and_no_script_reads_them(visit: Visit, studio: Studio) -> None:
    sign_in(visit, studio.newcomer())
    expect(visit.page.locator("h1")).to_contain_text("Bleuette")

    cookies = {each["name"]: each for each in visit.page.context.cookies()}
    assert set(cookies) == {SESSION_COOKIE, RENEWAL_COOKIE}
    for each in cookies.values():
        assert (each["httpOnly"], each["secure"], each["sameSite"], each["path"]) == (True, True, "Lax", "/")
    assert visit.page.evaluate("document.cookie") == ""


@one_visitor
def test_nobody_notices_that_the_access_token_has_run_out(visit: Visit, studio: Studio) -> None:
    person, page = studio.newcomer(), visit.page
    sign_in(visit, person)
    expect(page.locator("h1")).to_contain_text(person.display_name)
    before = kept(page.context)

    page.context.clear_cookies(name=SESSION_COOKIE)  # as its Max-Age does after fifteen minutes
    page.goto("/dashboard?lang=fr")

    assert page.url.endswith("/dashboard?lang=fr")
    expect(page.locator("h1")).to_contain_text(person.display_name)
    after = kept(page.context)
    assert after.keys() == before.keys()
    assert after[RENEWAL_COOKIE] != before[RENEWAL_COOKIE]
    page.context.clear_cookies(name=SESSION_COOKIE)
    page.click("form[action^='/sign-out'] button")
    expect(page.locator(".notice")).to_be_visible()
    assert kept(page.context) == {}
    visit.faultless()


@one_visitor
def test_a_session_that_was_ended_elsewhere_leads_to_the_sign_in_and_from_there_back(visit: Visit, studio: Studio) -> None:
    person, page = studio.newcomer(), visit.page
    sign_in(visit, person)
    expect(page.locator("h1")).to_contain_text(person.display_name)
    mine = next(each for each in person.get("/auth/sessions")["items"] if not each["current"])
    person.http.delete(f"{person.origin}/api/v1/auth/sessions/{mine['id']}", headers=person.authorization).raise_for_status()

    def led() -> bool:
        page.goto("/dashboard?lang=en")
        return "/login" in page.url

    wait_for("the end of the session", led)

    assert page.url == f"{visit.origin}/login?callbackUrl=%2Fdashboard%3Flang%3Den"
    assert kept(page.context) == {}
    page.fill("#email", person.email)
    page.fill("#password", person.password)
    page.keyboard.press("Enter")
    page.wait_for_url("**/dashboard?lang=en")


@one_visitor
def test_one_session_and_all_others_can_be_ended_from_the_page(visit: Visit, studio: Studio) -> None:
    person, page = studio.newcomer(), visit.page
    for _ in range(2):
        person.sign_in(person.email, person.password)
    sign_in(visit, person)
    ends = page.locator("form[action^='/dashboard/sessions/end'] button")
    expect(ends).to_have_count(3 + 1)
    ends.first.click()
    expect(page.locator(".notice")).to_have_text(said("ended", visit))
    expect(ends).to_have_count(2 + 1)
    ends.last.click()
    expect(page.locator(".notice")).to_have_text(said("others_ended", visit))
    expect(ends).to_have_count(0)
    visit.faultless()


@one_visitor
@pytest.mark.parametrize("target", ELSEWHERE)
def test_no_address_leads_from_the_sign_in_to_another_origin(visit: Visit, studio: Studio, target: str) -> None:
    sign_in(visit, studio.administrators[1], f"/login?prompt=login&callbackUrl={quote(target, safe='')}")

    visit.page.wait_for_url("**/dashboard")
    assert visit.page.evaluate("location.origin") == visit.origin
    visit.faultless()


@one_visitor
def test_another_site_signs_nobody_in_and_nobody_out(visit: Visit, studio: Studio) -> None:
    person, page = studio.newcomer(), visit.page
    sign_in(visit, person)
    expect(page.locator("h1")).to_contain_text(person.display_name)
    before, sessions = kept(page.context).keys(), len(person.get("/auth/sessions")["items"])
    elsewhere = visit.origin.replace("127.0.0.1", "localhost")
    boxes = f"<input name=email value='{person.email}'><input name=password value='{person.password}'>"
    forms = [f"<form method=post action='{visit.origin}{path}'>{boxes}<button>x</button></form>" for path in FORMS]
    page.route(f"{elsewhere}/evil", lambda route: route.fulfill(content_type="text/html", body="".join(forms)))

    for number, path in enumerate(FORMS):
        page.goto(f"{elsewhere}/evil")
        with page.expect_response(f"{visit.origin}{path}") as answered:
            page.locator("button").nth(number).click()
        # Without the cookies, which another site's form does not bring, the dashboard is nobody's.
        refused = (answered.value.status, answered.value.headers.get("location", "").partition("?")[0])
        assert refused == ((303, "/login") if path.startswith("/dashboard") else (403, ""))
    assert kept(page.context).keys() == before
    assert len(person.get("/auth/sessions")["items"]) == sessions
