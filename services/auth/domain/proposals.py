"""Administrators are made by two: one proposes, another confirms."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from libs.common.auth.policy import Role
from libs.common.errors import Conflict, Forbidden, NotFound
from services.auth.domain.accounts import Status

PROPOSAL_LIFE = timedelta(days=7)
"""A proposal that nobody confirmed by then is over."""


class ProposalStatus(StrEnum):
    """What became of a proposal."""

    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


class UnknownProposal(NotFound):
    """No proposal has this identifier."""


class AlreadyProposed(Conflict):
    """A proposal for this person waits for confirmation."""


class CandidateUnfit(Conflict):
    """The person is an administrator already, is suspended, or has not confirmed their address."""


class AnotherMustConfirm(Forbidden):
    """Who proposed does not confirm."""


class ProposalDecided(Conflict):
    """The proposal was confirmed, rejected, or is too old."""


class AdministratorDismissed(Conflict):
    """Who proposed, or who confirms, is no active administrator any more: their word counts no longer."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What an account is."""

    role: Role
    status: Status
    verified: bool

    @property
    def administers(self) -> bool:
        """Whether this is an active administrator."""
        return self.role is Role.ADMIN and self.status is Status.ACTIVE


def refuse_candidate(candidate: Standing) -> Conflict | None:
    """Say why somebody cannot become an administrator, or None when they can."""
    if candidate.role is Role.ADMIN:
        return CandidateUnfit("This is an administrator already.")
    if candidate.status is not Status.ACTIVE or not candidate.verified:
        return CandidateUnfit("Only somebody with an active account and a confirmed address can become an administrator.")
    return None


def refuse_decision(status: ProposalStatus, expires_at: datetime, now: datetime) -> Conflict | None:
    """Say why a proposal cannot be confirmed or rejected any more, or None when it can."""
    if status is not ProposalStatus.PENDING:
        return ProposalDecided(f"This proposal is {status} already.")
    if expires_at <= now:
        return ProposalDecided("This proposal is too old; propose anew.")
    return None


def refuse_confirmation(
    proposed_by: UUID, confirmed_by: UUID, administrators: tuple[Standing, Standing], candidate: Standing
) -> Conflict | Forbidden | None:
    """Say why this administrator may not confirm, or None when they may; `administrators` is what both are now."""
    if proposed_by == confirmed_by:
        return AnotherMustConfirm("You proposed this yourself; another administrator must confirm it.")
    if not all(each.administers for each in administrators):
        return AdministratorDismissed("One of the two is no active administrator any more; propose it anew.")
    return refuse_candidate(candidate)
