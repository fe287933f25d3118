"""Signing keys, and whether the platform is being maintained."""

from sqlalchemy import Boolean, CheckConstraint, Column, Index, Integer, LargeBinary, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from libs.common.db import id_column, timestamp
from services.auth.domain.maintenance import REASON_MAXIMUM, SCOPE
from services.auth.domain.tokens import KeyState
from services.auth.models.metadata import metadata, one_of

maintenance = Table(
    "maintenance",
    metadata,
    # One row, which the first decision makes.
    Column("scope", Text, primary_key=True),
    Column("enabled", Boolean, nullable=False),
    Column("reason", Text),
    id_column("changed_by", primary_key=False),
    timestamp("changed_at"),
    Column("revision", Integer, nullable=False),
    one_of("scope", [SCOPE]),
    CheckConstraint("reason IS NOT NULL OR NOT enabled", name="enabled_for_a_reason"),
    CheckConstraint(f"char_length(reason) <= {REASON_MAXIMUM}", name="reason_length"),
)

signing_key = Table(
    "signing_key",
    metadata,
    Column("id", Text, primary_key=True),
    Column("public_jwk", JSONB, nullable=False),
    Column("private_sealed", LargeBinary, nullable=False),
    Column("secret_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    timestamp("published_at"),
    timestamp("activated_at", nullable=True),
    timestamp("retired_at", nullable=True),
    timestamp("withdrawn_at", nullable=True),
    one_of("state", KeyState),
    Index("uq_signing_key_active", "state", unique=True, postgresql_where=text("state = 'ACTIVE'")),
    Index("uq_signing_key_next", "state", unique=True, postgresql_where=text("state = 'PUBLISHED'")),
)

root_key = Table(
    "root_key",
    metadata,
    # One root, sealed once for each secret that opens it: two while AUTH_SECRET is being rotated.
    Column("secret_id", Text, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    timestamp("created_at"),
)
