"""Cookies: what a browser brings to a page that asks for it, and what an answer has it keep."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from flask import Request

from libs.common.auth.browser import COOKIE_PREFIX

_NAME: Final = re.compile(re.escape(COOKIE_PREFIX) + r"[a-z]{1,32}")
_VALUE: Final = re.compile(r"[A-Za-z0-9._~-]{0,3500}")
"""What no quoting, comma or semicolon can change, and no browser cuts off."""


@dataclass(frozen=True, slots=True)
class Cookie:
    """One cookie for a browser to keep for `max_age` seconds; 0 has it forget the one of this name.

    Its prefix keeps other hosts, plain HTTP and narrower paths from setting it (RFC 6265bis section 4.1.3). No script reads
    it, and it comes along from other sites only when a person follows a link. Raises ValueError for a name or value that
    two programs could read in two ways.
    """

    name: str
    value: str
    max_age: int

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or not _VALUE.fullmatch(self.value) or self.max_age < 0:
            raise ValueError(f"a cookie is named {COOKIE_PREFIX} and letters; its value has no character that needs quoting")

    @property
    def header(self) -> str:
        """The value of one `Set-Cookie`."""
        return f"{self.name}={self.value}; Max-Age={self.max_age}; Path=/; Secure; HttpOnly; SameSite=Lax"

    @classmethod
    def forgotten(cls, name: str) -> "Cookie":
        """Have the browser forget the cookie of this name."""
        return cls(name, "", 0)


class Cookies:
    """The platform's own cookies in a request. A route whose handler asks for this is the only kind that gets any."""

    def __init__(self, headers: Iterable[str]) -> None:
        self._pairs = [pair.strip().partition("=") for header in headers for pair in header.split(";")]

    def get(self, name: str) -> str | None:
        """The value, or None: of two cookies of one name nobody knows which is ours, so neither is."""
        found = [value for given, _, value in self._pairs if given.strip() == name]
        return found[0] if len(found) == 1 and found[0] and _VALUE.fullmatch(found[0]) else None


def cookies_of(request: Request) -> Cookies:
    """The cookies of a request."""
    return Cookies(request.headers.getlist("Cookie"))
