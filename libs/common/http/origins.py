"""Which pages may ask: those of the platform's own origin, where a route says so."""

from flask import Request

from libs.common.auth.browser import origin_of
from libs.common.errors import Forbidden

OWN_SITES = frozenset({"same-origin", "none"})
"""What a browser says in `Sec-Fetch-Site` of our own pages, and of an address typed in (Fetch Metadata section 2.4)."""


class ForeignOrigin(Forbidden):
    """A page of another origin asks for what is for our own pages and for programs."""


def require_own_origin(incoming: Request, own: str) -> None:
    """Let pages of our own base address pass, and programs, which send no `Origin`. Raises ForeignOrigin."""
    given, site = _said(incoming)
    if (given and given != [origin_of(own)]) or (site and (len(site) > 1 or site[0] not in OWN_SITES)):
        raise ForeignOrigin("Pages of other origins may not open this; use the platform's own pages or a program.")


def require_own_page(incoming: Request, own: str) -> None:
    """Let only forms of our own pages pass: `Origin` or `Sec-Fetch-Site` says so, and both when both are sent.

    Also where nobody is signed in: else another site could sign a visitor in as somebody else. Raises ForeignOrigin.
    """
    given, site = _said(incoming)
    if not (given or site) or (given and given != [origin_of(own)]) or (site and site != ["same-origin"]):
        raise ForeignOrigin("This form is for the platform's own pages; open the page and send it from there.")


def _said(incoming: Request) -> tuple[list[str], list[str]]:
    return incoming.headers.getlist("Origin"), incoming.headers.getlist("Sec-Fetch-Site")
