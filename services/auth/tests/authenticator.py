"""An authenticator in software (Web Authentication, Level 3, section 6): makes passkeys and uses them, honestly or as told."""

import json
import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, encode_cbor

ORIGIN = "http://127.0.0.1:8080"
PRESENT, VERIFIED, ELIGIBLE, BACKED_UP, ATTESTED = 0x01, 0x04, 0x08, 0x10, 0x40


class _Key(Protocol):
    def cose(self) -> bytes: ...

    def sign(self, data: bytes) -> bytes: ...


class P256Key:
    """ES256 (RFC 9053, section 2.1)."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    def cose(self) -> bytes:
        """The public half (RFC 9053, section 7.1.1)."""
        public = self._key.public_key().public_numbers()
        return encode_cbor({1: 2, 3: -7, -1: 1, -2: public.x.to_bytes(32, "big"), -3: public.y.to_bytes(32, "big")})

    def sign(self, data: bytes) -> bytes:
        """A signature in DER, as authenticators give it."""
        return self._key.sign(data, ec.ECDSA(SHA256()))


class Ed25519Key:
    """EdDSA (RFC 9053, section 2.2)."""

    def __init__(self) -> None:
        self._key = ed25519.Ed25519PrivateKey.generate()

    def cose(self) -> bytes:
        """The public half (RFC 9053, section 7.2)."""
        return encode_cbor({1: 1, 3: -8, -1: 6, -2: self._key.public_key().public_bytes_raw()})

    def sign(self, data: bytes) -> bytes:
        """A signature."""
        return self._key.sign(data)


@dataclass
class Authenticator:
    """One device with one passkey at most; its members are what it tells, true or not."""

    origin: str = ORIGIN
    rp_id: str = "127.0.0.1"
    flags: int = PRESENT | VERIFIED
    counter: int = 0
    step: int = 1
    key: _Key = field(default_factory=P256Key)
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    user_handle: bytes | None = None

    def make(self, options: dict[str, Any]) -> dict[str, Any]:
        """What `navigator.credentials.create` gives, as JSON."""
        self.user_handle = base64url_to_bytes(options["user"]["id"])
        attested = bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id + self.key.cose()
        data = self._data(self.flags | ATTESTED) + attested
        attestation = encode_cbor({"fmt": "none", "attStmt": {}, "authData": data})
        client = self._client("webauthn.create", options["challenge"])
        return self._credential({"clientDataJSON": encoded(client), "attestationObject": encoded(attestation)})

    def use(self, options: dict[str, Any]) -> dict[str, Any]:
        """What `navigator.credentials.get` gives, as JSON."""
        self.counter += self.step
        data, client = self._data(self.flags), self._client("webauthn.get", options["challenge"])
        signature = self.key.sign(data + sha256(client).digest())
        handle = {} if self.user_handle is None else {"userHandle": encoded(self.user_handle)}
        return self._credential(
            {
                "clientDataJSON": encoded(client),
                "authenticatorData": encoded(data),
                "signature": encoded(signature),
                **handle,
            }
        )

    def _data(self, flags: int) -> bytes:
        return sha256(self.rp_id.encode()).digest() + bytes([flags]) + self.counter.to_bytes(4, "big")

    def _client(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}).encode()

    def _credential(self, response: dict[str, str]) -> dict[str, Any]:
        return {
            "id": encoded(self.credential_id),
            "rawId": encoded(self.credential_id),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": response,
        }


def encoded(data: bytes) -> str:
    """In base64url, without padding."""
    return bytes_to_base64url(data)
