"""The two cookies of a browser that is signed in, and those that hold what a mail brought."""

from dataclasses import dataclass
from typing import Final

from libs.common.auth.browser import COOKIE_PREFIX, RENEWAL_COOKIE, SESSION_COOKIE
from libs.common.db import Database
from libs.common.http import Cookie
from services.auth.domain.factors import Required
from services.auth.domain.federation import OpenIdProviders
from services.auth.domain.known_devices import DEVICE_TOKEN_LIFE, device_token
from services.auth.domain.sessions import Lifetimes
from services.auth.domain.tokens import ACCESS_TOKEN_LIFE, TokenIssuer
from services.auth.use_cases.second_factor import Means
from services.auth.use_cases.sessions import Credentials

DEVICE_COOKIE: Final = f"{COOKIE_PREFIX}device"
"""Tells the owner of an account from strangers who guess its password; it opens nothing, and outlives the session."""
VERIFY_COOKIE: Final = f"{COOKIE_PREFIX}verify"
RESET_COOKIE: Final = f"{COOKIE_PREFIX}reset"
EMAIL_COOKIE: Final = f"{COOKIE_PREFIX}email"
FEDERATION_COOKIE: Final = f"{COOKIE_PREFIX}federation"
"""Holds the binding of a sign-in with another provider, while the browser is there."""
LINK_COOKIE: Final = f"{COOKIE_PREFIX}link"
"""Holds the token of an identity that is offered, until the person has signed in and confirmed it."""
MAILED_SECONDS: Final = 3_600
"""How long a browser keeps the token of a mailed link that was opened; the mail has it for as long as it holds."""


@dataclass(frozen=True, slots=True)
class Keeper:
    """What pages need to let people in and to have their browsers keep it."""

    database: Database
    issuer: TokenIssuer
    lifetimes: Lifetimes
    providers: OpenIdProviders
    """With which others a browser may sign in."""
    means: Means
    required: Required

    def signed_in(self, credentials: Credentials) -> tuple[Cookie, Cookie]:
        """What a browser keeps of a session."""
        return (
            Cookie(SESSION_COOKIE, self.issuer.issue(credentials.grant), int(ACCESS_TOKEN_LIFE.total_seconds())),
            Cookie(RENEWAL_COOKIE, credentials.refresh_token, int(self.lifetimes.sliding.total_seconds())),
        )

    def known(self, credentials: Credentials) -> Cookie:
        """What a browser keeps on which an account was opened just now."""
        token = device_token(self.means.secret, credentials.grant.user_id, credentials.grant.authenticated_at)
        return Cookie(DEVICE_COOKIE, token, int(DEVICE_TOKEN_LIFE.total_seconds()))


def signed_out() -> tuple[Cookie, Cookie]:
    """Have the browser forget its session."""
    return Cookie.forgotten(SESSION_COOKIE), Cookie.forgotten(RENEWAL_COOKIE)
