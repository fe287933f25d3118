"""Access tokens (RFC 9068 but for the `roles` string), one-time tokens by mail, and signing keys."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NotRequired, Protocol, TypedDict
from uuid import UUID

from joserfc import jwt
from joserfc.jwk import ECKey

from libs.common.auth.policy import OWN_CLIENT, Role
from libs.common.auth.profile import ALGORITHM, LIFETIME_SECONDS, TOKEN_TYPE
from libs.common.errors import BadRequest
from services.auth.domain.secrets import MasterSecret, seal, unseal

ACCESS_TOKEN_LIFE = timedelta(seconds=LIFETIME_SECONDS)
VERIFICATION_LIFE = timedelta(hours=24)
RESET_LIFE = timedelta(hours=1)
EMAIL_CHANGE_LIFE = timedelta(hours=24)
"""Both addresses must have confirmed within this time."""
MAILS_ALLOWED = 3
"""Mails of one kind to one account within its window: whoever has the address is not to be flooded by strangers."""
CLIENT_ID = OWN_CLIENT


class KeyState(StrEnum):
    """A signing key's life: offered to verifiers, then signing, then only verifying; or withdrawn at once."""

    PUBLISHED = "PUBLISHED"
    ACTIVE = "ACTIVE"
    RETIRED = "RETIRED"
    WITHDRAWN = "WITHDRAWN"


class Purpose(StrEnum):
    """What a one-time token that travels by mail is for."""

    VERIFY_EMAIL = "VERIFY_EMAIL"
    RESET_PASSWORD = "RESET_PASSWORD"  # noqa: S105  the name of a purpose


class Template(StrEnum):
    """E-mails that auth asks notify to send."""

    VERIFY_EMAIL = "VERIFY_EMAIL"
    ADDRESS_IN_USE = "ADDRESS_IN_USE"
    RESET_PASSWORD = "RESET_PASSWORD"  # noqa: S105  the name of a template
    SECURITY_NOTICE = "SECURITY_NOTICE"
    CHANGE_EMAIL = "CHANGE_EMAIL"
    """To the address that an account has: may another take its place?"""
    CONFIRM_NEW_EMAIL = "CONFIRM_NEW_EMAIL"
    """To the address that is to take its place."""


MAIL_WINDOWS: Mapping[Template, timedelta] = MappingProxyType(
    {
        Template.VERIFY_EMAIL: timedelta(hours=1),
        Template.ADDRESS_IN_USE: timedelta(hours=1),
        Template.RESET_PASSWORD: timedelta(minutes=15),
        Template.CHANGE_EMAIL: timedelta(hours=1),
        Template.CONFIRM_NEW_EMAIL: timedelta(hours=1),
    }
)
"""Within what time so many are allowed; no longer than a link holds: who is sent no more mails has one that works."""


class TokenRefused(BadRequest):
    """The one-time token is unknown, used, replaced by a newer one, or past its time."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What an access token says of its bearer."""

    user_id: UUID
    session_id: UUID
    roles: str
    authenticated_at: datetime
    methods: tuple[str, ...]
    issued_at: datetime
    client_id: str = CLIENT_ID
    scope: str | None = None
    key_thumbprint: str | None = None


class TokenIssuer(Protocol):
    """Signs access tokens with the active key."""

    def issue(self, grant: Grant) -> str:
        """Return the signed token."""
        ...


class KeySet(Protocol):
    """The public keys with which tokens can be verified."""

    def public(self) -> dict[str, Any]:
        """Return the JSON Web Key Set (RFC 7517)."""
        ...


def issue_time(now: datetime, not_before: datetime | None) -> datetime:
    """Return the `iat` of a token issued now: whole seconds, and never before the instant from which the user's tokens count.

    Revocation voids tokens with `iat < not_before`; where two machines' clocks disagree, the later instant holds.
    """
    second = now.replace(microsecond=0)
    return second if not_before is None else max(second, not_before)


class Confirmation(TypedDict):
    """The key that a token is bound to (RFC 9449 section 6.1)."""

    jkt: str


class Claims(TypedDict):
    """An access token's payload; `scope` and `cnf` only where a client was given less than all, or its tokens have a key."""

    iss: str
    aud: str
    sub: str
    client_id: str
    sid: str
    jti: str
    iat: int
    nbf: int
    exp: int
    roles: str
    auth_time: int
    amr: list[str]
    scope: NotRequired[str]
    cnf: NotRequired[Confirmation]


def claims(grant: Grant, issuer: str, audience: str, token_id: UUID) -> Claims:
    """Return the payload of an access token: times in seconds since 1970, identifiers as text."""
    issued_at = int(grant.issued_at.timestamp())
    payload = Claims(
        iss=issuer,
        aud=audience,
        sub=str(grant.user_id),
        client_id=grant.client_id,
        sid=str(grant.session_id),
        jti=str(token_id),
        iat=issued_at,
        nbf=issued_at,
        exp=issued_at + int(ACCESS_TOKEN_LIFE.total_seconds()),
        roles=_roles(grant),
        auth_time=int(grant.authenticated_at.timestamp()),
        amr=list(grant.methods),
    )
    if grant.scope is not None:
        payload["scope"] = grant.scope
    if grant.key_thumbprint is not None:
        payload["cnf"] = Confirmation(jkt=grant.key_thumbprint)
    return payload


def _roles(grant: Grant) -> str:
    """What an administrator may is never handed on: a client of others gets nobody else's rights through them."""
    return "" if grant.scope is not None and grant.roles == Role.ADMIN else grant.roles


def sign(payload: Claims, key: ECKey) -> str:
    """Return the compact signed token (RFC 7515) under this key."""
    return jwt.encode({"alg": ALGORITHM, "typ": TOKEN_TYPE, "kid": key.kid}, dict(payload), key, algorithms=[ALGORITHM])


def new_signing_key() -> ECKey:
    """Return a fresh P-256 key pair named by its thumbprint (RFC 7638).

    Operators type the name on command lines: none begins like an option.
    """
    while True:
        key = ECKey.generate_key("P-256", parameters={"use": "sig", "alg": ALGORITHM}, private=True)
        key.ensure_kid()
        if str(key.kid)[0].isalnum():
            return key


def seal_signing_key(key: ECKey, secret: MasterSecret) -> bytes:
    """Return the private key sealed for the table; bound to its name."""
    text = json.dumps(key.as_dict(private=True)).encode()
    return seal(secret.derive("signing keys"), text, str(key.kid).encode())


def unseal_signing_key(key_id: str, sealed: bytes, secret: MasterSecret) -> ECKey:
    """Return the private key that `seal_signing_key` sealed."""
    return ECKey.import_key(json.loads(unseal(secret.derive("signing keys"), sealed, key_id.encode())))


def epoch(instant: datetime) -> int:
    """Return whole seconds since 1970."""
    return int(instant.astimezone(UTC).timestamp())
