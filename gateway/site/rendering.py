"""Templates to HTML, always escaped, and the language that a reader prefers."""

from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from werkzeug.datastructures import LanguageAccept

LANGUAGES: Final = ("en", "fr")
DEFAULT_LANGUAGE: Final = "en"
"""For who prefers neither."""
STYLESHEET: Final = "site.css"
ICON: Final = "icon.svg"
VERSION_LENGTH: Final = 12
KEPT_FOR_EVER: Final = "public, max-age=31536000, immutable"
"""Cache-Control of what stands at an address that names its content."""
PAGE_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of a page without scripts."""


@cache
def static(name: str) -> bytes:
    """The content of a file of ours that browsers load."""
    return (files("gateway.site") / "static" / name).read_bytes()


def address(name: str, content: bytes) -> str:
    """Where an asset stands; another content has another address, so it may be kept for ever."""
    return f"/assets/{name}?v={sha256(content).hexdigest()[:VERSION_LENGTH]}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("gateway.site"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(
        stylesheet=address(STYLESHEET, static(STYLESHEET)), icon=address(ICON, static(ICON)), languages=LANGUAGES
    )
    return environment


def render(template: str, language: str, **values: object) -> str:
    """One page in one language."""
    return _environment().get_template(template).render(language=language, **values)


def wants_page(accepted: str) -> bool:
    """Whether who sent this Accept header is answered a refusal as a page: it asks for HTML and not for JSON."""
    return "text/html" in accepted.lower() and "json" not in accepted.lower()


def preferred(accepted: LanguageAccept, asked: str | None) -> str:
    """The language that was asked for in the address, else the one preferred by Accept-Language (RFC 9110 section 12.5.4)."""
    if asked in LANGUAGES:
        return asked
    return accepted.best_match(LANGUAGES, DEFAULT_LANGUAGE) or DEFAULT_LANGUAGE
