"""Accounts: addresses, profiles, roles, and what may become of them."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import NewType
from uuid import UUID

from email_validator import EmailNotValidError, validate_email

from libs.common.auth.policy import Role
from libs.common.errors import Conflict, Forbidden, NotFound

UserId = NewType("UserId", UUID)
Address = NewType("Address", str)
"""An e-mail address in its one normal form."""

DISPLAY_NAME_MINIMUM = 2
DISPLAY_NAME_MAXIMUM = 50
BIO_MAXIMUM = 500
ADDRESS_MAXIMUM = 254
"""Octets of an address that SMTP can carry (RFC 5321, section 4.5.3.1.3, less the angle brackets)."""
DORMANT_DAYS_MINIMUM = 30
DORMANT_DAYS_MAXIMUM = 3_650
DORMANT_DAYS_DEFAULT = 365
BOOTSTRAP_ADMINISTRATORS = 2
"""Administrators that an operator may make; from then on one proposes and another confirms."""


class Locale(StrEnum):
    """Languages in which the platform writes to a person."""

    FR = "fr"
    EN = "en"


class Status(StrEnum):
    """Whether an account may be used."""

    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"


class UnknownAccount(NotFound):
    """No account has this identifier."""


class AdministratorNeedsTwoPeople(Conflict):
    """One administrator alone may not make another."""


class LastAdministrator(Conflict):
    """The platform would be left without an administrator."""


class AccountChanged(Conflict):
    """Another request changed the account between reading and writing."""


class AccountNotVerified(Forbidden):
    """The address has not been confirmed yet."""


class AccountSuspended(Forbidden):
    """An administrator suspended the account."""


class AddressTaken(Conflict):
    """An account with this address exists."""


class EnoughAdministrators(Conflict):
    """The operator's command has done its work."""


def normal_address(text: str) -> Address:
    """Return the one form under which an address is stored and compared: syntax checked, Unicode normalised, lower case.

    Raises ValueError when it is no address. Whether it receives mail is shown by the verification mail, not guessed from DNS.
    """
    try:
        return Address(validate_email(text, check_deliverability=False).normalized.lower())
    except EmailNotValidError:
        raise ValueError("is not an e-mail address; write it like name@example.org") from None


def display_name(text: str) -> str:
    """Return the name when it may be shown to others; raises ValueError."""
    if text != text.strip():
        raise ValueError("must not begin or end with a space")
    if not DISPLAY_NAME_MINIMUM <= len(text) <= DISPLAY_NAME_MAXIMUM:
        raise ValueError(f"must have {DISPLAY_NAME_MINIMUM} to {DISPLAY_NAME_MAXIMUM} characters")
    if not text.isprintable():
        raise ValueError("must not contain control characters or line breaks")
    return text


def bio(text: str) -> str:
    """Return the text when it may be shown to others; raises ValueError."""
    if len(text) > BIO_MAXIMUM:
        raise ValueError(f"must have at most {BIO_MAXIMUM} characters")
    if any(not (character.isprintable() or character == "\n") for character in text):
        raise ValueError("must not contain control characters other than line breaks")
    return text


def role_at_registration(role: Role) -> Role:
    """Return the role when a newcomer may choose it; raises ValueError."""
    if role is Role.ADMIN:
        raise ValueError("must be a role other than ADMIN")
    return role


def refuse_change(role: Role, new_role: Role, new_status: Status, other_administrators: int) -> Conflict | None:
    """Say why an administrator may not give an account this role and status, or None when they may.

    `other_administrators` counts the active administrators besides this account.
    """
    if new_role is Role.ADMIN and role is not Role.ADMIN:
        return AdministratorNeedsTwoPeople(
            "Making an administrator takes two: one proposes, another confirms. Nothing was changed."
        )
    loses_administrator = role is Role.ADMIN and (new_role is not Role.ADMIN or new_status is not Status.ACTIVE)
    if loses_administrator and other_administrators == 0:
        return LastAdministrator("This is the last active administrator. Appoint another before taking this one away.")
    return None


def refuse_bootstrap(administrators: int, address_known: bool) -> Conflict | None:
    """Say why the operator's command may not make an administrator, or None when it may."""
    if administrators >= BOOTSTRAP_ADMINISTRATORS:
        return EnoughAdministrators(
            f"There are {administrators} administrators already: from now on one administrator proposes and another confirms."
        )
    if address_known:
        return AddressTaken("An account with this address exists already; choose another address for the administrator.")
    return None


@dataclass(frozen=True, slots=True)
class Dormancy:
    """How long nobody signs in to an account before its owner is reminded of it."""

    after: timedelta


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses of the platform's pages, as mails carry them."""

    origin: str

    def verify_email(self, token: str) -> str:
        """Return the page that confirms an address."""
        return f"{self.origin}/verify-email?token={token}"

    def reset_password(self, token: str) -> str:
        """Return the page that sets a new password."""
        return f"{self.origin}/reset-password?token={token}"

    def confirm_email(self, token: str) -> str:
        """Return the page that confirms that one address takes another's place."""
        return f"{self.origin}/email/confirm?token={token}"

    def cancel_email(self, token: str) -> str:
        """Return the page that keeps the address as it is."""
        return f"{self.origin}/email/cancel?token={token}"

    def login(self) -> str:
        """Return the page where people sign in."""
        return f"{self.origin}/login"
