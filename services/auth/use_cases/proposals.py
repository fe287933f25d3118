"""Make administrators by two: propose, confirm, reject. Refusals are returned: they are on record."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, insert, update

from libs.common import ids
from libs.common.auth.policy import Role
from libs.common.db import Transaction
from libs.common.errors import Problem
from services.auth import queries
from services.auth.domain.accounts import Status
from services.auth.domain.proposals import (
    PROPOSAL_LIFE,
    AlreadyProposed,
    ProposalStatus,
    Standing,
    refuse_candidate,
    refuse_confirmation,
    refuse_decision,
)
from services.auth.models import administrator_proposal
from services.auth.use_cases.accounts import give_standing
from services.auth.use_cases.registration import lock_administrators

_propose = insert(administrator_proposal).returning(administrator_proposal)
_decide = (
    update(administrator_proposal)
    .where(administrator_proposal.c.id == bindparam("proposal_id"), administrator_proposal.c.status == ProposalStatus.PENDING)
    .values(status=bindparam("decision"), decided_by=bindparam("decider"), decided_at=bindparam("now"))
    .returning(administrator_proposal)
)
_expire = (
    update(administrator_proposal)
    .where(administrator_proposal.c.status == ProposalStatus.PENDING, administrator_proposal.c.expires_at <= bindparam("now"))
    .values(status=ProposalStatus.EXPIRED, decided_at=bindparam("now"))
    .returning(administrator_proposal.c.id, administrator_proposal.c.user_id)
)


def propose(tx: Transaction, user_id: UUID, actor_id: UUID) -> Row[Any] | Problem:
    """Propose to make somebody an administrator. Raises UnknownAccount."""
    lock_administrators(tx)
    expire(tx)
    refusal: Problem | None = refuse_candidate(_standing(queries.account_to_change(tx, user_id)))
    if refusal is None and queries.pending_proposal(tx, user_id) is not None:
        refusal = AlreadyProposed("A proposal for this person waits already; another administrator confirms it.")
    if refusal is not None:
        return _refused(tx, "administrator.propose", user_id, refusal)
    proposal = tx.one(
        _propose,
        {
            "id": ids.new_id(),
            "user_id": user_id,
            "proposed_by": actor_id,
            "status": ProposalStatus.PENDING,
            "proposed_at": tx.now,
            "expires_at": tx.now + PROPOSAL_LIFE,
            "decided_by": None,
            "decided_at": None,
        },
    )
    tx.audit("administrator.propose", "user", user_id, details={"proposal_id": proposal.id})
    return proposal


def confirm(tx: Transaction, proposal_id: UUID, actor_id: UUID) -> Row[Any] | Problem:
    """Make the person an administrator, as another administrator proposed. Their sessions end. Raises UnknownProposal."""
    lock_administrators(tx)
    proposal = queries.proposal(tx, proposal_id)
    candidate = queries.account_to_change(tx, proposal.user_id)
    both = _standing(queries.account(tx, proposal.proposed_by)), _standing(queries.account(tx, actor_id))
    refusal: Problem | None = refuse_decision(ProposalStatus(proposal.status), proposal.expires_at, tx.now)
    refusal = refusal or refuse_confirmation(proposal.proposed_by, actor_id, both, _standing(candidate))
    if refusal is not None:
        return _refused(tx, "administrator.confirm", proposal.user_id, refusal, proposal_id)
    decided = _decided(tx, proposal_id, ProposalStatus.CONFIRMED, actor_id)
    tx.audit("administrator.confirm", "user", proposal.user_id, details=_details(proposal))
    give_standing(tx, candidate, Role.ADMIN, Status.ACTIVE, actor_id)
    return decided


def reject(tx: Transaction, proposal_id: UUID, actor_id: UUID) -> Row[Any] | Problem:
    """Reject a proposal, or take one's own back. Raises UnknownProposal."""
    lock_administrators(tx)
    proposal = queries.proposal(tx, proposal_id)
    refusal = refuse_decision(ProposalStatus(proposal.status), proposal.expires_at, tx.now)
    if refusal is not None:
        return _refused(tx, "administrator.reject", proposal.user_id, refusal, proposal_id)
    decided = _decided(tx, proposal_id, ProposalStatus.REJECTED, actor_id)
    tx.audit("administrator.reject", "user", proposal.user_id, details=_details(proposal))
    return decided


def expire(tx: Transaction) -> int:
    """End proposals that nobody confirmed in time; returns how many."""
    expired = tx.all(_expire, {"now": tx.now})
    for each in expired:
        tx.audit("administrator.expire", "user", each.user_id, details={"proposal_id": each.id})
    return len(expired)


def _decided(tx: Transaction, proposal_id: UUID, decision: ProposalStatus, actor_id: UUID) -> Row[Any]:
    return tx.one(_decide, {"proposal_id": proposal_id, "decision": decision, "decider": actor_id, "now": tx.now})


def _refused(tx: Transaction, action: str, user_id: UUID, refusal: Problem, proposal_id: UUID | None = None) -> Problem:
    details = {"reason": type(refusal).__name__} | ({"proposal_id": proposal_id} if proposal_id else {})
    tx.audit(action, "user", user_id, outcome="refused", details=details)
    return refusal


def _details(proposal: Row[Any]) -> dict[str, Any]:
    return {"proposal_id": proposal.id, "proposed_by": proposal.proposed_by}


def _standing(account: Row[Any]) -> Standing:
    return Standing(Role(account.role), Status(account.status), account.verified_at is not None)
