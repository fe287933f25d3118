"""Proposals to make somebody an administrator."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Table, Text, text

from libs.common.db import id_column, timestamp
from services.auth.domain.proposals import ProposalStatus
from services.auth.models.accounts import user_account
from services.auth.models.metadata import metadata, one_of

administrator_proposal = Table(
    "administrator_proposal",
    metadata,
    id_column(),
    Column("user_id", ForeignKey(user_account.c.id, ondelete="CASCADE"), nullable=False),
    id_column("proposed_by", primary_key=False),
    Column("status", Text, nullable=False),
    timestamp("proposed_at"),
    timestamp("expires_at"),
    id_column("decided_by", primary_key=False, nullable=True),
    timestamp("decided_at", nullable=True),
    one_of("status", ProposalStatus),
    CheckConstraint("(status = 'PENDING') = (decided_at IS NULL)", name="decided_at_an_instant"),
    CheckConstraint("(status IN ('CONFIRMED', 'REJECTED')) = (decided_by IS NOT NULL)", name="decided_by_somebody"),
    CheckConstraint("status <> 'CONFIRMED' OR decided_by <> proposed_by", name="confirmed_by_another"),
    Index("uq_administrator_proposal_pending", "user_id", unique=True, postgresql_where=text("status = 'PENDING'")),
)
