"""A real browser for tests: the system's Chromium, and a visit that notices everything that goes wrong or elsewhere."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from ops.bootstrap import BROWSERS

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
DEADLINE_SECONDS = 30


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium. `make test` installs it; that it is missing is no reason to skip."""
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

    def forgive(self, status: int) -> None:
        """Take no notice of what the console says of an answer with this status, which was asked for."""
        self.complaints = [each for each in self.complaints if f"status of {status}" not in each]

    def accessible(self, *more: str) -> None:
        """Fails with the rules of WCAG 2.2 AA, and more, that the page breaks."""
        found = Axe().run(self.page, options={"runOnly": [*WCAG, *more]})
        assert found.violations_count == 0, found.generate_report()
