"""Uploads: one row from promise to verdict."""

import sqlalchemy as sa
from alembic import op

from libs.common.db.migrate import kernel_upgrade

revision = "0001"
down_revision = None

OPEN = sa.text("status IN ('PENDING', 'RECEIVED', 'UPLOADING')")


def upgrade() -> None:
    """Create the kernel's tables and the uploads."""
    kernel_upgrade(op, "media")
    op.create_table(
        "upload",
        sa.Column("id", sa.UUID(as_uuid=True), nullable=False),
        sa.Column("owner_id", sa.UUID(as_uuid=True), nullable=False),
        sa.Column("category", sa.Text, nullable=False),
        sa.Column("filename", sa.Text, nullable=False),
        sa.Column("content_type", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("storage_key", sa.Text),
        sa.Column("lease_until", sa.DateTime(timezone=True)),
        sa.Column("received_size", sa.BigInteger),
        sa.Column("received_sha256", sa.Text),
        sa.Column("rejection", sa.Text),
        sa.Column("submitted_at", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_upload"),
        sa.UniqueConstraint("storage_key", name="uq_upload_storage_key"),
        sa.CheckConstraint(
            "category IN ('VIDEO', 'IMAGE', 'DOCUMENT', 'SUBTITLE', 'AUDIO')", name=op.f("ck_upload_category_known")
        ),
        sa.CheckConstraint(
            "status IN ('PENDING', 'UPLOADING', 'RECEIVED', 'READY', 'REJECTED', 'EXPIRED', 'DELETED')",
            name=op.f("ck_upload_status_known"),
        ),
        sa.CheckConstraint(
            "rejection IN ('MISSING', 'SIZE_MISMATCH', 'CHECKSUM_MISMATCH', 'CORRUPTED', 'TYPE_MISMATCH', 'AMBIGUOUS_CONTENT')",
            name=op.f("ck_upload_rejection_known"),
        ),
        sa.CheckConstraint("size BETWEEN 1 AND 524288000", name=op.f("ck_upload_size_allowed")),
        sa.CheckConstraint("char_length(filename) BETWEEN 1 AND 255", name=op.f("ck_upload_filename_allowed")),
        sa.CheckConstraint(
            "sha256 ~ '^[0-9a-f]{64}$' AND received_sha256 ~ '^[0-9a-f]{64}$'", name=op.f("ck_upload_sha256_hexadecimal")
        ),
        sa.CheckConstraint("status <> 'REJECTED' OR rejection IS NOT NULL", name=op.f("ck_upload_rejection_has_reason")),
        sa.CheckConstraint(
            "status NOT IN ('RECEIVED', 'READY') OR received_sha256 IS NOT NULL", name=op.f("ck_upload_received_is_measured")
        ),
        sa.CheckConstraint(
            "status <> 'UPLOADING' OR (storage_key IS NOT NULL AND lease_until IS NOT NULL)",
            name=op.f("ck_upload_sender_is_known"),
        ),
        schema="media",
    )
    op.create_index("ix_upload_open_by_owner", "upload", ["owner_id"], schema="media", postgresql_where=OPEN)
    op.create_index("ix_upload_open_by_expiry", "upload", ["expires_at"], schema="media", postgresql_where=OPEN)
