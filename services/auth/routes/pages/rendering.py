"""From templates to pages in the visitor's language."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from libs.common.errors import Fault, Problem
from libs.common.http import Cookie, Html, Redirect, RequestInfo
from libs.common.pages import FORM_POLICY, LANGUAGES, PAGE_POLICY, environment, preferred
from services.auth.domain.accounts import Locale
from services.auth.routes.pages.words import hints, sentence_for, sentence_of

TEMPLATES: Final = "services.auth.routes.pages"
AUTHORIZATION: Final = "/oauth/"
"""Below it people are sent on to the program that sent them."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks at a page: their language, and whether they chose it by `lang`."""

    language: str
    chosen: bool

    @classmethod
    def of(cls, request: RequestInfo, asked: str | None, known: str | None = None) -> "Visitor":
        """By what the address says, else the account, else the browser."""
        if asked in LANGUAGES:
            return cls(asked, chosen=True)
        accepted = parse_accept_header(request.headers.get("Accept-Language", ""), LanguageAccept)
        return cls(known if known in LANGUAGES else preferred(accepted, None), chosen=False)

    def link(self, path: str, **query: str | None) -> str:
        """An address of this origin in the chosen language; what is None is left out."""
        told = {name: value for name, value in query.items() if value is not None}
        if self.chosen:
            told["lang"] = self.language
        return f"{path}?{urlencode(told)}" if told else path

    @property
    def locale(self) -> Locale:
        """The language in which mails are written to them."""
        return Locale(self.language)

    def say(self, french: str, english: str) -> str:
        """One of two texts."""
        return french if self.language == "fr" else english


@dataclass(frozen=True, slots=True)
class Page:
    """A template and what it is filled in with; `policy` is its content policy, `cookies` go along."""

    template: str
    values: Mapping[str, Any]
    policy: str = FORM_POLICY
    cookies: tuple[Cookie, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def shown(self, visitor: Visitor, given: Mapping[str, str] | None = None) -> Html:
        """The page as it is opened; `given` is what stands in its boxes."""
        return self._html(visitor, _State(given=given or {}))

    def with_faults(self, visitor: Visitor, faults: tuple[Fault, ...], given: Mapping[str, str]) -> Html:
        """The form again, with a sentence at each box that is wrong."""
        told: dict[str, str] = {}
        for fault in faults:
            told.setdefault(fault.pointer.strip("/").split("/")[0], sentence_for(fault, visitor.language))
        return self._html(visitor, _State(422, given, told))

    def refused(self, visitor: Visitor, problem: Problem, given: Mapping[str, str] | None = None) -> Html:
        """The form again, with why it was refused; status and headers are the refusal's own."""
        told = sentence_of(problem, visitor.language)
        return self._html(visitor, _State(problem.status, given or {}, refusal=told, headers=problem.headers()))

    def _html(self, visitor: Visitor, state: "_State") -> Html:
        text = (
            environment(TEMPLATES)
            .get_template(self.template)
            .render(
                language=visitor.language,
                other=next(each for each in LANGUAGES if each != visitor.language),
                say=visitor.say,
                link=visitor.link,
                given=state.given,
                faults=state.faults,
                refusal=state.refusal,
                hints=hints(visitor.language),
                **self.values,
            )
        )
        headers = {**self.headers, **state.headers}
        return Html(text, visitor.language, state.status, self.policy, self.cookies, headers)


@dataclass(frozen=True, slots=True)
class _State:
    """How a form stands: what is in its boxes, what is wrong with them, and why it was refused."""

    status: int = 200
    given: Mapping[str, str] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    refusal: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def onward(address: str, visitor: Visitor, cookies: tuple[Cookie, ...] = ()) -> Html | Redirect:
    """Lead on after a form: by 303, or by a page that refreshes itself where the way may end at another origin.

    Browsers hold every redirect after a form against the page's `form-action`; a page of its own is no such redirect.
    """
    if address.startswith("/") and not address.startswith(AUTHORIZATION):
        return Redirect(address, 303, cookies)
    page = Page("onward.html", {"address": address}, PAGE_POLICY, cookies, {"Referrer-Policy": "no-referrer"})
    return page.shown(visitor)
