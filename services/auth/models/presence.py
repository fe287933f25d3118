"""When somebody was last here: what outlives their sessions."""

from sqlalchemy import Column, ForeignKey, Index, Table, text

from libs.common.db import timestamp
from services.auth.models.accounts import user_account
from services.auth.models.metadata import metadata

last_sign_in = Table(
    "last_sign_in",
    metadata,
    # Beside the account and not in it: signing in only shares the account's row.
    Column("user_id", ForeignKey(user_account.c.id, ondelete="CASCADE"), primary_key=True),
    timestamp("signed_in_at"),
    timestamp("told_dormant_at", nullable=True),
    Index("ix_last_sign_in_not_told", "signed_in_at", postgresql_where=text("told_dormant_at IS NULL")),
)
