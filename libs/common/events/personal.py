"""Personal data inside an event: sealed on the wire, a commitment everywhere else.

A field of type `Personal[T]` names a person beyond an id. Whoever may not read it (archive, proofs, every subscriber but
the holder of the private key) sees a salted commitment; destroying the salt makes even a guessed value unprovable.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Any, Final, Generic, Self, TypeVar, get_args
from uuid import UUID

import orjson
import rfc8785
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

T = TypeVar("T")

SALT_BYTES: Final = 32
COMMITMENT_BYTES: Final = 32
KEY_BYTES: Final = 32

PERSONAL_MARK: Final = "x-personal"
"""What marks a personal value in a JSON Schema."""
RECIPIENT: Final = "recipient"
"""Serialisation context key: the `Recipient` that personal values are sealed to. Without it only the commitment is written."""
PLACEHOLDER: Final = "placeholder"
"""Serialisation context key: write fixed text in place of commitment and sealed box, so that golden files do not change."""


class CannotOpen(ValueError):
    """A personal value is not here, is sealed to another key, or does not match its commitment."""


def encode_base64url(data: bytes) -> str:
    """Base64url without padding (RFC 4648 section 5)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode_base64url(text: str) -> bytes:
    """The bytes of canonical, unpadded base64url.

    Raises ValueError for padding, foreign characters and non-zero trailing bits.
    """
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("is not base64url") from error
    if encode_base64url(data) != text:
        raise ValueError("is not canonical base64url without padding")
    return data


def commitment_of(salt: bytes, value: object) -> str:
    """Base64url of HMAC-SHA256(salt, canonical JSON of the value); canonical as in RFC 8785."""
    return encode_base64url(hmac.digest(salt, rfc8785.dumps(value), hashlib.sha256))  # type: ignore[arg-type]


def _key_bytes(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error:
        data = b""
    if len(data) != KEY_BYTES:
        raise ValueError(f"an X25519 key is {KEY_BYTES} bytes in standard base64")
    return data


class Recipient:
    """The public X25519 key that personal values are sealed to."""

    def __init__(self, public_key: str) -> None:
        self._box = SealedBox(PublicKey(_key_bytes(public_key)))

    def seal(self, plain: bytes) -> bytes:
        """Encrypt so that only the holder of the private key can read (libsodium sealed box)."""
        return self._box.encrypt(plain)


class Keyring:
    """Private X25519 keys, newest first, so that a rotation can still open what was sealed before."""

    def __init__(self, private_keys: Sequence[str]) -> None:
        if not private_keys:
            raise ValueError("a keyring needs at least one private key")
        self._boxes = [SealedBox(PrivateKey(_key_bytes(key))) for key in private_keys]

    def open(self, sealed: bytes) -> bytes:
        """The plain text. Raises CannotOpen when no key fits."""
        for box in self._boxes:
            try:
                return box.decrypt(sealed)
            except CryptoError:
                continue
        raise CannotOpen("sealed to a key that this keyring does not hold")


def generate_key_pair() -> tuple[str, str]:
    """A new (private, public) X25519 key pair, each as standard base64."""
    private = PrivateKey.generate()
    return base64.b64encode(bytes(private)).decode(), base64.b64encode(bytes(private.public_key)).decode()


class Personal(Generic[T]):
    """A JSON value about one person.

    It has three states: *plain* where it was made (`Personal.of`), *sealed* on the wire, *committed* in archives and proofs.
    Two are equal when their commitments are. The value never shows in `repr`, in JSON, or in a log line.
    """

    __slots__ = ("_about", "_adapter", "_commitment", "_salt", "_sealed", "_value")

    def __init__(self, commitment: str, sealed: bytes | None = None) -> None:
        self._commitment = commitment
        self._sealed = sealed
        self._adapter: TypeAdapter[T] | None = None
        self._about: UUID | None = None
        self._salt: bytes | None = None
        self._value: T | None = None

    @classmethod
    def of(cls, value: T, *, about: UUID) -> Self:
        """Wrap a plain value; `about` is the person whose erasure destroys the salt."""
        salt = secrets.token_bytes(SALT_BYTES)
        personal = cls(commitment_of(salt, value))
        personal._value, personal._salt, personal._about = value, salt, about
        return personal

    @property
    def commitment(self) -> str:
        return self._commitment

    @property
    def is_plain(self) -> bool:
        return self._salt is not None

    @property
    def salt(self) -> bytes:
        """The salt, for the row that the producer keeps. Raises CannotOpen when the value is not plain."""
        if self._salt is None:
            raise CannotOpen("the salt stays with the producer")
        return self._salt

    @property
    def about(self) -> UUID:
        """The person the value is about. Raises CannotOpen when the value is not plain."""
        if self._about is None:
            raise CannotOpen("only the producer knows whom a value is about")
        return self._about

    def open(self, keyring: Keyring) -> T:
        """The value, checked against its commitment and its declared type.

        Raises CannotOpen when it is not on the wire any more, is sealed to another key, or was tampered with.
        """
        if self._sealed is None:
            raise CannotOpen("only the commitment is left")
        try:
            content = orjson.loads(keyring.open(self._sealed))
            salt, value = decode_base64url(content["salt"]), content["value"]
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, CannotOpen):
                raise
            raise CannotOpen("the sealed content is malformed") from error
        if not hmac.compare_digest(commitment_of(salt, value), self._commitment):
            raise CannotOpen("the sealed value does not match its commitment")
        return self._typed(value)

    def matches(self, salt: bytes, value: T) -> bool:
        """Whether the commitment was made from this salt and value."""
        return hmac.compare_digest(commitment_of(salt, value), self._commitment)

    def _typed(self, value: Any) -> T:
        if self._adapter is None:
            typed: T = value
            return typed
        try:
            return self._adapter.validate_json(orjson.dumps(value), strict=True)
        except ValueError as error:
            raise CannotOpen("the sealed value is not of the declared type") from error

    def _seal(self, recipient: Recipient) -> bytes:
        content = {"salt": encode_base64url(self.salt), "value": self._value}
        return recipient.seal(orjson.dumps(content))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Personal) and hmac.compare_digest(self._commitment, other._commitment)

    def __hash__(self) -> int:
        return hash(self._commitment)

    def __repr__(self) -> str:
        return f"Personal({self._commitment[:8]}…)"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        declared = (get_args(source) or (Any,))[0]
        adapter: TypeAdapter[Any] = TypeAdapter(declared)
        from_wire = core_schema.no_info_after_validator_function(
            lambda fields: _from_wire(fields, adapter),
            core_schema.typed_dict_schema(
                {
                    "commitment": core_schema.typed_dict_field(core_schema.str_schema(strict=True)),
                    "sealed": core_schema.typed_dict_field(core_schema.str_schema(strict=True), required=False),
                },
                extra_behavior="ignore",
            ),
        )
        from_python = core_schema.no_info_after_validator_function(
            lambda personal: _checked(personal, adapter), core_schema.is_instance_schema(cls)
        )
        return core_schema.json_or_python_schema(
            json_schema=from_wire,
            python_schema=from_python,
            serialization=core_schema.plain_serializer_function_ser_schema(_to_wire, info_arg=True),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {
            "type": "object",
            "title": "Personal",
            "description": "A personal value: its commitment, and for its one reader a sealed box.",
            "properties": {"commitment": {"type": "string"}, "sealed": {"type": "string"}},
            "required": ["commitment"],
            PERSONAL_MARK: True,
        }


def _checked(personal: Personal[Any], adapter: TypeAdapter[Any]) -> Personal[Any]:
    if personal.is_plain:
        try:
            adapter.validate_python(personal._value, strict=True)  # noqa: SLF001 - same module, the value has no public reader
        except ValueError as error:
            # Pydantic's own message would quote the personal value.
            raise ValueError("the personal value is not of the declared type") from error
    return personal


def _from_wire(fields: dict[str, str], adapter: TypeAdapter[Any]) -> Personal[Any]:
    if len(decode_base64url(fields["commitment"])) != COMMITMENT_BYTES:
        raise ValueError(f"a commitment is {COMMITMENT_BYTES} bytes")
    sealed = fields.get("sealed")
    personal: Personal[Any] = Personal(fields["commitment"], None if sealed is None else decode_base64url(sealed))
    personal._adapter = adapter  # noqa: SLF001 - same module
    return personal


def _to_wire(personal: Personal[Any], info: core_schema.SerializationInfo) -> dict[str, str]:
    context = info.context if isinstance(info.context, dict) else {}
    if context.get(PLACEHOLDER):
        return {"commitment": encode_base64url(bytes(COMMITMENT_BYTES)), "sealed": encode_base64url(bytes(COMMITMENT_BYTES))}
    fields = {"commitment": personal.commitment}
    recipient = context.get(RECIPIENT)
    if isinstance(recipient, Recipient) and personal.is_plain:
        fields["sealed"] = encode_base64url(personal._seal(recipient))  # noqa: SLF001 - same module
    return fields
