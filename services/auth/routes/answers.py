"""What the doors of auth answer alike."""

import re
from datetime import datetime, timedelta
from typing import TypeVar

from libs.common.auth.policy import StepUpRequired, Subject
from libs.common.errors import Problem
from libs.common.http import RequestInfo
from services.auth import schemas
from services.auth.domain.limits import CLIENT_HEADER, Caller, ClientLimits
from services.auth.domain.tokens import ACCESS_TOKEN_LIFE, TokenIssuer
from services.auth.use_cases.sessions import Credentials

T = TypeVar("T")

_CLIENT = re.compile(r"[0-9A-Fa-f]{64}")


def held(outcome: T | Problem) -> T:
    """Return the outcome, or raise it when it is a refusal: what was remembered with it is committed by now."""
    if isinstance(outcome, Problem):
        raise outcome
    return outcome


def caller(request: RequestInfo, limits: ClientLimits) -> Caller:
    """Who asks, as the gateway says; whoever reached the service without it is nobody in particular."""
    given = request.headers.get(CLIENT_HEADER, "")
    return Caller(limits, given) if _CLIENT.fullmatch(given) else Caller()


def require_recent(subject: Subject, now: datetime, within: timedelta) -> None:
    """Raise StepUpRequired when somebody signed in longer ago."""
    if now - subject.authenticated_at > within:
        raise StepUpRequired(int(within.total_seconds()), "Bearer")


def tokens(credentials: Credentials, issuer: TokenIssuer, device_token: str | None = None) -> schemas.Tokens:
    """Sign the access token and answer both; with the token by which this device is known from now on, after a sign-in."""
    return schemas.Tokens(
        access_token=issuer.issue(credentials.grant),
        expires_in=int(ACCESS_TOKEN_LIFE.total_seconds()),
        refresh_token=credentials.refresh_token,
        session_id=credentials.grant.session_id,
        device_token=device_token,
    )
