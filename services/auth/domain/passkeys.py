"""Passkeys (Web Authentication, Level 3): what is known of one, and the ceremonies that make and use it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from libs.common.errors import BadRequest, Conflict, NotFound

PASSKEYS_MAXIMUM = 20
"""Passkeys of one account."""
LABEL_MAXIMUM = 60
CREDENTIAL_ID_MAXIMUM = 1_023
"""Bytes (Web Authentication, section 4, "Credential ID")."""


def label(text: str) -> str:
    """Return the name that a person gives a passkey; raises ValueError."""
    if text != text.strip() or not 1 <= len(text) <= LABEL_MAXIMUM or not text.isprintable():
        raise ValueError(f"must have 1 to {LABEL_MAXIMUM} printable characters, and no space at either end")
    return text


class Ceremony(StrEnum):
    """What a challenge was made for."""

    REGISTER = "REGISTER"
    AUTHENTICATE = "AUTHENTICATE"


class PasskeyRefused(BadRequest):
    """The authenticator's answer does not fit its challenge, this origin, or the rules for passkeys here."""


class TooManyPasskeys(Conflict):
    """The account has as many passkeys as it may have."""


class PasskeyKnown(Conflict):
    """This passkey is registered already."""


class UnknownPasskey(NotFound):
    """The account has no such passkey."""


class CounterWentBack(Exception):
    """The authenticator counted backwards: the key may have been copied (Web Authentication, section 6.1.1)."""


@dataclass(frozen=True, slots=True)
class NewPasskey:
    """What a registration gives."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    synchronised: bool


@dataclass(frozen=True, slots=True)
class KnownPasskey:
    """What an assertion is judged by."""

    public_key: bytes
    sign_count: int


@dataclass(frozen=True, slots=True)
class Person:
    """Whom an authenticator shows when it asks which passkey to use."""

    id: UUID
    address: str
    display_name: str


class RelyingParty(Protocol):
    """This platform towards authenticators; its name and origin are settings. `credential` is what browsers give as JSON."""

    def registration_options(self, person: Person, challenge: bytes, known: Sequence[bytes]) -> dict[str, Any]:
        """Return what `navigator.credentials.create` is called with, in JSON; `known` passkeys are not made twice."""
        ...

    def authentication_options(self, challenge: bytes) -> dict[str, Any]:
        """Return what `navigator.credentials.get` is called with, in JSON."""
        ...

    def challenge_of(self, credential: Mapping[str, Any]) -> bytes:
        """Return the challenge that an answer claims to answer. Raises PasskeyRefused."""
        ...

    def credential_id(self, credential: Mapping[str, Any]) -> bytes:
        """Return which passkey answered. Raises PasskeyRefused."""
        ...

    def user_handle(self, credential: Mapping[str, Any]) -> bytes | None:
        """Return whose passkey the authenticator says it is. Raises PasskeyRefused."""
        ...

    def registered(self, credential: Mapping[str, Any], challenge: bytes) -> NewPasskey:
        """Return the passkey that an answer registers. Raises PasskeyRefused."""
        ...

    def asserted(self, credential: Mapping[str, Any], challenge: bytes, known: KnownPasskey) -> int:
        """Return the counter of an answer that holds. Raises PasskeyRefused, CounterWentBack."""
        ...
