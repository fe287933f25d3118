"""Addresses that are to take the place of others, until both owners have confirmed it."""

from sqlalchemy import Column, ForeignKey, LargeBinary, Table

from libs.common.db import timestamp
from services.auth.models.accounts import user_account
from services.auth.models.metadata import metadata

email_change = Table(
    "email_change",
    metadata,
    # One at a time: a new request takes the place of the one before.
    Column("user_id", ForeignKey(user_account.c.id, ondelete="CASCADE"), primary_key=True),
    # Sealed under a key derived from AUTH_SECRET: it is nobody's address here yet.
    Column("new_address_sealed", LargeBinary, nullable=False),
    Column("old_token_hash", LargeBinary, nullable=False, unique=True),
    Column("new_token_hash", LargeBinary, nullable=False, unique=True),
    timestamp("old_confirmed_at", nullable=True),
    timestamp("new_confirmed_at", nullable=True),
    timestamp("requested_at"),
    timestamp("expires_at", index=True),
)
