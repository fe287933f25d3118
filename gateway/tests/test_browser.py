"""The pages in a real browser: they work under their own policy, call nobody else, and can be used by everybody."""

import os
import shutil
from collections.abc import Iterator

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from gateway.site import documents
from gateway.tests.running import RunningGateway
from gateway.tests.site import STATED, site
from ops.bootstrap import BROWSERS

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
DEADLINE_SECONDS = 30
LEGAL = tuple(f"/legal/{page}" for page in documents.LEGAL)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """The pages behind HAProxy."""
    with site(tmp_path_factory.mktemp("browser"), STATED, at_home=True) as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium. `make test` installs it; it is no reason to skip."""
    expect.set_options(timeout=DEADLINE_SECONDS * 1_000)
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert executable, "a browser is missing: python3 ops/bootstrap.py packages --tests"
    with sync_playwright() as playwright:
        # As root Chromium starts without its sandbox only.
        launched = playwright.chromium.launch(executable_path=executable, chromium_sandbox=os.geteuid() != 0)
        yield launched
        launched.close()


class Visit:
    """A page that was opened, and everything that went wrong or elsewhere meanwhile."""

    def __init__(self, page: Page, origin: str, language: str) -> None:
        self.page = page
        self.origin = origin
        self.language = language
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.foreign.append(request.url) if not request.url.startswith(origin) else None)
        page.add_init_script(
            "window.violations = []; document.addEventListener('securitypolicyviolation', (event) =>"
            " window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`))"
        )

    def faultless(self) -> None:
        """Fails when the page broke, broke its policy, or asked another origin for anything."""
        assert self.complaints == []
        assert self.page.evaluate("window.violations") == []
        assert [url for url in self.foreign if not url.startswith("data:")] == []

    def accessible(self, *more: str) -> None:
        """Fails with the rules of WCAG 2.2 AA, and more, that the page breaks."""
        found = Axe().run(self.page, options={"runOnly": [*WCAG, *more]})
        assert found.violations_count == 0, found.generate_report()

    def open(self, operation: str) -> Locator:
        """The reader with one operation unfolded."""
        self.page.goto("/docs")
        block = self.page.locator(f"#reader [id^='operations-'][id$='{operation}']")
        block.locator("button.opblock-summary-control").click()
        return block


@pytest.fixture(params=[("fr-FR", "dark"), ("en-GB", "light")], ids="-".join)
def visit(browser: Browser, running: RunningGateway, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """A visitor with a language and a palette."""
    language, scheme = request.param
    context = browser.new_context(base_url=running.url, locale=language, color_scheme=scheme)
    yield Visit(context.new_page(), running.url, language[:2])
    context.close()


one_visitor = pytest.mark.parametrize("visit", [("en-GB", "light")], indirect=True, ids="-".join)


def test_every_page_can_be_used_by_everybody(visit: Visit) -> None:
    for path in ("/", *LEGAL, "/nothing"):
        visit.page.goto(path)
        visit.accessible("best-practice")
        assert visit.page.evaluate("document.documentElement.lang") == visit.language
    visit.complaints = [each for each in visit.complaints if "status of 404" not in each]  # the last page is one
    visit.faultless()


def test_the_keyboard_reaches_the_content_first_and_the_other_language_is_a_link(visit: Visit) -> None:
    visit.page.goto("/legal/terms")
    visit.page.keyboard.press("Tab")
    visit.page.keyboard.press("Enter")

    assert visit.page.evaluate("document.activeElement.id") == "main"
    visit.page.click("header a[hreflang]")
    assert visit.page.evaluate("document.documentElement.lang") == ({"fr", "en"} - {visit.language}).pop()


@one_visitor
def test_the_reader_shows_every_operation_and_calls_nobody_else(visit: Visit) -> None:
    operations = [each for methods in httpx.get(f"{visit.origin}/openapi.json").json()["paths"].values() for each in methods]

    opened = visit.open("submit_work")

    expect(visit.page.locator("#reader .opblock")).to_have_count(len(operations))
    expect(opened).to_contain_text("lease_token")
    expect(opened).to_contain_text("Too Many Requests")
    visit.faultless()


@one_visitor
def test_the_reader_tries_a_call_on_this_origin_alone(visit: Visit) -> None:
    opened = visit.open("key_set")
    opened.locator("button.try-out__btn").click()
    opened.locator("button.execute").click()

    expect(opened.locator(".live-responses-table")).to_contain_text("There is nothing at this address.")
    visit.complaints = [each for each in visit.complaints if "status of 404" not in each]
    visit.faultless()


@pytest.mark.long
def test_the_reader_can_be_used_by_everybody(visit: Visit) -> None:
    expect(visit.open("submit_work")).to_contain_text("Too Many Requests")

    visit.accessible()
