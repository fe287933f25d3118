"""The two cookies of a browser that is signed in, and those that hold what a mail brought."""

from typing import Final

from libs.common.auth.browser import COOKIE_PREFIX, SESSION_COOKIE
from libs.common.http import Cookie
from services.auth.domain.sessions import REFRESH_TOKEN_LIFE
from services.auth.domain.tokens import ACCESS_TOKEN_LIFE, TokenIssuer
from services.auth.use_cases.sessions import Credentials

RENEWAL_COOKIE: Final = f"{COOKIE_PREFIX}refresh"
"""Holds the refresh token: the gateway shows it to these pages alone."""
VERIFY_COOKIE: Final = f"{COOKIE_PREFIX}verify"
RESET_COOKIE: Final = f"{COOKIE_PREFIX}reset"
MAILED_SECONDS: Final = 3_600
"""How long a browser keeps the token of a mailed link that was opened; the mail has it for as long as it holds."""


def signed_in(credentials: Credentials, issuer: TokenIssuer) -> tuple[Cookie, Cookie]:
    """What a browser keeps of a session."""
    token = issuer.issue(credentials.grant)
    return (
        Cookie(SESSION_COOKIE, token, int(ACCESS_TOKEN_LIFE.total_seconds())),
        Cookie(RENEWAL_COOKIE, credentials.refresh_token, int(REFRESH_TOKEN_LIFE.total_seconds())),
    )


def signed_out() -> tuple[Cookie, Cookie]:
    """Have the browser forget its session."""
    return Cookie.forgotten(SESSION_COOKIE), Cookie.forgotten(RENEWAL_COOKIE)
