"""What all pages for people share: their look, their languages, and how templates become HTML. Nothing comes from elsewhere."""

from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Final

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from werkzeug.datastructures import LanguageAccept

from libs.common.pages.words import of_status

LANGUAGES: Final = ("en", "fr")
DEFAULT_LANGUAGE: Final = "en"
"""For who prefers neither."""
STYLESHEET: Final = "site.css"
ICON: Final = "icon.svg"
VERSION_LENGTH: Final = 12
HTML: Final = "text/html; charset=utf-8"
KEPT_FOR_EVER: Final = "public, max-age=31536000, immutable"
"""Cache-Control of what stands at an address that names its content."""
_POLICY: Final = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
PAGE_POLICY: Final = f"{_POLICY}form-action 'none'"
"""Content-Security-Policy of a page without scripts and forms."""
FORM_POLICY: Final = f"{_POLICY}form-action 'self'"
"""Of a page without scripts, whose forms go to this origin alone."""
SCRIPT_POLICY: Final = f"{_POLICY}script-src 'self'; connect-src 'self'; form-action 'self'"
"""Of a page with forms and scripts of this origin, none of them inline."""


@cache
def static(name: str) -> bytes:
    """The content of a file that every page loads."""
    return (files("libs.common.pages") / "static" / name).read_bytes()


def address(name: str, content: bytes) -> str:
    """Where an asset stands; another content has another address, so it may be kept for ever."""
    return f"/assets/{name}?v={sha256(content).hexdigest()[:VERSION_LENGTH]}"


@cache
def environment(package: str | None = None) -> Environment:
    """The templates of a package and those that all pages share; always escaped, and nothing undefined is shown."""
    shared = PackageLoader("libs.common.pages")
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package), shared]) if package else shared,
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals.update(
        stylesheet=address(STYLESHEET, static(STYLESHEET)), icon=address(ICON, static(ICON)), languages=LANGUAGES
    )
    return made


def error_page(status: int, language: str, path: str, request_id: str, detail: str = "") -> str:
    """What a person is told of a refusal; `detail` is what programs are told, in English."""
    told = of_status(status, language)
    template = environment().get_template("error.html")
    return template.render(language=language, words=told, status=status, path=path, request_id=request_id, detail=detail)


def wants_page(accepted: str) -> bool:
    """Whether who sent this Accept header is answered a refusal as a page: it asks for HTML and not for JSON."""
    return "text/html" in accepted.lower() and "json" not in accepted.lower()


def preferred(accepted: LanguageAccept, asked: str | None) -> str:
    """The language that was asked for in the address, else the one preferred by Accept-Language (RFC 9110 section 12.5.4)."""
    if asked in LANGUAGES:
        return asked
    return accepted.best_match(LANGUAGES, DEFAULT_LANGUAGE) or DEFAULT_LANGUAGE
