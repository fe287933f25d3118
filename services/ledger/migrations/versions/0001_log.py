"""The transparency log."""

import sqlalchemy as sa
from alembic import op

from libs.common.db.migrate import kernel_upgrade

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the kernel's tables and those of the log, and forbid changes to the latter."""
    kernel_upgrade(op, "ledger")
    _create_leaves()
    _create_order()
    _create_tree()


def _create_leaves() -> None:
    op.create_table(
        "leaf",
        sa.Column("event_id", sa.UUID(as_uuid=True), nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("entity_id", sa.Text, nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("leaf", sa.LargeBinary, nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("event_id", name="pk_leaf"),
        sa.CheckConstraint("octet_length(leaf) BETWEEN 1 AND 65535", name=op.f("ck_leaf_leaf_fits_an_entry")),
        sa.CheckConstraint("leaf_hash = sha256('\\x00'::bytea || leaf)", name=op.f("ck_leaf_leaf_hash_is_of_the_leaf")),
    )
    op.create_table(
        "pending_leaf",
        sa.Column("event_id", sa.UUID(as_uuid=True), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name="pk_pending_leaf"),
        sa.ForeignKeyConstraint(["event_id"], ["leaf.event_id"], name="fk_pending_leaf_event_id_leaf"),
    )


def _create_order() -> None:
    op.create_table(
        "sequenced",
        sa.Column("leaf_index", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("previous_index", sa.BigInteger),
        sa.Column("event_id", sa.UUID(as_uuid=True), nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("entity_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("leaf_index", name="pk_sequenced"),
        sa.ForeignKeyConstraint(["previous_index"], ["sequenced.leaf_index"], name="fk_sequenced_previous_index_sequenced"),
        sa.ForeignKeyConstraint(["event_id"], ["leaf.event_id"], name="fk_sequenced_event_id_leaf"),
        sa.UniqueConstraint("event_id", name="uq_sequenced_event_id"),
        sa.CheckConstraint(
            "leaf_index >= 0 AND (previous_index IS NULL) = (leaf_index = 0)",
            name=op.f("ck_sequenced_only_the_first_has_none_before"),
        ),
        sa.CheckConstraint("previous_index = leaf_index - 1", name=op.f("ck_sequenced_previous_is_one_less")),
    )
    op.create_index("ix_sequenced_type_leaf_index", "sequenced", ["type", "leaf_index"])
    op.create_index("ix_sequenced_entity_id_leaf_index", "sequenced", ["entity_id", "leaf_index"])


def _create_tree() -> None:
    op.create_table(
        "node",
        sa.Column("level", sa.SmallInteger, nullable=False, autoincrement=False),
        sa.Column("number", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("level", "number", name="pk_node"),
        sa.CheckConstraint("level BETWEEN 0 AND 63 AND number >= 0", name=op.f("ck_node_lies_in_a_tree")),
        sa.CheckConstraint("octet_length(hash) = 32", name=op.f("ck_node_hash_has_its_length")),
    )
    op.create_table(
        "checkpoint",
        sa.Column("size", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("root_hash", sa.LargeBinary, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("size", name="pk_checkpoint"),
        sa.CheckConstraint("size >= 0", name=op.f("ck_checkpoint_size_is_a_count")),
        sa.CheckConstraint("octet_length(root_hash) = 32", name=op.f("ck_checkpoint_root_hash_has_its_length")),
    )
