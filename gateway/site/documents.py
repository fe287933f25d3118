"""The pages and assets of the gateway, each made once."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

from gateway.site.operator import Operator
from gateway.site.published import Published
from gateway.site.rendering import render, static
from libs.common.auth.browser import SESSION_COOKIE
from libs.common.pages import HTML, KEPT_FOR_EVER, LANGUAGES, PAGE_POLICY, address

PAGE_CACHE: Final = "public, max-age=300"
LEGAL: Final = ("terms", "privacy", "cookies")
LEGAL_VERSION: Final = "1.0"
LEGAL_DATE: Final = {"en": "26 November 2026", "fr": "26 novembre 2026"}
"""Of the newest change to a legal text; another text is another version."""

READER: Final = "flask_swagger_ui"
"""The package that brings Swagger UI's own build, unchanged; nothing else of it is used (ADR 0027)."""
ASSETS: Final[Mapping[str, str]] = {
    "docs.css": "text/css; charset=utf-8",
    "docs.js": "text/javascript; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
}
DOCS_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The reader runs scripts of this origin alone, none of them inline, and draws its arrows from data addresses."""


@cache
def asset(name: str) -> Published:
    """One file that the documentation page loads."""
    return Published.of(_content(name), ASSETS[name], KEPT_FOR_EVER)


def _content(name: str) -> bytes:
    return (files(READER) / "dist" / name).read_bytes() if name.startswith("swagger-ui") else static(name)


@cache
def docs(language: str) -> Published:
    """The page of the API reader."""
    addresses = {name: address(name, _content(name)) for name in ASSETS}
    return _page("docs.html", language, DOCS_POLICY, assets=addresses)


@cache
def home(language: str) -> Published:
    """What stands at `/`."""
    return _page("home.html", language, PAGE_POLICY)


@cache
def legal(page: str, language: str, operator: Operator) -> Published:
    """One legal text in one language."""
    return _page(
        f"legal/{page}.{language}.html",
        language,
        PAGE_POLICY,
        page=page,
        other=next(each for each in LANGUAGES if each != language),
        operator=operator,
        version=LEGAL_VERSION,
        date=LEGAL_DATE[language],
        cookie=SESSION_COOKIE,
    )


def _page(template: str, language: str, policy: str, **values: object) -> Published:
    headers = (("Content-Language", language), ("Content-Security-Policy", policy), ("Vary", "Accept-Language"))
    return Published.of(render(template, language, **values).encode(), HTML, PAGE_CACHE, headers)
