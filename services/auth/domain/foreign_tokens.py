"""ID tokens of other providers (OpenID Connect Core 1.0, section 3.1.3.7): believed only when everything fits."""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.auth.domain.federation import SUBJECT_MAXIMUM, Identity, Provider

LEEWAY = timedelta(seconds=60)
"""How far the clocks of a provider and of ours may disagree."""
AGE_MAXIMUM = timedelta(minutes=10)
"""An ID token was made for a sign-in that began no longer ago."""
ID_TOKEN_LENGTH_MAXIMUM = 16_384
_TYPES = {"JWT", "jwt", None}
_HASHES = {"512": hashlib.sha512, "384": hashlib.sha384}


class IdTokenRefused(Exception):
    """The token proves nothing; `reason` says why, in a word for the log."""

    def __init__(self, reason: str) -> None:
        """Take the word."""
        super().__init__(reason)
        self.reason = reason


class UnknownKey(IdTokenRefused):
    """It names a key that is not in the set as we know it: the provider may have a new one."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What an ID token must say."""

    provider: Provider
    nonce: str
    now: datetime
    access_token: str | None


class _Claims(BaseModel):
    """The claims that are relied on, strictly typed: an `email_verified` that is no boolean verifies nothing."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)

    iss: str
    sub: Annotated[str, Field(min_length=1, max_length=SUBJECT_MAXIMUM)]
    aud: str | list[str]
    exp: int | float
    iat: int | float
    nonce: str
    azp: str | None = None
    nbf: int | float | None = None
    at_hash: str | None = None
    email: str | None = None
    email_verified: bool = False
    name: str | None = None
    locale: str | None = None


def key_id(id_token: str, provider: Provider) -> str | None:
    """Return the key that a token says it is signed with. Raises IdTokenRefused for a header that is not acceptable."""
    if len(id_token) > ID_TOKEN_LENGTH_MAXIMUM:
        raise IdTokenRefused("too_long")
    try:
        header = jws.extract_compact(id_token.encode("ascii")).headers()
    except (JoseError, ValueError):
        raise IdTokenRefused("malformed") from None
    if header.get("alg") not in provider.algorithms:
        raise IdTokenRefused("algorithm")
    if header.get("typ") not in _TYPES or "crit" in header or "b64" in header:
        raise IdTokenRefused("header")
    named = header.get("kid")
    if named is not None and not isinstance(named, str):
        raise IdTokenRefused("header")
    return named


def verify(id_token: str, keys: Mapping[str, Any], expected: Expected) -> Identity:
    """Return whom the token vouches for. Raises IdTokenRefused, UnknownKey; `keys` is the provider's JWK Set (RFC 7517)."""
    named = key_id(id_token, expected.provider)
    usable = _usable(keys, named, str(jws.extract_compact(id_token.encode("ascii")).headers()["alg"]))
    if not usable:
        raise UnknownKey("key")
    if named is None and len(usable) > 1:
        raise IdTokenRefused("key")
    try:
        key = KeySet.import_key_set({"keys": usable}).keys[0]
        token = jws.deserialize_compact(id_token, key, algorithms=list(expected.provider.algorithms))
        claims = _Claims.model_validate_json(token.payload)
    except ValidationError:
        raise IdTokenRefused("claims") from None
    except (JoseError, ValueError, TypeError, KeyError):
        raise IdTokenRefused("signature") from None
    _judge(claims, expected, str(token.headers()["alg"]))
    return Identity(claims.iss, claims.sub, claims.email, claims.email_verified, claims.name, claims.locale)


def _usable(keys: Mapping[str, Any], named: str | None, algorithm: str) -> list[dict[str, Any]]:
    """The public signature keys of the set that the header can mean."""
    entries = keys.get("keys", [])
    return [
        entry
        for entry in entries
        if isinstance(entry, dict)
        and entry.get("kty") in {"EC", "RSA", "OKP"}
        and entry.get("use", "sig") == "sig"
        and entry.get("alg", algorithm) == algorithm
        and (named is None or entry.get("kid") == named)
    ]


def _judge(claims: _Claims, expected: Expected, algorithm: str) -> None:
    client_id = expected.provider.client_id
    audience = claims.aud if isinstance(claims.aud, list) else [claims.aud]
    now = expected.now.timestamp()
    leeway = LEEWAY.total_seconds()
    checks = (
        ("issuer", claims.iss == expected.provider.issuer),
        ("audience", client_id in audience),
        ("authorized_party", claims.azp == client_id if len(audience) > 1 else claims.azp in {None, client_id}),
        ("expired", claims.exp > now - leeway),
        ("issued_at", now - AGE_MAXIMUM.total_seconds() - leeway <= claims.iat <= now + leeway),
        ("not_before", claims.nbf is None or claims.nbf <= now + leeway),
        ("nonce", hmac.compare_digest(claims.nonce.encode(), expected.nonce.encode())),
        ("access_token_hash", claims.at_hash is None or _hash_fits(claims.at_hash, expected.access_token, algorithm)),
    )
    for reason, holds in checks:
        if not holds:
            raise IdTokenRefused(reason)


def _hash_fits(at_hash: str, access_token: str | None, algorithm: str) -> bool:
    """Section 3.1.3.6: the left half of a hash of the access token, by the hash of the signature's algorithm."""
    if access_token is None:
        return False
    # Ed25519 signs over SHA-512 (RFC 8032), and so do providers hash for it.
    function = hashlib.sha512 if algorithm in {"EdDSA", "Ed25519"} else _HASHES.get(algorithm[-3:], hashlib.sha256)
    digest = function(access_token.encode()).digest()
    fitting = urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=")
    return hmac.compare_digest(at_hash.encode(), fitting)
