"""What payment providers tell us: each event once, by the provider's own id.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SCHEMA = "payments"
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the table of received events."""
    op.create_table(
        "provider_event",
        sa.Column("id", postgresql.UUID(as_uuid=True), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("provider_event_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("object_kind", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=True),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("occurred_at", MOMENT, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_provider_event"),
        sa.UniqueConstraint("provider", "provider_event_id", name="uq_provider_event_provider_provider_event_id"),
        sa.CheckConstraint("provider IN ('STRIPE')", name="provider_known"),
        sa.CheckConstraint("status IN ('RECEIVED')", name="status_known"),
        schema=SCHEMA,
    )
    op.create_index("ix_provider_event_status_received_at_id", "provider_event", ["status", "received_at", "id"], schema=SCHEMA)
