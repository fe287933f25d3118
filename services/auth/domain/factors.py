"""Second factors: what an account may have besides its password, what each counts for, and why one is refused."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from libs.common.auth.policy import Role
from libs.common.errors import Conflict, Forbidden, NotFound, Unauthenticated

CHALLENGE_LIFE = timedelta(minutes=5)
"""How long somebody who gave the right password may look for the second factor."""
UNCONFIRMED_LIFE = timedelta(days=1)
"""An authenticator app that was never confirmed is forgotten after this."""
RECOVERY_CODES = 10
MFA_REQUIRED = "mfa_required"
"""The code that clients read in a refusal that asks for the second factor."""

PASSWORD = "pwd"  # noqa: S105  the name of a method
ONE_TIME_PASSWORD = "otp"  # noqa: S105  the name of a method
HARDWARE_KEY = "hwk"
SOFTWARE_KEY = "swk"
USER_PRESENT = "user"
SEVERAL_FACTORS = "mfa"
"""Authentication methods as tokens name them (RFC 8176, section 2)."""


class Factor(StrEnum):
    """With what a sign-in may be completed."""

    TOTP = "totp"
    PASSKEY = "passkey"
    RECOVERY_CODE = "recovery_code"


class SecondFactorRequired(Unauthenticated):
    """The password is right; this account asks for a second factor too."""

    def __init__(self, challenge: str, factors: Iterable[Factor]) -> None:
        """Take the challenge that completes the sign-in and what may complete it."""
        super().__init__(
            "This account has a second factor: complete the sign-in with it at POST /api/v1/auth/login/second-factor.",
            code=None,
            challenge=challenge,
            methods=[str(each) for each in factors],
        )
        self.extensions["code"] = MFA_REQUIRED
        self.challenge_token = challenge


class SignInOver(Unauthenticated):
    """The challenge is unknown, used, or too old: the sign-in begins anew."""


class WrongSecondFactor(Unauthenticated):
    """The code or passkey does not complete this sign-in; which part of it is wrong is not told."""


class WrongCode(Forbidden):
    """The code does not confirm the authenticator app."""


class ForeignSession(Forbidden):
    """The session belongs to another client, which sends its user to the authorization endpoint instead."""


class StepUpRefused(Forbidden):
    """What was given does not prove who is there. Nothing was changed."""


class NotEnrolled(NotFound):
    """The account has no such factor."""


class AlreadyEnrolled(Conflict):
    """The account has this factor; remove it before another takes its place."""


class OwnFactors(Forbidden):
    """Another administrator, or the operator, resets an administrator's factors."""


class LastFactor(Conflict):
    """An administrator keeps a second factor: enrol another before this one goes."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The factors that an account has: an authenticator app, so many passkeys, so many unused recovery codes."""

    totp: bool = False
    passkeys: int = 0
    recovery_codes: int = 0

    @property
    def any(self) -> bool:
        """Whether a password alone is not enough. Recovery codes only stand in for a factor that was lost."""
        return self.totp or self.passkeys > 0

    @property
    def factors(self) -> tuple[Factor, ...]:
        """What may complete a sign-in, the best first."""
        found = (
            (Factor.PASSKEY, self.passkeys > 0),
            (Factor.TOTP, self.totp),
            (Factor.RECOVERY_CODE, self.any and self.recovery_codes > 0),
        )
        return tuple(factor for factor, present in found if present)


@dataclass(frozen=True, slots=True)
class Proof:
    """What somebody shows: a code of the authenticator app, a recovery code, or a passkey's answer as browsers give it."""

    otp: str | None = None
    recovery_code: str | None = None
    passkey: Mapping[str, Any] | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing is shown."""
        return self.otp is None and self.recovery_code is None and self.passkey is None


@dataclass(frozen=True, slots=True)
class Required:
    """Whose second factor is not theirs to choose: administrators', where the platform is in production."""

    of_administrators: bool

    def of(self, role: str) -> bool:
        """Whether an account of this role must have a second factor."""
        return self.of_administrators and role == Role.ADMIN

    def roles(self, role: str, methods: Iterable[str]) -> str:
        """Return the roles that a token may hold: none for a role that asks for a second factor that was not shown."""
        return "" if self.of(role) and SEVERAL_FACTORS not in methods else role


def with_code(methods: Iterable[str]) -> tuple[str, ...]:
    """Return the methods of somebody who also gave a code of the second factor."""
    return tuple(dict.fromkeys((*methods, ONE_TIME_PASSWORD, SEVERAL_FACTORS)))


def with_passkey(methods: Iterable[str], *, synchronised: bool) -> tuple[str, ...]:
    """Return the methods of somebody who also used a passkey: possession of a key, and the gesture that unlocks it.

    A passkey that its provider copies between devices is a key in software; whether another is in hardware no attestation says,
    but it never left its authenticator.
    """
    key = SOFTWARE_KEY if synchronised else HARDWARE_KEY
    return tuple(dict.fromkeys((*methods, key, USER_PRESENT, SEVERAL_FACTORS)))


def challenge_expiry(now: datetime) -> datetime:
    """Return until when a challenge given now may be answered."""
    return now + CHALLENGE_LIFE
