"""People, their notices, and e-mails on their way.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from libs.common.db.migrate import kernel_upgrade

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "notify"
MOMENT = sa.DateTime(timezone=True)
IDENTIFIER = postgresql.UUID(as_uuid=True)


def upgrade() -> None:
    """Create the tables."""
    kernel_upgrade(op, SCHEMA)
    _create_person()
    _create_notice()
    _create_email()


def _create_person() -> None:
    op.create_table(
        "person",
        sa.Column("user_id", IDENTIFIER, nullable=False),
        sa.Column("email_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("display_name_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_person"),
        schema=SCHEMA,
    )


def _create_notice() -> None:
    op.create_table(
        "notice_sequence",
        sa.Column("user_id", IDENTIFIER, nullable=False),
        sa.Column("last_position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_notice_sequence"),
        schema=SCHEMA,
    )
    op.create_table(
        "notice",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("data", postgresql.JSONB(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("read_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_notice"),
        sa.UniqueConstraint("user_id", "position", name="uq_notice_user_id_position"),
        sa.UniqueConstraint("event_id", "user_id", name="uq_notice_event_id_user_id"),
        schema=SCHEMA,
    )
    op.create_index("ix_notice_created_at", "notice", ["created_at"], schema=SCHEMA)
    op.create_index("ix_notice_unread", "notice", ["user_id"], schema=SCHEMA, postgresql_where=sa.text("read_at IS NULL"))


def _create_email() -> None:
    op.create_table(
        "email",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=True),
        sa.Column("recipient_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("variables_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("error_class", sa.Text(), nullable=True),
        sa.Column("requested_at", MOMENT, nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("settled_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_email"),
        sa.CheckConstraint("status IN ('QUEUED', 'SENT', 'FAILED', 'EXPIRED')", name="status_known"),
        sa.CheckConstraint(
            "status = 'QUEUED' OR (recipient_sealed IS NULL AND variables_sealed IS NULL AND settled_at IS NOT NULL)",
            name="settled_is_wiped",
        ),
        schema=SCHEMA,
    )
    op.create_index("ix_email_due", "email", ["due_at"], schema=SCHEMA, postgresql_where=sa.text("status = 'QUEUED'"))
