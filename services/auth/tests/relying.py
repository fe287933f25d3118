"""A program of somebody else's, as tests know one: it sends people to the provider and exchanges what comes back."""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import UUID

from joserfc import jws, jwt
from joserfc.jwk import ECKey
from werkzeug.test import TestResponse

from libs.common import clock
from libs.common.auth.dpop import PROOF_TYPE
from libs.common.auth.policy import Scope, Subject
from libs.common.ids import new_id, random_token
from libs.common.testing import Harness, a_subject
from libs.common.testing.harness import ORIGIN
from services.auth.domain.assertions import ASSERTION_TYPE
from services.auth.domain.authorization import Provider
from services.auth.domain.clients import ApplicationType, AuthMethod, GrantType
from services.auth.tests.conftest import Person
from services.auth.use_cases import authorization, clients

CALLBACK = "https://app.example/callback"
AFTERWARDS = "https://app.example/bye"
FORM = "application/x-www-form-urlencoded"
ABOUT_ONESELF = "openid profile email offline_access"
PROVIDER = Provider(ORIGIN)


def claims_of(token: str) -> dict[str, Any]:
    """What a token says, its signature left aside."""
    payload: dict[str, Any] = json.loads(jws.extract_compact(token.encode()).payload)
    return payload


def challenge_of(verifier: str) -> str:
    """PKCE, S256 (RFC 7636 section 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def answer_of(response: TestResponse) -> dict[str, str]:
    """What a redirection brings to the program, once it is known to go there."""
    location = response.headers["Location"]
    assert location.startswith(CALLBACK), location
    return dict(parse_qsl(urlsplit(location).query, keep_blank_values=True))


@dataclass
class App:
    """A registered client."""

    harness: Harness
    id: str
    secret: str | None
    method: AuthMethod
    key: ECKey | None = None
    verifier: str = field(default_factory=random_token)

    def asks(self, **changes: str | None) -> dict[str, str]:
        """An authorization request; a change to None leaves a parameter out."""
        asked = {
            "response_type": "code",
            "client_id": self.id,
            "redirect_uri": CALLBACK,
            "scope": ABOUT_ONESELF,
            "state": "af0ifjsldkj",
            "nonce": "n-0S6_WzA2Mj",
            "code_challenge": challenge_of(self.verifier),
            "code_challenge_method": "S256",
            **changes,
        }
        return {name: value for name, value in asked.items() if value is not None}

    def authorize(self, token: str | None = None, **changes: str | None) -> TestResponse:
        """Bring a person's browser to the provider; `token` is of their session."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self.harness.client().get(f"/oauth/authorize?{urlencode(self.asks(**changes))}", headers=headers)

    def consented(self, person: Person, token: str | None = None, **changes: str | None) -> str:
        """A code that this person gave; when they are asked they say yes."""
        token = token or person.signed_in()["access_token"]
        response = self.authorize(token, **changes)
        location = urlsplit(response.headers["Location"])
        if location.path != "/oauth/consent":
            return answer_of(response)["code"]
        handle = dict(parse_qsl(location.query))["request"]
        with self.harness.transaction() as tx:
            address = authorization.grant(tx, PROVIDER, handle, subject_of(token))
        return dict(parse_qsl(urlsplit(address).query))["code"]

    def post(self, path: str, given: dict[str, Any], proof: str | None = None) -> TestResponse:
        """Send a form as this client."""
        headers = {"DPoP": proof} if proof else {}
        form = {name: value for name, value in {**given, **self.credentials()}.items() if value is not None}
        if self.method is AuthMethod.SECRET_BASIC:
            pair = base64.b64encode(f"{self.id}:{self.secret}".encode()).decode()
            headers["Authorization"] = f"Basic {pair}"
        return self.harness.client().post(path, data=urlencode(form), content_type=FORM, headers=headers)

    def credentials(self) -> dict[str, Any]:
        """What of the client's credentials stands in the form."""
        if self.method is AuthMethod.SECRET_BASIC:
            return {}
        if self.method is AuthMethod.PRIVATE_KEY:
            return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": self.assertion()}
        return {"client_id": self.id, "client_secret": self.secret}

    def assertion(self, **changes: Any) -> str:
        """A signed statement of who this is."""
        now = int(clock.epoch())
        claims = {"iss": self.id, "sub": self.id, "aud": ORIGIN, "jti": str(new_id()), "iat": now, "exp": now + 60, **changes}
        assert self.key is not None
        header = {"alg": "ES256", "kid": self.key.kid}
        return jwt.encode(header, {name: value for name, value in claims.items() if value is not None}, self.key)

    def exchange(self, code: str, proof: str | None = None, **changes: str | None) -> TestResponse:
        """Exchange a code."""
        given = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": self.verifier,
            **changes,
        }
        return self.post("/oauth/token", given, proof)

    def refresh(self, token: str, proof: str | None = None, **changes: str | None) -> TestResponse:
        """Exchange a refresh token."""
        return self.post("/oauth/token", {"grant_type": "refresh_token", "refresh_token": token, **changes}, proof)

    def tokens(self, person: Person, **changes: str | None) -> dict[str, Any]:
        """Tokens that this person let the client have."""
        response = self.exchange(self.consented(person, **changes))
        assert response.status_code == 200, response.get_data(as_text=True)
        document: dict[str, Any] = response.get_json()
        return document


def subject_of(token: str) -> Subject:
    """The person of a session's own access token."""
    claims = claims_of(token)
    return a_subject(id=UUID(claims["sub"]), session_id=UUID(claims["sid"]))


def an_app(harness: Harness, method: AuthMethod = AuthMethod.SECRET_BASIC, **members: Any) -> App:
    """Register a client that may do everything that its kind may."""
    key = ECKey.generate_key("P-256", {"kid": "one"}) if method is AuthMethod.PRIVATE_KEY else None
    grants = set(GrantType) - ({GrantType.CLIENT} if method is AuthMethod.NONE else set())
    registration = {
        "name": "Cinémathèque",
        "method": method,
        "application_type": ApplicationType.WEB,
        "grants": sorted(grants),
        "scopes": list(Scope),
        "redirect_uris": [CALLBACK],
        "post_logout_redirect_uris": [AFTERWARDS],
        "keys": None if key is None else {"keys": [key.as_dict(private=False)]},
        "bound_tokens": False,
        "address": None,
        **members,
    }
    with harness.transaction() as tx:
        made = clients.register(tx, registration)
    return App(harness, str(made.row.id), made.secret, method, key)


def prove_at_token_endpoint(key: ECKey, **changes: Any) -> str:
    """A proof of possession where there is no token yet (RFC 9449 section 5)."""
    claims = {"jti": str(new_id()), "htm": "POST", "htu": f"{ORIGIN}/oauth/token", "iat": int(clock.epoch()), **changes}
    header = {"alg": "ES256", "typ": PROOF_TYPE, "jwk": key.as_dict(private=False)}
    return jws.serialize_compact(header, json.dumps(claims).encode(), key, algorithms=["ES256"])


def error_of(response: TestResponse) -> tuple[int, str]:
    """Status and code of a refusal (RFC 6749 section 5.2)."""
    assert response.headers["Cache-Control"] == "no-store"
    return response.status_code, response.get_json()["error"]
