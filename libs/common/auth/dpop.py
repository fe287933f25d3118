"""Proof of possession: that whoever sends a bound access token holds the key that it is bound to (RFC 9449).

The token names its key by thumbprint (`cnf.jkt`); each request carries one freshly signed proof in its `DPoP` header. The
proof is judged here, in the service; the gateway sees to it that scheme and token agree. No nonce is asked for: a proof is good
for a minute, and once.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from pydantic import BaseModel, ConfigDict, ValidationError

from libs.common import clock
from libs.common.auth.browser import origin_of
from libs.common.errors import DPOP_ALGORITHM, Unauthenticated

SCHEME: Final = "DPoP"
PROOF_TYPE: Final = "dpop+jwt"
PROOF_LENGTH_MAX: Final = 4_096
"""Characters; a proof has about six hundred."""
PROOF_AGE_MAX_SECONDS: Final = 60
"""A proof older than this is refused."""
PROOF_LEEWAY_SECONDS: Final = 5
"""A proof may be from so far in the future: clocks disagree."""
PROOF_REMEMBERED_SECONDS: Final = 2 * PROOF_AGE_MAX_SECONDS + PROOF_LEEWAY_SECONDS
"""From its making: longer than any replica takes it, however much their clocks disagree within reason."""

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86}")
_HEADER_NAMES = frozenset({"alg", "typ", "jwk"})
_KEY_NAMES = frozenset({"kty", "crv", "x", "y", "kid", "use", "alg", "key_ops", "ext"})
"""What a public P-256 key may say of itself: `d` is not among it."""


class ProofRefused(Unauthenticated):
    """The proof of possession is missing, malformed, for another request, stale, or was used before."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, code="invalid_dpop_proof", scheme=SCHEME)


@dataclass(frozen=True, slots=True)
class BoundRequest:
    """What a proof must be about."""

    method: str
    origin: str
    """The platform's public origin, from its settings: a Host header proves nothing."""
    path: str
    token: str | None = None
    """The access token that comes with it; None where one is asked for (RFC 9449 section 5)."""
    thumbprint: str | None = None
    """Of the key that the token is bound to (RFC 7638, SHA-256, base64url); None where any key may be shown."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof that held; it counts once."""

    digest: bytes
    """Of the key and the proof's `jti`."""
    thumbprint: str
    """Of the key that was shown."""
    forgotten_at: datetime
    """From then on it is refused for its age alone."""


class _Claims(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    jti: str
    htm: str
    htu: str
    iat: int
    ath: str | None = None


def verify_proof(proof: str | None, request: BoundRequest) -> Proof:
    """Check a proof against its request (RFC 9449 section 4.3); only that it is new remains to be seen. Raises ProofRefused."""
    if proof is None:
        raise ProofRefused("Send a proof of possession in one DPoP header.")
    if len(proof) > PROOF_LENGTH_MAX or not _COMPACT.fullmatch(proof):
        raise ProofRefused("The DPoP header must hold one proof: a signed JWT, and no longer than it has to be.")
    key, claims = _opened(proof)
    thumbprint = key.thumbprint()
    if request.thumbprint is not None and not hmac.compare_digest(thumbprint, request.thumbprint):
        raise ProofRefused("The proof was signed with another key than the one that the access token is bound to.")
    if claims.htm != request.method:
        raise ProofRefused("The proof was made for another method.")
    if not _same_address(claims.htu, request):
        raise ProofRefused("The proof was made for another address.")
    if request.token is not None and not hmac.compare_digest((claims.ath or "").encode(), _hash(request.token)):
        raise ProofRefused("The proof was made for another access token.")
    age = clock.epoch() - claims.iat
    if not -PROOF_LEEWAY_SECONDS <= age <= PROOF_AGE_MAX_SECONDS:
        raise ProofRefused("The proof is too old, or from the future; make one for each request, by a clock that is right.")
    if not claims.jti:
        raise ProofRefused("The proof needs an identifier of its own (jti).")
    digest = hashlib.sha256(f"{thumbprint} {claims.jti}".encode()).digest()
    return Proof(digest, thumbprint, datetime.fromtimestamp(claims.iat, UTC) + timedelta(seconds=PROOF_REMEMBERED_SECONDS))


def _opened(proof: str) -> tuple[ECKey, _Claims]:
    """The key that a proof carries and what it says, once its signature held under that key."""
    refused = ProofRefused("The proof is not a valid one: ES256, of type dpop+jwt, with its public key alone in the header.")
    try:
        header = jws.extract_compact(proof.encode("ascii")).headers()
        if set(header) != _HEADER_NAMES or header["alg"] != DPOP_ALGORITHM or header["typ"] != PROOF_TYPE:
            raise refused
        key = _public_key(header["jwk"])
        if key is None:
            raise refused
        verified = jws.deserialize_compact(proof, key, algorithms=[DPOP_ALGORITHM])
        return key, _Claims.model_validate_json(verified.payload)
    except (JoseError, ValidationError, ValueError, UnicodeError, KeyError, TypeError):
        raise refused from None


def _public_key(jwk: Any) -> ECKey | None:
    """The P-256 key, unless it is another kind of key or brings its private part along."""
    if not isinstance(jwk, dict) or not set(jwk) <= _KEY_NAMES or jwk.get("kty") != "EC" or jwk.get("crv") != "P-256":
        return None
    return ECKey.import_key({name: jwk[name] for name in ("kty", "crv", "x", "y")})


def _same_address(address: str, request: BoundRequest) -> bool:
    """Whether `htu` names the request's address, normalised, query and fragment left aside (RFC 3986 section 6.2)."""
    try:
        if origin_of(address) != request.origin:
            return False
    except ValueError:
        return False
    # Segment by segment, so that an encoded slash is no slash.
    return [unquote(part) for part in (urlsplit(address).path or "/").split("/")] == request.path.split("/")


def _hash(token: str) -> bytes:
    """`ath`: base64url of the token's SHA-256 (RFC 9449 section 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=")
