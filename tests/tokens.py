"""Hostile tokens: every one must be refused at every door, at the gateway and straight at a service.

`Forge` holds what the platform signs with; a corpus made with it is the same wherever it is sent.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from joserfc.jwk import ECKey, RSAKey

from libs.common import clock
from libs.common.auth.browser import SESSION_COOKIE
from libs.common.auth.policy import Role
from libs.common.auth.tokens import LIFETIME_SECONDS, TOKEN_TYPE
from libs.common.ids import new_id

REQUIRED_CLAIMS = ("iss", "aud", "sub", "sid", "iat", "nbf", "exp")
FAR_SECONDS = 3_600


def base64url(data: bytes) -> str:
    """Without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def segment(document: Mapping[str, Any]) -> str:
    """One JSON segment of a compact token."""
    return base64url(json.dumps(document, separators=(",", ":")).encode())


def sign(header: Mapping[str, Any], claims: Mapping[str, Any], key: ECKey | RSAKey) -> str:
    """A compact token whatever its header says; ECDSA with the hash of the curve, or RSASSA-PKCS1-v1_5 (RFC 7518 section 3)."""
    signed = f"{segment(header)}.{segment(claims)}"
    private = key.private_key
    if isinstance(private, rsa.RSAPrivateKey):
        return f"{signed}.{base64url(private.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    size = private.key_size // 8
    algorithm = hashes.SHA256() if size == 32 else hashes.SHA384()
    r, s = decode_dss_signature(private.sign(signed.encode(), ec.ECDSA(algorithm)))
    return f"{signed}.{base64url(r.to_bytes(size, 'big') + s.to_bytes(size, 'big'))}"


def sign_symmetric(header: Mapping[str, Any], claims: Mapping[str, Any], secret: bytes) -> str:
    """A compact HS256 token under a secret that is none."""
    signed = f"{segment(header)}.{segment(claims)}"
    return f"{signed}.{base64url(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


@dataclass(frozen=True)
class Attempt:
    """One request that pretends to be somebody."""

    name: str
    headers: tuple[tuple[str, str], ...]
    query: str = ""


@dataclass(frozen=True)
class Forge:
    """The platform's signing key and names; `key_files` are paths under which a verifier may keep its public key."""

    key: ECKey
    key_id: str
    issuer: str
    audience: str
    key_files: tuple[str, ...] = ()

    @property
    def header(self) -> dict[str, Any]:
        """The header of a true token."""
        return {"alg": "ES256", "typ": TOKEN_TYPE, "kid": self.key_id}

    def claims(self, *roles: Role, **changes: Any) -> dict[str, Any]:
        """The claims of a true token, a viewer's where no role is named; a change to None leaves the claim out."""
        now = int(clock.epoch())
        claims = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": str(new_id()),
            "client_id": "lumiere",
            "sid": str(new_id()),
            "jti": str(new_id()),
            "iat": now,
            "nbf": now,
            "exp": now + LIFETIME_SECONDS,
            "roles": " ".join(roles or (Role.VIEWER,)),
            "auth_time": now,
            "amr": ["pwd"],
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, *roles: Role, header: Mapping[str, Any] | None = None, **changes: Any) -> str:
        """A token signed with the true key."""
        return sign({**self.header, **(header or {})}, self.claims(*roles, **changes), self.key)


def corpus(forge: Forge, role: Role) -> list[Attempt]:
    """Attempts that must be refused where a true token with `role` passes."""
    tokens = {**_algorithms(forge, role), **_keys(forge, role), **_claims(forge, role), **_shapes(forge, role)}
    attempts = [Attempt(name, (("Authorization", f"Bearer {token}"),)) for name, token in tokens.items()]
    return [*attempts, *_requests(forge, role)]


def _algorithms(forge: Forge, role: Role) -> dict[str, str]:
    claims = forge.claims(role)
    signature = forge.token(role).rsplit(".", 1)[1]
    found: dict[str, str] = {}
    for name in ("none", "None", "NONE", "nOnE"):
        unsigned = f"{segment({**forge.header, 'alg': name})}.{segment(claims)}."
        found[f"alg {name} without a signature"] = unsigned
        found[f"alg {name} with a signature"] = unsigned + signature
    for name, secret in _public_secrets(forge):
        found[f"HS256 signed with {name}"] = sign_symmetric({**forge.header, "alg": "HS256"}, claims, secret)
    found["RS256 with a key of its own"] = sign({**forge.header, "alg": "RS256"}, claims, RSAKey.generate_key(2048))
    found["ES384 under the name of the key"] = sign({**forge.header, "alg": "ES384"}, claims, ECKey.generate_key("P-384"))
    found["no alg"] = f"{segment({'typ': TOKEN_TYPE, 'kid': forge.key_id})}.{segment(claims)}.{signature}"
    return found


def _public_secrets(forge: Forge) -> Iterator[tuple[str, bytes]]:
    pem = forge.key.as_pem(private=False)
    yield "the public key", pem
    yield "the public key without its last newline", pem.strip()
    yield "the public key in DER", forge.key.as_der(private=False)
    yield "nothing", b""
    yield "the key id", forge.key_id.encode()
    for path in forge.key_files:
        yield f"the path {path.rsplit('/', 1)[-1][:6]}… ({path.count('/')} folders deep)", path.encode()


def _keys(forge: Forge, role: Role) -> dict[str, str]:
    stranger = ECKey.generate_key("P-256")
    claims = forge.claims(role)
    public = stranger.as_dict(private=False)
    injected = {
        "jwk": public,
        "jku": "https://attacker.example/jwks.json",
        "x5u": "https://attacker.example/x5u",
        "x5c": ["MIIB"],
    }
    found = {
        f"own key in the header by {name}": sign({**forge.header, name: value}, claims, stranger)
        for name, value in injected.items()
    }
    found |= {
        f"key id {kid!r}": sign({**forge.header, "kid": kid}, claims, forge.key)
        for kid in (
            "unknown",
            "",
            "../../../../etc/hostname",
            "../keys",
            "/dev/null",
            f"{forge.key_id}\u0000",
            f"{forge.key_id}'--",
        )
    }
    found["no key id"] = sign({"alg": "ES256", "typ": TOKEN_TYPE}, claims, forge.key)
    found["another key under the name of the key"] = sign(forge.header, claims, stranger)
    return found


def _claims(forge: Forge, role: Role) -> dict[str, str]:
    now = int(clock.epoch())
    changes: dict[str, dict[str, Any]] = {
        "expired": {"exp": now - 1, "nbf": now - FAR_SECONDS, "iat": now - FAR_SECONDS},
        "expired an hour ago": {"exp": now - FAR_SECONDS, "nbf": now - 2 * FAR_SECONDS, "iat": now - 2 * FAR_SECONDS},
        "not yet valid": {"nbf": now + FAR_SECONDS // 10},
        "issued in the future": {"iat": now + FAR_SECONDS // 10, "nbf": now + FAR_SECONDS // 10},
        "wrong issuer": {"iss": "https://attacker.example"},
        "issuer with a slash more": {"iss": f"{forge.issuer}/"},
        "wrong audience": {"aud": "another"},
        "audience as a list": {"aud": [forge.audience]},
        "subject that is no UUID": {"sub": "root"},
        "session that is no UUID": {"sid": "*"},
        "expiry as text": {"exp": "tomorrow"},
        **{f"without {name}": {name: None} for name in REQUIRED_CLAIMS},
    }
    changes["bound to a key"] = {"cnf": {"jkt": forge.key.thumbprint()}}
    return {name: forge.token(role, **change) for name, change in changes.items()}


def _shapes(forge: Forge, role: Role) -> dict[str, str]:
    true = forge.token(role)
    header, payload, signature = true.split(".")
    poor = forge.token()
    edited = segment({**json.loads(base64.urlsafe_b64decode(poor.split(".")[1] + "==")), "roles": " ".join(Role)})
    return {
        "an ID token": forge.token(role, header={"typ": "JWT"}),
        "no type": sign({"alg": "ES256", "kid": forge.key_id}, forge.claims(role), forge.key),
        "a header of more than three members": forge.token(role, header={"cty": "JWT"}),
        "a critical extension": forge.token(role, header={"crit": ["exp"], "exp": 1}),
        "edited roles": f"{poor.split('.')[0]}.{edited}.{poor.split('.')[2]}",
        "signature of another token": f"{header}.{segment(forge.claims(role))}.{signature}",
        "a signature of zeros": f"{header}.{payload}.{base64url(bytes(64))}",
        "truncated signature": true[:-8],
        "truncated payload": f"{header}.{payload[:-8]}.{signature}",
        "no signature": f"{header}.{payload}.",
        "two segments": f"{header}.{payload}",
        "four segments": f"{true}.{signature}",
        "five segments": f"{true}.{signature}.{signature}",
        "empty payload": f"{header}..{signature}",
        "not a token": "password",
        "too long": f"{header}.{segment(forge.claims(role, client_id='x' * 9_000))}.{signature}",
    }


def _requests(forge: Forge, role: Role) -> list[Attempt]:
    one, two = forge.token(role), forge.token(role)
    bound = forge.token(role, cnf={"jkt": forge.key.thumbprint()})
    return [
        Attempt("two Authorization headers", (("Authorization", f"Bearer {one}"), ("Authorization", f"Bearer {two}"))),
        Attempt("a false header before a true one", (("Authorization", "Bearer x.y.z"), ("Authorization", f"Bearer {one}"))),
        Attempt("two tokens in one header", (("Authorization", f"Bearer {one}, Bearer {two}"),)),
        Attempt("two tokens behind one scheme", (("Authorization", f"Bearer {one} {two}"),)),
        Attempt("another scheme", (("Authorization", f"Basic {one}"),)),
        Attempt("a token without a key under the scheme of bound ones", (("Authorization", f"DPoP {one}"),)),
        Attempt("a bound token without a proof", (("Authorization", f"DPoP {bound}"),)),
        Attempt("a bound token with two proofs", (("Authorization", f"DPoP {bound}"), ("DPoP", one), ("DPoP", two))),
        Attempt("a bound token in the session cookie", (("Cookie", f"{SESSION_COOKIE}={bound}"),)),
        Attempt("two session cookies", (("Cookie", f"{SESSION_COOKIE}={one}; {SESSION_COOKIE}={two}"),)),
        Attempt("a token in a cookie of almost the right name", (("Cookie", f"{SESSION_COOKIE.lower()}={one}"),)),
        Attempt("no scheme", (("Authorization", one),)),
        Attempt("a token in the query alone", (), f"access_token={one}"),
        Attempt("a token in a cookie alone", (("Cookie", f"access_token={one}"),)),
        Attempt(
            "identity headers alone", (("X-User-Id", str(new_id())), ("X-User-Roles", " ".join(Role)), ("X-Auth-Sub", "root"))
        ),
    ]
