"""Keys derived from the service's one secret, and values sealed under them."""

import hashlib
import hmac
import secrets

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE_LENGTH = 12
KEY_LENGTH = 32


def derive(material: bytes, purpose: str) -> bytes:
    """Return a 256-bit key for one purpose (HKDF with SHA-256, RFC 5869); each purpose gets a key of its own."""
    return HKDF(algorithm=SHA256(), length=KEY_LENGTH, salt=None, info=f"lumiere auth: {purpose}".encode()).derive(material)


class MasterSecret:
    """AUTH_SECRET: never used itself, only to derive keys; `id` names it in stored values, so that it can be rotated."""

    def __init__(self, value: str) -> None:
        """Take the secret's text."""
        self._material = value.encode()
        self.id = derive(self._material, "identifier").hex()[:8]

    def derive(self, purpose: str) -> bytes:
        """Return the 256-bit key for one purpose."""
        return derive(self._material, purpose)

    def pseudonym(self, text: str) -> bytes:
        """Return a keyed hash that stands for a text in a table: equal for equal texts, meaningless without the secret."""
        return hmac.digest(self.derive("pseudonym"), text.encode(), hashlib.sha256)


def seal(key: bytes, value: bytes, context: bytes) -> bytes:
    """Encrypt under AES-256-GCM with a fresh nonce; `context` must be the same when it is opened."""
    nonce = secrets.token_bytes(NONCE_LENGTH)
    return nonce + AESGCM(key).encrypt(nonce, value, context)


def unseal(key: bytes, sealed: bytes, context: bytes) -> bytes:
    """Decrypt what `seal` made; raises cryptography's InvalidTag when key, context or bytes are not the same."""
    return AESGCM(key).decrypt(sealed[:NONCE_LENGTH], sealed[NONCE_LENGTH:], context)
