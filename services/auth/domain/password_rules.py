"""Which passwords are refused: too short, known from breaches or guessed at once, or somebody's own name.

NIST SP 800-63B, section 3.1.1.2: length and a list, no rules about kinds of characters.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from libs.common.errors import Fault, Invalid

MINIMUM_SETTING_MAXIMUM: Final = 64
"""The longest that an operator may make the minimum: longer ones are no passwords that people type."""
PLATFORM_NAMES: Final = ("lumiere", "lumiere film")
_DIGITS_AROUND = re.compile(r"^\d+|\d+$")


class PasswordRefused(Invalid):
    """The password is one that somebody else could guess."""


class KnownPasswords(Protocol):
    """The passwords that attackers try first."""

    def holds(self, password: str) -> bool:
        """Whether this password (normalised) is among them, as it is or in lower case."""
        ...


@dataclass(frozen=True, slots=True)
class PasswordRules:
    """What a new password must be, wherever one is chosen."""

    minimum: int
    known: KnownPasswords

    def fault(self, password: str, own: Iterable[str] = ()) -> str | None:
        """Say what is wrong with a normalised password, or None; `own` is what its owner is called: address, name."""
        if len(password) < self.minimum:
            return f"must have at least {self.minimum} characters"
        if _bare(password) in {bare for name in (*PLATFORM_NAMES, *own) for bare in _bare_forms(name)}:
            return "must not be your name, your address or the platform's, with or without digits around it"
        if self.known.holds(password):
            return "is one of those that are tried first, because many use it or it was stolen somewhere; choose another"
        return None

    def require(self, password: str, pointer: str, own: Iterable[str] = ()) -> None:
        """Raise PasswordRefused, with the reason at `pointer`, when the password may not be chosen."""
        fault = self.fault(password, own)
        if fault:
            raise PasswordRefused([Fault(pointer, fault)])


def _bare_forms(name: str) -> set[str]:
    """A name without what people add to it; of an address also the part before the @, and both with the dots gone."""
    return {bare for part in (name, name.partition("@")[0]) if (bare := _bare(part))}


def _bare(text: str) -> str:
    """Letters and digits alone, case and accents folded, digits at either end left out unless nothing else is there."""
    folded = unicodedata.normalize("NFKD", text).casefold()
    plain = "".join(character for character in folded if character.isalnum())
    return _DIGITS_AROUND.sub("", plain) or plain
