"""Keys derived from the service's one secret, and values sealed under them."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE_LENGTH = 12
KEY_LENGTH = 32


def derive(material: bytes, purpose: str) -> bytes:
    """Return a 256-bit key for one purpose (HKDF with SHA-256, RFC 5869); each purpose gets a key of its own."""
    return HKDF(algorithm=SHA256(), length=KEY_LENGTH, salt=None, info=f"lumiere auth: {purpose}".encode()).derive(material)


class MasterSecret:
    """The root of every key of the service: never used itself, only to derive keys; `id` names it in stored values."""

    def __init__(self, value: str | bytes) -> None:
        """Take the secret."""
        self._material = value.encode() if isinstance(value, str) else value

    @property
    def id(self) -> str:
        """Eight hexadecimal digits that tell nothing of it."""
        return derive(self.material, "identifier").hex()[:8]

    @property
    def material(self) -> bytes:
        """The secret's bytes, for who derives from them or seals them."""
        return self._material

    def derive(self, purpose: str) -> bytes:
        """Return the 256-bit key for one purpose."""
        return derive(self.material, purpose)

    def pseudonym(self, text: str) -> bytes:
        """Return a keyed hash that stands for a text in a table: equal for equal texts, meaningless without the secret."""
        return hmac.digest(self.derive("pseudonym"), text.encode(), hashlib.sha256)


@dataclass(frozen=True, slots=True)
class SealingSecrets:
    """AUTH_SECRET, and while it is being rotated the one before: what the root is sealed under at rest."""

    current: MasterSecret
    previous: MasterSecret | None = None

    @property
    def known(self) -> dict[str, MasterSecret]:
        """By id."""
        return {each.id: each for each in (self.current, self.previous) if each is not None}


def new_root() -> bytes:
    """Return the material of a new root: 256 random bits."""
    return secrets.token_bytes(KEY_LENGTH)


def seal_root(root: bytes, secret: MasterSecret) -> bytes:
    """Seal the root for the table, under a key derived from AUTH_SECRET."""
    return seal(secret.derive("root"), root, secret.id.encode())


def unseal_root(sealed: bytes, secret: MasterSecret) -> bytes:
    """Return the root that `seal_root` sealed; raises cryptography's InvalidTag when the bytes are not the same."""
    return unseal(secret.derive("root"), sealed, secret.id.encode())


def seal(key: bytes, value: bytes, context: bytes) -> bytes:
    """Encrypt under AES-256-GCM with a fresh nonce; `context` must be the same when it is opened."""
    nonce = secrets.token_bytes(NONCE_LENGTH)
    return nonce + AESGCM(key).encrypt(nonce, value, context)


def unseal(key: bytes, sealed: bytes, context: bytes) -> bytes:
    """Decrypt what `seal` made; raises cryptography's InvalidTag when key, context or bytes are not the same."""
    return AESGCM(key).decrypt(sealed[:NONCE_LENGTH], sealed[NONCE_LENGTH:], context)
