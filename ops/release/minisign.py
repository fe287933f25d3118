"""Signatures in minisign's format: Ed25519 over the BLAKE2b-512 digest of a file, with a comment that is signed too.

Published at https://jedisct1.github.io/minisign/; whoever distrusts this program verifies with that one
(`minisign -Vm SHA256SUMS -p release.pub`). Only prehashed signatures and keys without a password are known here: the place that
keeps the key protects it.
"""

import binascii
import hmac
import secrets
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_PUBLIC_ALGORITHM: Final = b"Ed"
_SIGNATURE_ALGORITHM: Final = b"ED"
_NO_PASSWORD: Final = b"\0\0"
_CHECKSUM_ALGORITHM: Final = b"B2"
_ID_BYTES: Final = 8
_KEY_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64
_CHECKSUM_BYTES: Final = 32
_UNUSED_BYTES: Final = 48
"""Salt and limits of a password that is not there."""
COMMENT_CHARACTERS_MAX: Final = 1_024
_UNTRUSTED: Final = "untrusted comment: "
_TRUSTED: Final = "trusted comment: "


class Unusable(ValueError):
    """A key or signature that is not one; the message says what to do."""


class Refused(ValueError):
    """The signature does not hold."""


@dataclass(frozen=True)
class PublicKey:
    """Who signs: the key, and the id by which it is named."""

    identity: bytes
    key: bytes

    @classmethod
    def parse(cls, text: str) -> "PublicKey":
        """The line that begins with RW, or the file that ends with it. Raises Unusable."""
        raw = _decoded(_last_line(text), "public key")
        if len(raw) != 2 + _ID_BYTES + _KEY_BYTES or raw[:2] != _PUBLIC_ALGORITHM:
            raise Unusable("This is no minisign public key: it is one line of 56 characters that begins with RW.")
        return cls(raw[2:10], raw[10:])

    @property
    def text(self) -> str:
        """The file, as minisign writes it."""
        line = b64encode(_PUBLIC_ALGORITHM + self.identity + self.key).decode("ascii")
        return f"{_UNTRUSTED}minisign public key {self.name}\n{line}\n"

    @property
    def name(self) -> str:
        """The key's id as minisign shows it."""
        return f"{int.from_bytes(self.identity, 'little'):X}"

    def verify(self, content: bytes, signature: str) -> str:
        """The trusted comment of a signature that holds. Raises Unusable and Refused."""
        lines = signature.splitlines()
        if len(lines) != 4 or not lines[0].startswith(_UNTRUSTED) or not lines[2].startswith(_TRUSTED):
            raise Unusable("This is no minisign signature: it has four lines, two of them comments.")
        raw, over_both = _decoded(lines[1], "signature"), _decoded(lines[3], "signature")
        if len(raw) != 2 + _ID_BYTES + _SIGNATURE_BYTES or raw[:2] != _SIGNATURE_ALGORITHM:
            raise Unusable("This is no prehashed minisign signature.")
        if not hmac.compare_digest(raw[2:10], self.identity):
            raise Refused("It was signed with another key.")
        comment, made = lines[2].removeprefix(_TRUSTED), raw[10:]
        public = Ed25519PublicKey.from_public_bytes(self.key)
        try:
            public.verify(made, blake2b(content).digest())
            public.verify(over_both, made + comment.encode())
        except InvalidSignature:
            raise Refused("The signature does not belong to this content.") from None
        return comment


@dataclass(frozen=True, repr=False)
class SecretKey:
    """What signs. It is never shown."""

    identity: bytes
    key: bytes

    @classmethod
    def generate(cls) -> "SecretKey":
        """A new key."""
        return cls(secrets.token_bytes(_ID_BYTES), Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> "SecretKey":
        """A secret key file of `minisign -G -W`, or its last line alone. Raises Unusable."""
        raw = _decoded(_last_line(text), "secret key")
        if len(raw) != 6 + _UNUSED_BYTES + _ID_BYTES + 2 * _KEY_BYTES + _CHECKSUM_BYTES or raw[:2] != _PUBLIC_ALGORITHM:
            raise Unusable("This is no minisign secret key. Make one with `lumiere release key FILE`.")
        if raw[2:4] != _NO_PASSWORD:
            raise Unusable("This secret key has a password. Take one without, and let the vault that keeps it protect it.")
        body = raw[6 + _UNUSED_BYTES :]
        made = cls(body[:_ID_BYTES], body[_ID_BYTES : _ID_BYTES + _KEY_BYTES])
        # Without a password minisign writes no checksum; the public half beside the secret one shows what is damaged.
        if not hmac.compare_digest(body[:-_CHECKSUM_BYTES], made._body()):
            raise Unusable("This secret key is damaged: its public half does not fit.")
        return made

    @property
    def public(self) -> PublicKey:
        """Its public half."""
        return PublicKey(self.identity, self._private.public_key().public_bytes_raw())

    @property
    def text(self) -> str:
        """The file, as minisign writes it. Whoever has it can sign."""
        unused, checksum = bytes(_UNUSED_BYTES), bytes(_CHECKSUM_BYTES)
        raw = _PUBLIC_ALGORITHM + _NO_PASSWORD + _CHECKSUM_ALGORITHM + unused + self._body() + checksum
        return f"{_UNTRUSTED}minisign secret key {self.public.name}\n{b64encode(raw).decode('ascii')}\n"

    def sign(self, content: bytes, comment: str) -> str:
        """The text of a `.minisig` file. Raises ValueError for a comment of several lines or over COMMENT_CHARACTERS_MAX."""
        if len(comment) > COMMENT_CHARACTERS_MAX or not comment.isprintable():
            raise ValueError(f"a comment is one line of at most {COMMENT_CHARACTERS_MAX} characters")
        made = self._private.sign(blake2b(content).digest())
        over_both = self._private.sign(made + comment.encode())
        first = b64encode(_SIGNATURE_ALGORITHM + self.identity + made).decode("ascii")
        second = b64encode(over_both).decode("ascii")
        return f"{_UNTRUSTED}signature from the key {self.public.name}\n{first}\n{_TRUSTED}{comment}\n{second}\n"

    @property
    def _private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.key)

    def _body(self) -> bytes:
        return self.identity + self.key + self._private.public_key().public_bytes_raw()


def _last_line(text: str) -> str:
    lines = text.split("\n")
    kept = [line.strip() for line in lines if line.strip()]
    return kept[-1] if kept else ""


def _decoded(text: str, what: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Unusable(f"The {what} is not base64: a character is wrong or missing.") from None
