"""Tables of the log. Whatever is proved is only ever added: neither the service nor the schema's owner may change a row."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    func,
    select,
)

from libs.common.db import APPEND_ONLY, declare_figures, id_column, new_metadata, timestamp
from libs.common.db.figures import rows_of, seconds_since_first, seconds_since_last
from services.ledger.domain.merkle import HASH_BYTES
from services.ledger.domain.restoring import STATEMENT_MAX, STATEMENT_MIN
from services.ledger.domain.tiles import ENTRY_BYTES_MAX, LEVEL_MAX

metadata = new_metadata("ledger")

# What arrived, in the form in which it is hashed. An event has one leaf, however often it is delivered.
leaf = Table(
    "leaf",
    metadata,
    id_column("event_id"),
    Column("type", Text, nullable=False),
    Column("entity_id", Text, nullable=False),
    timestamp("occurred_at"),
    timestamp("recorded_at"),
    Column("leaf", LargeBinary, nullable=False),
    Column("leaf_hash", LargeBinary, nullable=False),
    CheckConstraint(f"octet_length(leaf) BETWEEN 1 AND {ENTRY_BYTES_MAX}", name="leaf_fits_an_entry"),
    CheckConstraint("leaf_hash = sha256('\\x00'::bytea || leaf)", name="leaf_hash_is_of_the_leaf"),
    info=APPEND_ONLY,
)

# The queue of leaves without an index. Not part of what is proved: a row goes when its leaf is sequenced, in one transaction.
pending_leaf = Table(
    "pending_leaf",
    metadata,
    Column("event_id", leaf.c.event_id.type, ForeignKey(leaf.c.event_id), primary_key=True),
)

# The order of the log. Each index stands on the one before, so the database itself refuses a gap.
sequenced = Table(
    "sequenced",
    metadata,
    Column("leaf_index", BigInteger, primary_key=True, autoincrement=False),
    Column("previous_index", BigInteger, ForeignKey("ledger.sequenced.leaf_index"), nullable=True),
    Column("event_id", leaf.c.event_id.type, ForeignKey(leaf.c.event_id), nullable=False, unique=True),
    Column("type", Text, nullable=False),
    Column("entity_id", Text, nullable=False),
    CheckConstraint("leaf_index >= 0 AND (previous_index IS NULL) = (leaf_index = 0)", name="only_the_first_has_none_before"),
    CheckConstraint("previous_index = leaf_index - 1", name="previous_is_one_less"),
    Index(None, "type", "leaf_index"),
    Index(None, "entity_id", "leaf_index"),
    info=APPEND_ONLY,
)

# Roots of full subtrees. A full subtree never changes, so each is written once; tiles and proofs are read from here.
node = Table(
    "node",
    metadata,
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
    CheckConstraint(f"level BETWEEN 0 AND {LEVEL_MAX} AND number >= 0", name="lies_in_a_tree"),
    CheckConstraint(f"octet_length(hash) = {HASH_BYTES}", name="hash_has_its_length"),
    info=APPEND_ONLY,
)

# The database came from a backup: what it knows of the log may be less than what the log has signed. See ADR 0039.
restoration = Table(
    "restoration",
    metadata,
    id_column(),
    timestamp("restored_at"),
    Column("source", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("root_hash", LargeBinary, nullable=False),
    # The newest checkpoint that anybody is known to hold; null when nobody knows of one.
    Column("published_origin", Text),
    Column("published_size", BigInteger),
    Column("published_root_hash", LargeBinary),
    CheckConstraint("size >= 0 AND published_size >= 0", name="sizes_are_counts"),
    CheckConstraint(
        "(published_origin IS NULL) = (published_size IS NULL) AND (published_size IS NULL) = (published_root_hash IS NULL)",
        name="published_is_whole",
    ),
    info=APPEND_ONLY,
)

# An operator's word on how the log goes on after a restoration. Until then it signs nothing.
resumption = Table(
    "resumption",
    metadata,
    Column("restoration_id", restoration.c.id.type, ForeignKey(restoration.c.id), primary_key=True),
    Column("origin", Text, nullable=False),
    Column("statement", Text, nullable=False),
    timestamp("resumed_at"),
    CheckConstraint(f"char_length(statement) BETWEEN {STATEMENT_MIN} AND {STATEMENT_MAX}", name="statement_says_something"),
    info=APPEND_ONLY,
)

# Every tree head that the log ever signed, as it was given out.
checkpoint = Table(
    "checkpoint",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("root_hash", LargeBinary, nullable=False),
    Column("note", Text, nullable=False),
    timestamp("signed_at"),
    CheckConstraint("size >= 0", name="size_is_a_count"),
    CheckConstraint(f"octet_length(root_hash) = {HASH_BYTES}", name="root_hash_has_its_length"),
    info=APPEND_ONLY,
)

# What the log says of itself in numbers.
declare_figures(
    metadata,
    {
        "leaves": select(func.coalesce(func.max(sequenced.c.leaf_index) + 1, 0)),
        "pending_leaves": rows_of(pending_leaf),
        "pending_oldest_seconds": seconds_since_first(leaf.c.recorded_at, leaf.c.event_id == pending_leaf.c.event_id),
        "checkpoint_size": select(func.max(checkpoint.c.size)),
        "checkpoint_seconds": seconds_since_last(checkpoint.c.signed_at),
    },
)
