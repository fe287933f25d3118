"""Mints access tokens with a key of the tests' own, and proofs of possession of any key."""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from joserfc import jws, jwt
from joserfc.jwk import ECKey

from libs.common import clock
from libs.common.auth.dpop import PROOF_TYPE
from libs.common.auth.policy import OWN_CLIENT, Role, Subject
from libs.common.auth.tokens import ALGORITHM, LIFETIME_SECONDS, TOKEN_TYPE, Claims, KeySource
from libs.common.ids import new_id

KEY_ID = "test-key"


class TestKeys:
    """The tests' own key, and whatever keys the service itself has."""

    __test__ = False

    def __init__(self) -> None:
        self.key = ECKey.generate_key("P-256")
        self.beside: KeySource | None = None

    def find(self, key_id: str) -> ECKey | None:
        """The key with this id."""
        if key_id == KEY_ID:
            return self.key
        return self.beside.find(key_id) if self.beside else None


def claims_for(subject: Subject, issuer: str, audience: str, **changes: Any) -> dict[str, Any]:
    """The claims of a token for this subject; `changes` make hostile variations."""
    now = int(clock.epoch())
    claims: dict[str, Any] = {
        "iss": issuer,
        "aud": audience,
        "sub": str(subject.id),
        "client_id": subject.client_id,
        "sid": str(subject.session_id),
        "jti": str(subject.token_id),
        "iat": now,
        "nbf": now,
        "exp": now + LIFETIME_SECONDS,
        "roles": " ".join(sorted(subject.roles)),
        "auth_time": int(subject.authenticated_at.timestamp()),
        "amr": list(subject.methods),
        **({} if subject.scopes is None else {"scope": " ".join(sorted(subject.scopes))}),
    }
    return {**claims, **changes}


def mint(keys: TestKeys, claims: Mapping[str, Any], **header: Any) -> str:
    """A signed access token."""
    return jwt.encode({"alg": ALGORITHM, "typ": TOKEN_TYPE, "kid": KEY_ID, **header}, dict(claims), keys.key)


def bound_to(key: ECKey) -> dict[str, str]:
    """The `cnf` claim of a token that is bound to a key (RFC 9449 section 6.1)."""
    return {"jkt": key.thumbprint()}


def prove(key: ECKey, method: str, address: str, token: str, **changes: Any) -> str:
    """A proof of possession (RFC 9449 section 4.2); `changes` are claims to alter, or to leave out when None."""
    claims: dict[str, Any] = {
        "jti": str(new_id()),
        "htm": method,
        "htu": address,
        "iat": int(clock.epoch()),
        "ath": base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode(),
        **changes,
    }
    header = {"alg": ALGORITHM, "typ": PROOF_TYPE, "jwk": key.as_dict(private=False)}
    payload = json.dumps({name: value for name, value in claims.items() if value is not None}).encode()
    return jws.serialize_compact(header, payload, key, algorithms=[ALGORITHM])


def a_subject(*roles: Role, id: UUID | None = None, session_id: UUID | None = None) -> Subject:  # noqa: A002 — the claim's name
    """Somebody with these roles."""
    claims = Claims(
        iss="",
        aud="",
        sub=id or new_id(),
        client_id=OWN_CLIENT,
        sid=session_id or new_id(),
        jti=new_id(),
        iat=0,
        nbf=0,
        exp=int(clock.epoch()) + LIFETIME_SECONDS,
        roles=" ".join(roles),
        auth_time=int(clock.epoch()),
        amr=("pwd",),
    )
    return claims.subject()
