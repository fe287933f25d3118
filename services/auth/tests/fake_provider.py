"""A fake OpenID provider that can be told to misbehave; the real one that signs people in is in test_openid_provider.py."""

import hashlib
import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jws
from joserfc.jwk import ECKey

from libs.common import clock, ids
from services.auth.domain.federation import Provider

CLIENT_ID, CLIENT_SECRET = "lumiere at the fake", "a secret / of the fake"
GRACE = {"email": "grace@example.org", "email_verified": True, "name": "Grace Hopper", "locale": "en-GB"}


@dataclass
class FakeProvider:
    """Answers as a provider would, but for what `claims`, `answers` and `header` change."""

    port: int = 0
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", parameters={"kid": "first"}))
    person: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] | None = None
    sign: Callable[[dict[str, Any], bytes], str] | None = None
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def configured(self) -> Provider:
        redirect_uri = "http://127.0.0.1:8080/oauth/callback/fake"
        return Provider("fake", "Fake", self.issuer, CLIENT_ID, CLIENT_SECRET, redirect_uri)

    def authorize(self, address: str) -> dict[str, str]:
        """What a browser brings back after its person agreed."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        assert query["redirect_uri"] == self.configured().redirect_uri
        code = ids.random_token()
        self.codes[code] = query
        return {"state": query["state"], "code": code, "iss": self.issuer}

    def document(self, path: str, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        self.asked.append(path)
        if path == "/.well-known/openid-configuration":
            endpoints = {"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/keys"}
            described = {name: self.issuer + each for name, each in endpoints.items()}
            if self.userinfo is not None:
                described["userinfo_endpoint"] = f"{self.issuer}/userinfo"
            return 200, {"issuer": self.issuer, **described, **self.metadata}
        if path == "/keys":
            return 200, {"keys": [self.key.as_dict(private=False)]}
        if path == "/userinfo":
            return 200, self.userinfo or {}
        return self.token(form, authorization)

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        query = self.codes.pop(form.get("code", ""), None)
        expected = "Basic " + b64encode(b"lumiere+at+the+fake:a+secret+%2F+of+the+fake").decode()
        if query is None or authorization != expected:
            return 400, {"error": "invalid_grant"}
        challenge = urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        if challenge != query["code_challenge"] or form["redirect_uri"] != query["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        now = int(clock.epoch())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "sub": "person-at-the-fake",
            "nonce": query["nonce"],
            "iat": now,
            "exp": now + 300,
            **self.person,
            **self.claims,
        }
        payload = json.dumps({name: each for name, each in claims.items() if each is not None}).encode()
        header = {"alg": "ES256", "kid": self.key.kid, **self.header}
        sign = self.sign or (lambda head, body: jws.serialize_compact(head, body, self.key, algorithms=["ES256"]))
        return 200, {"access_token": "an access token", "token_type": "Bearer", "id_token": sign(header, payload)}


@contextmanager
def running() -> Iterator[FakeProvider]:
    """A fake provider on a port of its own."""
    fake = FakeProvider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer({})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.answer({name: values[0] for name, values in parse_qs(body).items()})

        def answer(self, form: dict[str, str]) -> None:
            status, document = fake.document(urlsplit(self.path).path, form, self.headers.get("Authorization", ""))
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.port = server.server_address[1]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
