"""Identities at other providers, and sign-ins on their way there and back.

Neither identifiers nor addresses of other providers are kept: an identity is known again by a hash.
"""

from sqlalchemy import Column, Date, ForeignKey, LargeBinary, Table, Text, UniqueConstraint

from libs.common.db import id_column, timestamp
from services.auth.models.accounts import user_account
from services.auth.models.metadata import metadata

federated_identity = Table(
    "federated_identity",
    metadata,
    id_column(),
    Column("user_id", ForeignKey(user_account.c.id, ondelete="CASCADE"), nullable=False),
    Column("provider", Text, nullable=False),
    Column("subject_hash", LargeBinary, nullable=False, unique=True),
    timestamp("linked_at"),
    Column("last_used_on", Date),
    UniqueConstraint("user_id", "provider"),
)

federation_attempt = Table(
    "federation_attempt",
    metadata,
    # Of the `state` that the provider brings back, and of what the browser alone holds.
    Column("state_hash", LargeBinary, primary_key=True),
    Column("binding_hash", LargeBinary, nullable=False),
    Column("provider", Text, nullable=False),
    # Who wants to link; null where somebody wants to sign in.
    Column("user_id", ForeignKey(user_account.c.id, ondelete="CASCADE")),
    Column("return_to", Text),
    timestamp("expires_at", index=True),
)

identity_offer = Table(
    "identity_offer",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    # The one account that may take it.
    Column("user_id", ForeignKey(user_account.c.id, ondelete="CASCADE"), nullable=False),
    Column("provider", Text, nullable=False),
    Column("subject_hash", LargeBinary, nullable=False),
    timestamp("expires_at", index=True),
)
