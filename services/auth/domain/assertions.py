"""A client shows who it is by a signed statement (RFC 7523 section 3): short-lived, for this provider alone, and good once."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json

from services.auth.domain.authorization import Provider
from services.auth.domain.clients import Client

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_ALGORITHM: Final = "ES256"
ASSERTION_LIFE_MAXIMUM: Final = timedelta(minutes=5)
"""From now to its `exp`, at most: so long is its `jti` remembered."""
ASSERTION_LEEWAY: Final = timedelta(seconds=5)
ASSERTION_LENGTH_MAXIMUM: Final = 4_096
JTI_MAXIMUM: Final = 255


class _Claims(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    iss: str
    sub: str
    aud: str
    jti: str
    exp: int
    iat: int | None = None
    nbf: int | None = None


@dataclass(frozen=True, slots=True)
class Assertion:
    """A statement that held; it counts once."""

    digest: bytes
    forgotten_at: datetime


def client_named_in(assertion: str) -> str | None:
    """Return whom a statement claims to be of, unverified."""
    if len(assertion) > ASSERTION_LENGTH_MAXIMUM:
        return None
    try:
        claims = from_json(jws.extract_compact(assertion.encode("ascii")).payload)
    except (JoseError, ValueError, UnicodeError):
        return None
    named = claims.get("sub") if isinstance(claims, dict) else None
    return named if isinstance(named, str) else None


def verify_assertion(assertion: str, client: Client, provider: Provider, now: datetime) -> Assertion | None:
    """Return the statement when it is this client's, of now, and for this provider; whether it is new remains to be seen.

    The audience is the issuer identifier and nothing beside it: a statement for somebody else's token endpoint is none for us.
    """
    claims = _verified(assertion, client.keys or {})
    if claims is None or (claims.iss, claims.sub) != (str(client.id), str(client.id)) or claims.aud != provider.issuer:
        return None
    try:
        expires_at = datetime.fromtimestamp(claims.exp, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    begins = max(claims.iat or 0, claims.nbf or 0)
    if not now < expires_at <= now + ASSERTION_LIFE_MAXIMUM + ASSERTION_LEEWAY:
        return None
    if begins > (now + ASSERTION_LEEWAY).timestamp() or not 1 <= len(claims.jti) <= JTI_MAXIMUM:
        return None
    return Assertion(hashlib.sha256(f"client {client.id} {claims.jti}".encode()).digest(), expires_at + ASSERTION_LIFE_MAXIMUM)


def _verified(assertion: str, key_set: Mapping[str, Any]) -> _Claims | None:
    try:
        header = jws.extract_compact(assertion.encode("ascii")).headers()
        jwk = next(each for each in key_set.get("keys", ()) if each["kid"] == header.get("kid"))
        verified = jws.deserialize_compact(assertion, ECKey.import_key(jwk), algorithms=[ASSERTION_ALGORITHM])
        return _Claims.model_validate_json(verified.payload)
    except (JoseError, ValidationError, ValueError, UnicodeError, KeyError, TypeError, StopIteration):
        return None
