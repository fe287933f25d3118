"""The pages in a real browser: they work under their own policy, call nobody else, and can be used by everybody."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Locator, expect

from gateway.site import documents
from gateway.tests.running import RunningGateway
from gateway.tests.site import STATED, site
from tests.browser import Visit, chromium

LEGAL = tuple(f"/legal/{page}" for page in documents.LEGAL)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """The pages behind HAProxy."""
    with site(tmp_path_factory.mktemp("browser"), STATED, at_home=True) as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with chromium() as launched:
        yield launched


def unfolded(visit: Visit, operation: str) -> Locator:
    """The reader with one operation unfolded."""
    visit.page.goto("/docs")
    block = visit.page.locator(f"#reader [id^='operations-'][id$='{operation}']")
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
    visit.forgive(404)  # the last page is one
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

    opened = unfolded(visit, "submit_work")

    expect(visit.page.locator("#reader .opblock")).to_have_count(len(operations))
    expect(opened).to_contain_text("lease_token")
    expect(opened).to_contain_text("Too Many Requests")
    visit.faultless()


@one_visitor
def test_the_reader_tries_a_call_on_this_origin_alone(visit: Visit) -> None:
    opened = unfolded(visit, "key_set")
    opened.locator("button.try-out__btn").click()
    opened.locator("button.execute").click()

    expect(opened.locator(".live-responses-table")).to_contain_text("There is nothing at this address.")
    visit.forgive(404)
    visit.faultless()


@pytest.mark.long
def test_the_reader_can_be_used_by_everybody(visit: Visit) -> None:
    expect(unfolded(visit, "submit_work")).to_contain_text("Too Many Requests")

    visit.accessible()
