"""From templates to pages in the visitor's language."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from libs.common.auth.browser import origin_of
from libs.common.errors import Fault, Problem
from libs.common.http import Cookie, Html, RequestInfo
from libs.common.pages import FORM_POLICY, LANGUAGES, environment, preferred
from services.auth.routes.pages.words import sentence_for, sentence_of

TEMPLATES: Final = "services.auth.routes.pages"
AUTHORIZATION: Final = "/oauth/authorize"
"""Where an application sends people to sign in: from here they are sent on to the application."""
_SOURCE: Final = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*")


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

    def shown(self, visitor: Visitor, given: Mapping[str, str] | None = None) -> Html:
        """The page as it is opened; `given` is what stands in its boxes."""
        return self._html(visitor, 200, given, {}, None, {})

    def with_faults(self, visitor: Visitor, faults: tuple[Fault, ...], given: Mapping[str, str]) -> Html:
        """The form again, with a sentence at each box that is wrong."""
        told: dict[str, str] = {}
        for fault in faults:
            told.setdefault(fault.pointer.strip("/").split("/")[0], sentence_for(fault, visitor.language))
        return self._html(visitor, 422, given, told, None, {})

    def refused(self, visitor: Visitor, problem: Problem, given: Mapping[str, str] | None = None) -> Html:
        """The form again, with why it was refused; status and headers are the refusal's own."""
        return self._html(visitor, problem.status, given, {}, sentence_of(problem, visitor.language), problem.headers())

    def _html(
        self,
        visitor: Visitor,
        status: int,
        given: Mapping[str, str] | None,
        faults: Mapping[str, str],
        refusal: str | None,
        headers: Mapping[str, str],
    ) -> Html:
        other = next(each for each in LANGUAGES if each != visitor.language)
        text = (
            environment(TEMPLATES)
            .get_template(self.template)
            .render(
                language=visitor.language,
                other=other,
                say=visitor.say,
                link=visitor.link,
                given=given or {},
                faults=faults,
                refusal=refusal,
                **self.values,
            )
        )
        return Html(text, visitor.language, status, self.policy, self.cookies, headers)


def policy_for(callback: str | None, policy: str = FORM_POLICY) -> str:
    """The content policy of a form from which somebody may be led on to an application.

    Browsers hold every redirect after a form against `form-action` of the form's page: that one origin is added.
    """
    address = urlsplit(callback or "")
    if address.path != AUTHORIZATION:
        return policy
    given = parse_qs(address.query).get("redirect_uri", [""])
    return allowing(given[0], policy) if len(given) == 1 else policy


def allowing(redirect_uri: str, policy: str = FORM_POLICY) -> str:
    """The policy with the place of a redirect address added, when it has one that can be named."""
    try:
        source = origin_of(redirect_uri)
    except ValueError:
        source = urlsplit(redirect_uri).scheme.lower() + ":"
    if _SOURCE.fullmatch(source) or (_SCHEME.fullmatch(source[:-1]) and source not in {"javascript:", "data:", "blob:"}):
        return f"{policy} {source}"
    return policy
