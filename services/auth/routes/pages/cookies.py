"""The two cookies of a browser that is signed in, and those that hold what a mail brought."""

from dataclasses import dataclass
from typing import Final

from libs.common.auth.browser import COOKIE_PREFIX, SESSION_COOKIE
from libs.common.http import Cookie
from services.auth.domain.sessions import Lifetimes
from services.auth.domain.tokens import ACCESS_TOKEN_LIFE, TokenIssuer
from services.auth.use_cases.sessions import Credentials

RENEWAL_COOKIE: Final = f"{COOKIE_PREFIX}refresh"
"""Holds the refresh token: the gateway shows it to these pages alone."""
VERIFY_COOKIE: Final = f"{COOKIE_PREFIX}verify"
RESET_COOKIE: Final = f"{COOKIE_PREFIX}reset"
MAILED_SECONDS: Final = 3_600
"""How long a browser keeps the token of a mailed link that was opened; the mail has it for as long as it holds."""


@dataclass(frozen=True, slots=True)
class Keeper:
    """Makes the cookies of sessions."""

    issuer: TokenIssuer
    lifetimes: Lifetimes

    def signed_in(self, credentials: Credentials) -> tuple[Cookie, Cookie]:
        """What a browser keeps of a session."""
        return (
            Cookie(SESSION_COOKIE, self.issuer.issue(credentials.grant), int(ACCESS_TOKEN_LIFE.total_seconds())),
            Cookie(RENEWAL_COOKIE, credentials.refresh_token, int(self.lifetimes.sliding.total_seconds())),
        )


def signed_out() -> tuple[Cookie, Cookie]:
    """Have the browser forget its session."""
    return Cookie.forgotten(SESSION_COOKIE), Cookie.forgotten(RENEWAL_COOKIE)
