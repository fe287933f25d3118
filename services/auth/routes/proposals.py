"""The doors through which two administrators make a third."""

from typing import Any
from uuid import UUID

from libs.common.auth.policy import Role, Subject
from libs.common.db import Database, Reader
from libs.common.http import Created, Page, Routes, page_of
from services.auth import queries, schemas
from services.auth.domain.proposals import (
    AdministratorDismissed,
    AlreadyProposed,
    AnotherMustConfirm,
    CandidateUnfit,
    ProposalDecided,
    ProposalStatus,
)
from services.auth.routes.accounts import STEP_UP_SECONDS
from services.auth.routes.answers import held
from services.auth.use_cases import proposals

routes = Routes("auth")


@routes.post(
    "/admin/administrator-proposals",
    allow=Role.ADMIN,
    status=201,
    step_up=STEP_UP_SECONDS,
    refuses=(AlreadyProposed, CandidateUnfit),
)
def propose_administrator(
    body: schemas.ProposeAdministrator, subject: Subject, database: Database
) -> Created[schemas.ProposalView]:
    """Propose to make somebody an administrator. Another administrator confirms it within a week."""
    with database.transaction() as tx:
        outcome = proposals.propose(tx, body.user_id, subject.id)
    view = _proposal(held(outcome))
    return Created(view, f"/api/v1/admin/administrator-proposals/{view.id}")


@routes.get("/admin/administrator-proposals", allow=Role.ADMIN)
def list_proposals(query: schemas.ProposalsQuery, db: Reader) -> Page[schemas.ProposalView]:
    """List proposals to make somebody an administrator, newest first."""
    after = query.after(UUID)
    rows = queries.proposals_page(db, query.status, query.limit, after[0] if after else None)
    return page_of(rows, query.limit, _proposal, lambda row: (row.id,))


@routes.get("/admin/administrator-proposals/<proposal_id>", allow=Role.ADMIN)
def read_proposal(proposal_id: UUID, db: Reader) -> schemas.ProposalView:
    """Read a proposal to make somebody an administrator."""
    return _proposal(queries.proposal(db, proposal_id))


@routes.post(
    "/admin/administrator-proposals/<proposal_id>/confirm",
    allow=Role.ADMIN,
    step_up=STEP_UP_SECONDS,
    refuses=(ProposalDecided, AnotherMustConfirm, AdministratorDismissed, CandidateUnfit),
)
def confirm_proposal(proposal_id: UUID, subject: Subject, database: Database) -> schemas.ProposalView:
    """Confirm what another administrator proposed: the person is an administrator from now on, and signs in again."""
    with database.transaction() as tx:
        outcome = proposals.confirm(tx, proposal_id, subject.id)
    return _proposal(held(outcome))


@routes.post(
    "/admin/administrator-proposals/<proposal_id>/reject",
    allow=Role.ADMIN,
    step_up=STEP_UP_SECONDS,
    refuses=(ProposalDecided,),
)
def reject_proposal(proposal_id: UUID, subject: Subject, database: Database) -> schemas.ProposalView:
    """Reject what another administrator proposed, or take one's own proposal back."""
    with database.transaction() as tx:
        outcome = proposals.reject(tx, proposal_id, subject.id)
    return _proposal(held(outcome))


def _proposal(row: Any) -> schemas.ProposalView:
    return schemas.ProposalView(
        id=row.id,
        user_id=row.user_id,
        status=ProposalStatus(row.status),
        proposed_by=row.proposed_by,
        proposed_at=row.proposed_at,
        expires_at=row.expires_at,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
    )
