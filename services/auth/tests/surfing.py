"""Somebody who uses the pages of auth as a browser behind the gateway does."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import urlsplit

from werkzeug.test import TestResponse

from libs.common.auth.browser import SESSION_COOKIE
from libs.common.testing.harness import ORIGIN, Harness

HTML = "text/html,application/xhtml+xml"
_TAG = re.compile(r"<(input|form|option|button|a|meta)\b([^>]*)>")
_ATTRIBUTE = re.compile(r'([a-z-]+)="([^"]*)"', re.IGNORECASE)


@dataclass
class Surfer:
    """A browser with its cookies; the session cookie becomes the bearer token, as at the gateway."""

    harness: Harness
    language: str = "en"
    kept: dict[str, str] = field(default_factory=dict)
    seen: TestResponse | None = None

    @property
    def page(self) -> TestResponse:
        """The page that was opened last."""
        assert self.seen is not None
        return self.seen

    def open(self, address: str, *, follow: bool = True) -> TestResponse:
        """Open an address, and follow where it leads on this origin."""
        return self._ask("GET", address, None, follow)

    def send(self, address: str, form: Mapping[str, Any], *, follow: bool = True, **headers: str) -> TestResponse:
        """Send a form from a page of ours; other headers may say otherwise."""
        return self._ask("POST", address, dict(form), follow, **headers)

    def submit(self, action: str, follow: bool = True, **typed: str) -> TestResponse:
        """Fill in the form of the present page that goes to this address: hidden boxes go along as they are."""
        form = form_to(self.page.text, action)
        filled = {**boxes(self.page.text, action), **typed}
        return self.send(tags(form, "form")[0]["action"], filled, follow=follow)

    def _ask(self, method: str, address: str, form: dict[str, Any] | None, follow: bool, **headers: str) -> TestResponse:
        token = self.kept.get(SESSION_COOKIE)
        sent = {"Accept": HTML, "Accept-Language": self.language, "User-Agent": "Mozilla/5.0 (X11; Linux) Firefox/140.0"}
        sent |= {"Authorization": f"Bearer {token}"} if token else {}
        sent |= {"Cookie": "; ".join(f"{name}={value}" for name, value in self.kept.items() if name != SESSION_COOKIE)}
        sent |= ({"Origin": ORIGIN} if form is not None else {}) | headers
        client = self.harness.application().test_client(use_cookies=False)
        self.seen = client.open(address, method=method, data=form, headers=sent)
        self._keep(self.page.headers.getlist("Set-Cookie"))
        location = self.page.headers.get("Location")
        if location and follow:
            assert location.startswith("/")
            return self._ask("GET", location, None, follow)
        return self.page

    def _keep(self, cookies: list[str]) -> None:
        for name, _, rest in (each.partition("=") for each in cookies):
            value, _, attributes = rest.partition("; ")
            self.kept.pop(name, None)
            if "Max-Age=0" not in attributes:
                self.kept[name] = value

    @property
    def path(self) -> str:
        """Where the present page stands."""
        return urlsplit(self.page.request.url).path


def tags(text: str, name: str) -> list[dict[str, str]]:
    """The attributes of every element of this name."""
    found = [(each[1], each[2]) for each in _TAG.finditer(text)]
    return [{key: unescape(value) for key, value in _ATTRIBUTE.findall(rest)} for tag, rest in found if tag == name]


def form_to(text: str, action: str) -> str:
    """The first form that goes to this address."""
    forms = [each.partition("</form>")[0] for each in re.split(r"(?=<form\b)", text)[1:]]
    return next(each for each in forms if urlsplit(tags(each, "form")[0]["action"]).path == action)


def boxes(text: str, action: str) -> dict[str, str]:
    """The boxes of the form that goes to this address, as they stand."""
    return {each["name"]: each.get("value", "") for each in tags(form_to(text, action), "input")}
