"""Sessions and their refresh tokens."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, LargeBinary, Table, Text, text

from libs.common.db import id_column, timestamp
from services.auth.models.accounts import user_account
from services.auth.models.metadata import metadata

session = Table(
    "session",
    metadata,
    id_column(),
    Column("user_id", ForeignKey(user_account.c.id, ondelete="CASCADE"), nullable=False, index=True),
    Column("client_id", Text, nullable=False),
    Column("scope", Text),
    # Of the key that the session's tokens are bound to (RFC 9449).
    Column("key_thumbprint", Text),
    # The session in which a person let the client of this one act for them; null where the person signed in here.
    id_column("parent_id", primary_key=False, nullable=True, index=True),
    Column("device_label", Text, nullable=False),
    Column("methods", Text, nullable=False),
    timestamp("created_at"),
    # When the person last showed who they are; a step-up renews it.
    timestamp("authenticated_at"),
    timestamp("last_used_at"),
    # The `iat` of the newest access token: tells revocation which sessions not-before alone does not reach.
    timestamp("last_token_at"),
    # Each use moves it, never beyond `ends_at`.
    timestamp("expires_at", index=True),
    timestamp("ends_at"),
    timestamp("revoked_at", nullable=True, index=True),
    Column("revoke_reason", Text),
    CheckConstraint("(revoked_at IS NULL) = (revoke_reason IS NULL)", name="revoked_for_a_reason"),
)

refresh_token = Table(
    "refresh_token",
    metadata,
    id_column(),
    Column("session_id", ForeignKey(session.c.id, ondelete="CASCADE"), nullable=False, index=True),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    timestamp("issued_at"),
    timestamp("expires_at", index=True),
    timestamp("used_at", nullable=True),
    Column("successor_sealed", LargeBinary),
    CheckConstraint("successor_sealed IS NULL OR used_at IS NOT NULL", name="successor_of_a_spent_token"),
    Index("ix_refresh_token_successor", "used_at", postgresql_where=text("successor_sealed IS NOT NULL")),
)
