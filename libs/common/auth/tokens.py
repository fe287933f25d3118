"""Access tokens: ES256 JWTs (RFC 9068 but for `roles`, one string), verified in every service.

A verification is cached by the token's SHA-256 until the token expires. Expiry and revocation are checked on every
use, after the cache.
"""

import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Protocol
from uuid import UUID

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from libs.common import clock
from libs.common.auth.policy import OWN_CLIENT, Role, Subject
from libs.common.auth.profile import ALGORITHM, LEEWAY_SECONDS, LIFETIME_SECONDS, TOKEN_LENGTH_MAX, TOKEN_TYPE
from libs.common.errors import Unauthenticated

CACHE_SIZE = 10_000

__all__ = [
    "ALGORITHM",
    "LEEWAY_SECONDS",
    "LIFETIME_SECONDS",
    "TOKEN_LENGTH_MAX",
    "TOKEN_TYPE",
    "Admission",
    "Claims",
    "Confirmation",
    "KeySource",
    "PublishedKeys",
    "RevocationCheck",
    "StaticKeys",
    "TokenVerifier",
    "parse_key_set",
    "verify_signature",
]

# Unpadded base64url in three parts, and an ES256 signature of exactly 64 bytes: lenient decoders accept more than one spelling.
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86}")
_HEADER_NAMES = frozenset({"alg", "typ", "kid"})


class Confirmation(BaseModel):
    """The key that a token is bound to (RFC 7800); other ways to name one are not ours, and a token with one is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    jkt: str = Field(pattern=r"^[A-Za-z0-9_-]{43}$")
    """Its SHA-256 thumbprint (RFC 9449 section 6.1)."""


class Claims(BaseModel):
    """The claims of an access token, strictly."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    iss: str
    aud: str
    sub: UUID
    client_id: str
    sid: UUID
    jti: UUID
    iat: int
    nbf: int
    exp: int
    roles: str
    auth_time: int
    amr: tuple[str, ...]
    scope: str | None = Field(default=None, pattern=r"^(?:[a-z_:]+(?: [a-z_:]+)*)?$")
    cnf: Confirmation | None = None

    def subject(self) -> Subject:
        """The caller that these claims describe. Raises ValueError for an unknown role."""
        return Subject(
            id=self.sub,
            session_id=self.sid,
            roles=frozenset(Role(name) for name in self.roles.split()),
            client_id=self.client_id,
            authenticated_at=datetime.fromtimestamp(self.auth_time, UTC),
            methods=self.amr,
            expires_at=datetime.fromtimestamp(self.exp, UTC),
            token_id=self.jti,
            scopes=None if self.scope is None and self.client_id == OWN_CLIENT else frozenset((self.scope or "").split()),
        )


class KeySource(Protocol):
    """Where verification keys come from."""

    def find(self, key_id: str) -> ECKey | None:
        """The public key with this id; may refetch once for an unknown one."""


class RevocationCheck(Protocol):
    """What has been withdrawn before its time."""

    def revoked(self, claims: Claims) -> bool:
        """Whether this session, or the subject's tokens of this age, are withdrawn."""


class TokenVerifier:
    """Turns an access token into a Subject, or refuses."""

    def __init__(self, issuer: str, audience: str, keys: KeySource, revocations: RevocationCheck) -> None:
        self.issuer = issuer
        self._audience = audience
        self._keys = keys
        self._revocations = revocations
        self._cache: OrderedDict[bytes, tuple[Claims, Subject, str]] = OrderedDict()
        self._lock = Lock()

    def verify(self, token: str) -> Subject:
        """The caller that a bearer token stands for. Raises Unauthenticated, also for a token that is bound to a key."""
        claims, subject = self._live(token)
        if claims.cnf is not None:
            raise Unauthenticated(
                "This access token is bound to a key: send it with the DPoP scheme and a proof.", scheme="DPoP"
            )
        return subject

    def verify_bound(self, token: str) -> tuple[Subject, str]:
        """The caller that a bound token stands for, and the thumbprint of the key to prove. Raises Unauthenticated."""
        try:
            claims, subject = self._live(token)
        except Unauthenticated as refused:
            raise Unauthenticated(refused.detail, scheme="DPoP") from None
        if claims.cnf is None:
            raise Unauthenticated("This access token is not bound to a key: send it as a bearer token.", scheme="DPoP")
        return subject, claims.cnf.jkt

    def _live(self, token: str) -> tuple[Claims, Subject]:
        digest = hashlib.sha256(token.encode()).digest()
        cached = self._cache.get(digest)
        if cached is None or self._keys.find(cached[2]) is None:
            cached = self._verified(token)
            self._remember(digest, cached)
        claims, subject, _ = cached
        now = clock.epoch()
        if claims.exp <= now or claims.nbf > now + LEEWAY_SECONDS or claims.iat > now + LEEWAY_SECONDS:
            raise Unauthenticated("The access token has expired or is not valid yet; refresh it.")
        if self._revocations.revoked(claims):
            raise Unauthenticated("The session of this token was ended; sign in again.")
        return claims, subject

    def holds(self, token: str) -> bool:
        """Whether a token that was taken before would be taken again: not expired, not revoked, its key not withdrawn."""
        try:
            self._live(token)
        except Unauthenticated:
            return False
        return True

    def _verified(self, token: str) -> tuple[Claims, Subject, str]:
        if len(token) > TOKEN_LENGTH_MAX:
            raise Unauthenticated("The access token is too long.")
        claims, key_id = verify_signature(token, self._keys)
        if claims.iss != self.issuer or claims.aud != self._audience:
            raise Unauthenticated("The access token was issued elsewhere or for another audience.")
        if not claims.iat <= claims.nbf < claims.exp:
            raise Unauthenticated("The access token's times contradict each other.")
        try:
            return claims, claims.subject(), key_id
        except (ValueError, OverflowError, OSError):
            raise Unauthenticated("The access token holds claims that cannot be.") from None

    def _remember(self, digest: bytes, entry: tuple[Claims, Subject, str]) -> None:
        with self._lock:
            self._cache[digest] = entry
            while len(self._cache) > CACHE_SIZE:
                self._cache.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Admission:
    """What somebody was admitted with. Whatever outlasts a request, as an event stream does, asks it again and again."""

    verifier: TokenVerifier
    token: str = field(repr=False)

    def holds(self) -> bool:
        """Whether they would still be admitted; a look at what this process knows, without a call to anybody."""
        return self.verifier.holds(self.token)


def verify_signature(token: str, keys: KeySource) -> tuple[Claims, str]:
    """Check header and signature: one algorithm, pinned to the key that `kid` names. Raises Unauthenticated."""
    refused = Unauthenticated("The access token is not valid; sign in again.")
    if not _COMPACT.fullmatch(token):
        raise refused
    try:
        unverified = jws.extract_compact(token.encode("ascii"))
        header = unverified.headers()
        if (
            set(header) != _HEADER_NAMES
            or header["alg"] != ALGORITHM
            or header["typ"] != TOKEN_TYPE
            or not isinstance(header["kid"], str)
        ):
            raise refused
        key = keys.find(header["kid"])
        if key is None:
            raise refused
        verified = jws.deserialize_compact(token, key, algorithms=[ALGORITHM])
        return Claims.model_validate_json(verified.payload), str(header["kid"])
    except (JoseError, ValidationError, ValueError, UnicodeError, KeyError, TypeError):
        raise refused from None


class StaticKeys:
    """A fixed set of public keys."""

    def __init__(self, keys: Mapping[str, ECKey]) -> None:
        self._keys = dict(keys)

    def find(self, key_id: str) -> ECKey | None:
        """The key with this id."""
        return self._keys.get(key_id)


class PublishedKeys:
    """Keys of a JWK Set (RFC 7517), refetched when told, and at most once a while for an unknown key id.

    A known key is answered from memory: whoever keeps the set fresh does so beside the requests, never in one.
    """

    def __init__(self, fetch: Callable[[], Mapping[str, Any]], *, minimum_interval: float = 1) -> None:
        self._fetch = fetch
        self._minimum_interval = minimum_interval
        self._keys: dict[str, ECKey] = {}
        self._withdrawn: set[str] = set()
        self._tried_at = float("-inf")
        self._lock = Lock()
        self._keeping = Lock()
        """Held for a moment only: a withdrawal never waits for a fetch."""

    def find(self, key_id: str) -> ECKey | None:
        """The key with this id. An unknown id causes one fetch, rate limited; a failing fetch keeps the keys known so far."""
        if key_id not in self._keys and key_id not in self._withdrawn:
            self.refresh()
        return self._keys.get(key_id)

    def refresh(self, *, force: bool = False) -> None:
        """Fetch the set again, unless that was done a moment ago."""
        with self._lock:
            now = clock.monotonic()
            if not force and now - self._tried_at < self._minimum_interval:
                return
            self._tried_at = now
            try:
                fetched = parse_key_set(self._fetch())
            except Exception:  # noqa: BLE001 — whatever is wrong over there, the known keys serve on
                return
            with self._keeping:
                self._keys = {key_id: key for key_id, key in fetched.items() if key_id not in self._withdrawn}

    def withdraw(self, key_id: str) -> None:
        """Stop trusting a key at once and for good: an answer that was already on its way does not bring it back."""
        with self._keeping:
            self._withdrawn.add(key_id)
            self._keys = {known: key for known, key in self._keys.items() if known != key_id}


def parse_key_set(document: Mapping[str, Any]) -> dict[str, ECKey]:
    """The P-256 signature keys of a JWK Set; others are not for us."""
    return {
        str(entry["kid"]): ECKey.import_key(dict(entry))
        for entry in document.get("keys", [])
        if entry.get("kty") == "EC"
        and entry.get("crv") == "P-256"
        and entry.get("kid")
        and entry.get("alg", ALGORITHM) == ALGORITHM
    }
