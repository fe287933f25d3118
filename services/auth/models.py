"""The rows of schema `auth`.

Personal data stand in `user_account`: e-mail, display name, bio, locale; and an address for moments in `reset_request`.
"""

from collections.abc import Iterable

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from libs.common.auth.policy import Role
from libs.common.db import id_column, new_metadata, timestamp
from services.auth.domain.accounts import BIO_MAXIMUM, DISPLAY_NAME_MAXIMUM, DISPLAY_NAME_MINIMUM, Locale, Status
from services.auth.domain.maintenance import REASON_MAXIMUM, SCOPE
from services.auth.domain.tokens import KeyState, Purpose

metadata = new_metadata("auth")


def _one_of(column: str, values: Iterable[str]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


user_account = Table(
    "user_account",
    metadata,
    id_column(),
    Column("email", Text, nullable=False, unique=True),
    Column("display_name", Text, nullable=False),
    Column("bio", Text),
    Column("locale", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("status", Text, nullable=False),
    timestamp("verified_at", nullable=True),
    # Access tokens issued before this whole second are void; so is a token whose `iat` would be smaller.
    timestamp("tokens_not_before", nullable=True),
    timestamp("created_at"),
    Column("version", Integer, nullable=False),
    _one_of("locale", Locale),
    _one_of("role", Role),
    _one_of("status", Status),
    CheckConstraint("email = lower(email)", name="email_lower_case"),
    CheckConstraint(
        f"char_length(display_name) BETWEEN {DISPLAY_NAME_MINIMUM} AND {DISPLAY_NAME_MAXIMUM}", name="display_name_length"
    ),
    CheckConstraint(f"char_length(bio) <= {BIO_MAXIMUM}", name="bio_length"),
    Index(None, "role"),
)

password_credential = Table(
    "password_credential",
    metadata,
    Column("user_id", ForeignKey(user_account.c.id, ondelete="CASCADE"), primary_key=True),
    Column("password_hash", Text, nullable=False),
    timestamp("changed_at"),
)

one_time_token = Table(
    "one_time_token",
    metadata,
    id_column(),
    Column("user_id", ForeignKey(user_account.c.id, ondelete="CASCADE"), nullable=False),
    Column("purpose", Text, nullable=False),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    # The password chosen together with this registration: only the mail that is answered makes it count.
    Column("password_hash", Text),
    timestamp("created_at"),
    timestamp("expires_at", index=True),
    timestamp("used_at", nullable=True),
    _one_of("purpose", Purpose),
    Index(None, "user_id", "purpose"),
)

reset_request = Table(
    "reset_request",
    metadata,
    id_column(),
    # Of somebody who may have no account; gone within moments.
    Column("address", Text, nullable=False),
    timestamp("requested_at"),
)

mail_allowance = Table(
    "mail_allowance",
    metadata,
    Column("user_id", ForeignKey(user_account.c.id, ondelete="CASCADE"), primary_key=True),
    Column("template", Text, primary_key=True),
    timestamp("began_at"),
    Column("requested", Integer, nullable=False),
)

session = Table(
    "session",
    metadata,
    id_column(),
    Column("user_id", ForeignKey(user_account.c.id, ondelete="CASCADE"), nullable=False, index=True),
    Column("client_id", Text, nullable=False),
    Column("device_label", Text, nullable=False),
    Column("methods", Text, nullable=False),
    timestamp("authenticated_at"),
    timestamp("last_used_at"),
    # The `iat` of the newest access token: tells revocation which sessions not-before alone does not reach.
    timestamp("last_token_at"),
    timestamp("expires_at", index=True),
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

login_failure = Table(
    "login_failure",
    metadata,
    # A keyed hash of the address, known or not: the table says nothing about who has an account.
    Column("address_key", LargeBinary, primary_key=True),
    Column("failures", Integer, nullable=False),
    timestamp("last_failed_at", nullable=True, index=True),
    timestamp("locked_until", nullable=True),
)

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
    _one_of("scope", [SCOPE]),
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
    _one_of("state", KeyState),
    Index("uq_signing_key_active", "state", unique=True, postgresql_where=text("state = 'ACTIVE'")),
    Index("uq_signing_key_next", "state", unique=True, postgresql_where=text("state = 'PUBLISHED'")),
)
