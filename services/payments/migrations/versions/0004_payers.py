"""A payment says who is to move its money. Those that are there were opened where nobody did.

Revision ID: 0004
Revises: 0003
"""

from alembic import op
from sqlalchemy import Column, Text

revision = "0004"
down_revision = "0003"
contracts = {"constraint-missing-not-valid": "Before the first release: nobody ran the former schema."}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column with a default, so that the release before this one may still write while both run."""
    op.add_column("payment", Column("payer", Text, nullable=False, server_default="MOCK"), schema="payments")
    op.create_check_constraint("payer_known", "payment", "payer IN ('MOCK', 'STRIPE')", schema="payments")
