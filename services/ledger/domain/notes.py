"""Signed notes and checkpoints: https://c2sp.org/signed-note and https://c2sp.org/tlog-checkpoint, with Ed25519 keys."""

import binascii
from base64 import b64decode, b64encode
from hashlib import sha256
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY_ID_BYTES = 4
SEED_BYTES = 32

_ED25519 = b"\x01"
_PRIVATE_PREFIX = "PRIVATE+KEY+"


class SigningKeyError(ValueError):
    """The text is no private key of a note signer. Never carries the text."""


class NoteSigner:
    """Signs notes under one name. Its private key leaves it through `private_key` alone."""

    def __init__(self, name: str, seed: bytes) -> None:
        """Raises SigningKeyError when the name or the length of the seed is not allowed."""
        if not is_key_name(name):
            raise SigningKeyError("the name of a key is not empty and has no space, control character or plus sign")
        if len(seed) != SEED_BYTES:
            raise SigningKeyError(f"the seed of an Ed25519 key has {SEED_BYTES} bytes")
        self.name = name
        self._seed = seed
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._public = _ED25519 + self._key.public_key().public_bytes_raw()
        self.key_id = _key_id(name, self._public)

    @classmethod
    def generate(cls, name: str) -> Self:
        """A signer with a fresh random key."""
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `PRIVATE+KEY+<name>+<key id>+<base64>`. Raises SigningKeyError, which never shows the text."""
        if not text.startswith(_PRIVATE_PREFIX) or text.count("+", len(_PRIVATE_PREFIX)) < 2:
            raise SigningKeyError("a signing key has the form PRIVATE+KEY+<name>+<key id>+<base64>")
        name, key_id, encoded = text.removeprefix(_PRIVATE_PREFIX).split("+", 2)
        try:
            material = b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise SigningKeyError("the last part of a signing key must be base64") from None
        if b64encode(material).decode() != encoded or material[:1] != _ED25519:
            raise SigningKeyError("the last part of a signing key must be base64 of an Ed25519 key")
        signer = cls(name, material[1:])
        if signer.key_id.hex() != key_id:
            raise SigningKeyError("the key id does not belong to this name and key")
        return signer

    @property
    def private_key(self) -> str:
        """The secret, in the form that `parse` reads."""
        return f"{_PRIVATE_PREFIX}{self.name}+{self.key_id.hex()}+{b64encode(_ED25519 + self._seed).decode()}"

    @property
    def verifier_key(self) -> str:
        """What everybody may know: `<name>+<key id>+<base64>`."""
        return f"{self.name}+{self.key_id.hex()}+{b64encode(self._public).decode()}"

    def sign(self, text: str) -> str:
        """The signed note of `text`. Raises ValueError when the text cannot stand in a note."""
        if not text.endswith("\n") or any(character < " " and character != "\n" for character in text):
            raise ValueError("the text of a note ends with a newline and has no other control character")
        signature = b64encode(self.key_id + self._key.sign(text.encode())).decode()
        return f"{text}\n— {self.name} {signature}\n"


def is_key_name(name: str) -> bool:
    """Whether a signed note may bear this name: not empty, without Unicode spaces, control characters and plus signs."""
    return bool(name) and "+" not in name and name.isprintable() and not any(character.isspace() for character in name)


def checkpoint_text(origin: str, size: int, root_hash: bytes) -> str:
    """What a checkpoint says, before it is signed: origin, tree size and root hash, a line each."""
    return f"{origin}\n{size}\n{b64encode(root_hash).decode()}\n"


def _key_id(name: str, public: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + public).digest()[:KEY_ID_BYTES]
