"""What auth asks of proposals to make somebody an administrator."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, Text, Uuid, bindparam, or_, select

from libs.common.db import Reader
from services.auth.domain.proposals import ProposalStatus, UnknownProposal
from services.auth.models import administrator_proposal

_proposal = select(administrator_proposal).where(administrator_proposal.c.id == bindparam("proposal_id"))
_pending = select(administrator_proposal.c.id).where(
    administrator_proposal.c.user_id == bindparam("user_id"), administrator_proposal.c.status == ProposalStatus.PENDING
)
_page = (
    select(administrator_proposal)
    .where(
        or_(bindparam("status", type_=Text).is_(None), administrator_proposal.c.status == bindparam("status")),
        or_(bindparam("after", type_=Uuid).is_(None), administrator_proposal.c.id < bindparam("after")),
    )
    .order_by(administrator_proposal.c.id.desc())
    .limit(bindparam("limit"))
)


def proposal(db: Reader, proposal_id: UUID) -> Row[Any]:
    """What is this proposal? Raises UnknownProposal."""
    row = db.first(_proposal, {"proposal_id": proposal_id})
    if row is None:
        raise UnknownProposal("There is no such proposal.")
    return row


def pending_proposal(db: Reader, user_id: UUID) -> UUID | None:
    """Which proposal to make this person an administrator waits?"""
    row = db.first(_pending, {"user_id": user_id})
    return None if row is None else UUID(str(row.id))


def proposals_page(db: Reader, status: ProposalStatus | None, limit: int, after: UUID | None) -> list[Row[Any]]:
    """Which proposals are there of this status (None: any), newest first? One row over the limit tells of more."""
    return db.all(_page, {"status": status, "limit": limit + 1, "after": after})
