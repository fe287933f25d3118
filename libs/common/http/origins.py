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
    given = incoming.headers.getlist("Origin")
    site = incoming.headers.get("Sec-Fetch-Site")
    if (given and given != [origin_of(own)]) or (site is not None and site not in OWN_SITES):
        raise ForeignOrigin("Pages of other origins may not open this; use the platform's own pages or a program.")
