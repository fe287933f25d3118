"""What the doors of auth answer alike."""

from typing import TypeVar

from libs.common.errors import Problem
from services.auth import schemas
from services.auth.domain.tokens import ACCESS_TOKEN_LIFE, TokenIssuer
from services.auth.use_cases.sessions import Credentials

T = TypeVar("T")


def held(outcome: T | Problem) -> T:
    """Return the outcome, or raise it when it is a refusal: what was remembered with it is committed by now."""
    if isinstance(outcome, Problem):
        raise outcome
    return outcome


def tokens(credentials: Credentials, issuer: TokenIssuer) -> schemas.Tokens:
    """Sign the access token and answer both."""
    return schemas.Tokens(
        access_token=issuer.issue(credentials.grant),
        expires_in=int(ACCESS_TOKEN_LIFE.total_seconds()),
        refresh_token=credentials.refresh_token,
        session_id=credentials.grant.session_id,
    )
