"""ID tokens: what a client learns of a sign-in (OpenID Connect Core section 2)."""

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Protocol

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from libs.common.auth.profile import ALGORITHM
from services.auth.domain.tokens import Grant

ID_TOKEN_LIFE: Final = timedelta(minutes=15)
ID_TOKEN_TYPE: Final = "JWT"  # noqa: S105  a media type: an access token has another, and neither passes for the other


@dataclass(frozen=True, slots=True)
class SignIn:
    """A sign-in that a client is told of."""

    grant: Grant
    nonce: str | None = None


class SignInTeller(Protocol):
    """Signs ID tokens with the active key, and knows one that it signed."""

    def tell(self, sign_in: SignIn, access_token: str) -> str:
        """Return the signed token."""
        ...

    def told(self, id_token: str) -> dict[str, Any] | None:
        """Return what an ID token of ours says, however old it is; None when it is none of ours."""
        ...


def id_claims(sign_in: SignIn, issuer: str, access_token: str) -> dict[str, Any]:
    """Return the payload of an ID token: times in seconds since 1970."""
    grant = sign_in.grant
    issued_at = int(grant.issued_at.timestamp())
    claims = {
        "iss": issuer,
        "sub": str(grant.user_id),
        "aud": grant.client_id,
        "iat": issued_at,
        "exp": issued_at + int(ID_TOKEN_LIFE.total_seconds()),
        "auth_time": int(grant.authenticated_at.timestamp()),
        "amr": list(grant.methods),
        "sid": str(grant.session_id),
        "at_hash": half_hash(access_token),
    }
    return claims if sign_in.nonce is None else {**claims, "nonce": sign_in.nonce}


def half_hash(token: str) -> str:
    """Return the left half of a token's SHA-256, base64url (OpenID Connect Core section 3.1.3.6)."""
    digest = hashlib.sha256(token.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()


def sign_id_token(claims: dict[str, Any], key: ECKey) -> str:
    """Return the compact signed token (RFC 7515) under this key."""
    return jwt.encode({"alg": ALGORITHM, "typ": ID_TOKEN_TYPE, "kid": key.kid}, claims, key, algorithms=[ALGORITHM])


def read_id_token(token: str, key_set: dict[str, Any]) -> dict[str, Any] | None:
    """Return the payload of an ID token that one of these keys signed, whenever that was; else None."""
    try:
        header = jws.extract_compact(token.encode("ascii")).headers()
        if header.get("typ") != ID_TOKEN_TYPE:
            return None
        key = next(ECKey.import_key(each) for each in key_set["keys"] if each["kid"] == header.get("kid"))
        payload = json.loads(jws.deserialize_compact(token, key, algorithms=[ALGORITHM]).payload)
    except (JoseError, ValueError, UnicodeError, StopIteration):
        return None
    return payload if isinstance(payload, dict) else None
