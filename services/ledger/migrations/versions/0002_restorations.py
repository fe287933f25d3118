"""Restorations from a backup, and how the log goes on after them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "restoration",
        sa.Column("id", sa.UUID(as_uuid=True), nullable=False),
        sa.Column("restored_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("root_hash", sa.LargeBinary, nullable=False),
        sa.Column("published_origin", sa.Text),
        sa.Column("published_size", sa.BigInteger),
        sa.Column("published_root_hash", sa.LargeBinary),
        sa.PrimaryKeyConstraint("id", name="pk_restoration"),
        sa.CheckConstraint("size >= 0 AND published_size >= 0", name=op.f("ck_restoration_sizes_are_counts")),
        sa.CheckConstraint(
            "(published_origin IS NULL) = (published_size IS NULL) "
            "AND (published_size IS NULL) = (published_root_hash IS NULL)",
            name=op.f("ck_restoration_published_is_whole"),
        ),
    )
    op.create_table(
        "resumption",
        sa.Column("restoration_id", sa.UUID(as_uuid=True), nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("statement", sa.Text, nullable=False),
        sa.Column("resumed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("restoration_id", name="pk_resumption"),
        sa.ForeignKeyConstraint(["restoration_id"], ["restoration.id"], name="fk_resumption_restoration_id_restoration"),
        sa.CheckConstraint("char_length(statement) BETWEEN 10 AND 1000", name=op.f("ck_resumption_statement_says_something")),
    )
