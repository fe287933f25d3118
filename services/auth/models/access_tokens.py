"""Personal access tokens. Each is a session of its own as far as revocation is concerned: its id is the `sid`."""

from sqlalchemy import CheckConstraint, Column, Date, ForeignKey, LargeBinary, Table, Text

from libs.common.db import id_column, timestamp
from services.auth.domain.access_tokens import NAME_MAXIMUM
from services.auth.models.accounts import user_account
from services.auth.models.metadata import metadata

personal_access_token = Table(
    "personal_access_token",
    metadata,
    id_column(),
    Column("user_id", ForeignKey(user_account.c.id, ondelete="CASCADE"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("scope", Text, nullable=False),
    # When the person had last signed in as they made it: what it is exchanged for is no fresher.
    timestamp("authenticated_at"),
    timestamp("created_at"),
    timestamp("expires_at", index=True),
    Column("last_used_on", Date),
    # The `iat` of the newest access token that came of it.
    timestamp("last_token_at", nullable=True),
    timestamp("revoked_at", nullable=True, index=True),
    Column("revoke_reason", Text),
    CheckConstraint(f"char_length(name) BETWEEN 1 AND {NAME_MAXIMUM}", name="name_length"),
    CheckConstraint("(revoked_at IS NULL) = (revoke_reason IS NULL)", name="revoked_for_a_reason"),
)
