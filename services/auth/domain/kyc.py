"""Whether administrators have checked who somebody is (know your customer), and whether they are an accredited investor."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from libs.common.errors import Conflict, Forbidden

KYC_LIFE_MAXIMUM = timedelta(days=5 * 366)
"""A check holds no longer than five years: papers and circumstances change."""


class KycStatus(StrEnum):
    """How far the check of a person has come."""

    NONE = "NONE"
    PENDING = "PENDING"
    VERIFIED = "VERIFIED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


DECIDED = (KycStatus.NONE, KycStatus.PENDING, KycStatus.VERIFIED, KycStatus.REJECTED)
"""What administrators may say; only time lets a check expire."""

TRANSITIONS: Mapping[KycStatus, frozenset[KycStatus]] = MappingProxyType(
    {
        KycStatus.NONE: frozenset({KycStatus.PENDING, KycStatus.VERIFIED, KycStatus.REJECTED}),
        KycStatus.PENDING: frozenset({KycStatus.NONE, KycStatus.VERIFIED, KycStatus.REJECTED}),
        KycStatus.VERIFIED: frozenset({KycStatus.PENDING, KycStatus.VERIFIED, KycStatus.REJECTED, KycStatus.EXPIRED}),
        KycStatus.REJECTED: frozenset({KycStatus.PENDING, KycStatus.VERIFIED}),
        KycStatus.EXPIRED: frozenset({KycStatus.PENDING, KycStatus.VERIFIED, KycStatus.REJECTED}),
    }
)
"""VERIFIED follows VERIFIED when a check is renewed, or accreditation given or taken."""


class KycStep(Conflict):
    """The check of this person does not go from where it is to there."""


class OwnCheck(Forbidden):
    """Nobody checks themselves."""


@dataclass(frozen=True, slots=True)
class Check:
    """What was found: how far the check is, whether the person is accredited, and until when both hold (None: not verified)."""

    status: KycStatus
    accredited: bool = False
    expires_at: datetime | None = None


def refuse_check(now: Check, then: Check, *, own: bool) -> Conflict | Forbidden | None:
    """Say why an administrator may not record this, or None when they may."""
    if own:
        return OwnCheck("Another administrator must check you.")
    if then != now and then.status not in TRANSITIONS[now.status]:
        return KycStep(f"A check that is {now.status} does not become {then.status}.")
    return None


def check_fault(check: Check) -> str | None:
    """Say what is contradictory in a check, or None: only what is verified has an end and may come with accreditation."""
    if check.status not in DECIDED:
        return "status must be NONE, PENDING, VERIFIED or REJECTED; a check expires by itself"
    if check.status is KycStatus.VERIFIED:
        return None if check.expires_at is not None else "must give expires_at with VERIFIED"
    if check.expires_at is not None or check.accredited:
        return "may give expires_at and accredited with VERIFIED only"
    return None
