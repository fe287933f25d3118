"""Sessions: a family of refresh tokens of which one is good at a time, and how sessions end."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType
from uuid import UUID

from libs.common.errors import NotFound, Unauthenticated
from services.auth.domain.secrets import derive, seal, unseal
from services.auth.domain.tokens import ACCESS_TOKEN_LIFE, CLIENT_ID

SessionId = NewType("SessionId", UUID)

REFRESH_DAYS_DEFAULT = 30
REFRESH_DAYS_MAXIMUM = 90
SESSION_DAYS_DEFAULT = 90
SESSION_DAYS_MAXIMUM = 365
REPEAT_WINDOW = timedelta(seconds=10)
"""A spent refresh token yields the same successor for so long: parallel tabs and lost answers log nobody out."""
REVOCATION_ALLOWANCE = timedelta(seconds=60)
"""A revocation is remembered longer than the longest token by so much, for clocks that disagree."""
DEVICE_LABEL_MAXIMUM = 60


class UnknownSession(NotFound):
    """No live session of this person has this identifier."""


class RefreshRefused(Unauthenticated):
    """The refresh token is unknown, spent, expired, or its session has ended."""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long a session lasts: unused (`sliding`; each use starts it anew), and at most, however much it is used."""

    sliding: timedelta = timedelta(days=REFRESH_DAYS_DEFAULT)
    absolute: timedelta = timedelta(days=SESSION_DAYS_DEFAULT)


@dataclass(frozen=True, slots=True)
class Presenter:
    """Who presents a refresh token: a client, and the key that it proved to hold (RFC 9449, section 5), if any."""

    client_id: str = CLIENT_ID
    key_thumbprint: str | None = None


OWN_CLIENT = Presenter()
"""The platform's own pages and apps, whose tokens are bound to no key."""


class EndReason(StrEnum):
    """Why a session ended before its time."""

    LOGOUT = "LOGOUT"
    REVOKED_BY_USER = "REVOKED_BY_USER"
    REFRESH_TOKEN_REUSED = "REFRESH_TOKEN_REUSED"  # noqa: S105  a reason
    PASSWORD_CHANGED = "PASSWORD_CHANGED"  # noqa: S105  a reason
    PASSWORD_RESET = "PASSWORD_RESET"  # noqa: S105  a reason
    ROLE_CHANGED = "ROLE_CHANGED"
    SUSPENDED = "SUSPENDED"
    SECOND_FACTOR_RESET = "SECOND_FACTOR_RESET"
    CODE_REUSED = "CODE_REUSED"
    REVOKED_BY_CLIENT = "REVOKED_BY_CLIENT"
    CONSENT_WITHDRAWN = "CONSENT_WITHDRAWN"
    CLIENT_REMOVED = "CLIENT_REMOVED"


class Judgement(StrEnum):
    """What a refresh token that could not be spent turns out to be."""

    REFUSED = "REFUSED"
    REPEATED = "REPEATED"
    REUSED = "REUSED"


@dataclass(frozen=True, slots=True)
class SpentToken:
    """What is known of a refresh token that could not be spent."""

    used_at: datetime | None
    expires_at: datetime
    session_alive: bool


def judge(token: SpentToken | None, now: datetime) -> Judgement:
    """Decide what presenting this token means: a repetition, a theft, or nothing at all.

    A token of a session that has ended, or one past its life, proves nothing any more: there is nothing left to protect.
    """
    if token is None or token.used_at is None or not token.session_alive or token.expires_at <= now:
        return Judgement.REFUSED
    return Judgement.REPEATED if now - token.used_at <= REPEAT_WINDOW else Judgement.REUSED


def token_hash(token: str) -> bytes:
    """Return the form in which a random token is stored: it has 256 bits of its own, so a fast hash is enough."""
    return hashlib.sha256(token.encode()).digest()


def seal_successor(token: str, successor: str) -> bytes:
    """Seal the next refresh token so that only who presents this one can read it."""
    return seal(derive(token.encode(), "refresh successor"), successor.encode(), token_hash(token))


def unseal_successor(token: str, sealed: bytes) -> str:
    """Return the successor that `seal_successor` sealed."""
    return unseal(derive(token.encode(), "refresh successor"), sealed, token_hash(token)).decode()


def revocation_expiry(revoked_at: datetime) -> datetime:
    """Return when the last access token of a session that ended at this instant is surely dead, rounded up to the second."""
    exact = revoked_at + ACCESS_TOKEN_LIFE + REVOCATION_ALLOWANCE
    return exact if exact.microsecond == 0 else exact.replace(microsecond=0) + timedelta(seconds=1)


_BROWSERS = (("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)


def device_label(user_agent: str | None) -> str:
    """Return a coarse name by which a person recognises a session; too coarse to track anybody."""
    if not user_agent:
        return "Unknown device"
    browser = next((name for mark, name in _BROWSERS if mark in user_agent), None)
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), None)
    if browser and system:
        return f"{browser} on {system}"
    product = user_agent.split("/", 1)[0].split(" ", 1)[0]
    return browser or system or "".join(filter(str.isprintable, product))[:DEVICE_LABEL_MAXIMUM] or "Unknown device"
