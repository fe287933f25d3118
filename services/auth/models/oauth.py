"""Clients, what people let them do, and what they are on the way to be given. No secret or code is kept but hashed."""

from typing import Any

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Integer, LargeBinary, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from libs.common.db import id_column, timestamp
from services.auth.domain.clients import CLIENT_NAME_MAXIMUM, ApplicationType, AuthMethod
from services.auth.domain.devices import DeviceState
from services.auth.models.accounts import user_account
from services.auth.models.metadata import metadata, one_of


def _client(**options: Any) -> "Column[Any]":
    return Column("client_id", ForeignKey("auth.oauth_client.id", ondelete="CASCADE"), nullable=False, **options)


def _user(**options: Any) -> "Column[Any]":
    return Column("user_id", ForeignKey(user_account.c.id, ondelete="CASCADE"), **options)


oauth_client = Table(
    "oauth_client",
    metadata,
    id_column(),
    Column("name", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("application_type", Text, nullable=False),
    Column("grants", ARRAY(Text), nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("redirect_uris", ARRAY(Text), nullable=False),
    Column("post_logout_redirect_uris", ARRAY(Text), nullable=False),
    # Public keys with which the client signs who it is (RFC 7523).
    Column("keys", JSONB(none_as_null=True)),
    Column("bound_tokens", Boolean, nullable=False),
    Column("address", Text),
    # As of a person's account: the client's own tokens issued before this whole second are void.
    timestamp("tokens_not_before", nullable=True),
    timestamp("created_at"),
    # Kept until the last token of it is dead, so that verifiers hear of it.
    timestamp("removed_at", nullable=True),
    Column("version", Integer, nullable=False),
    one_of("method", AuthMethod),
    one_of("application_type", ApplicationType),
    CheckConstraint(f"char_length(name) BETWEEN 1 AND {CLIENT_NAME_MAXIMUM}", name="name_length"),
    CheckConstraint(f"(keys IS NOT NULL) = (method = '{AuthMethod.PRIVATE_KEY}')", name="keys_of_a_method"),
)

client_secret = Table(
    "client_secret",
    metadata,
    id_column(),
    _client(index=True),
    Column("secret_hash", LargeBinary, nullable=False),
    timestamp("created_at"),
    # Null: until another one replaces it.
    timestamp("expires_at", nullable=True, index=True),
)

consent = Table(
    "consent",
    metadata,
    _user(primary_key=True),
    _client(primary_key=True),
    Column("scope", Text, nullable=False),
    timestamp("granted_at"),
)

authorization_request = Table(
    "authorization_request",
    metadata,
    Column("handle_hash", LargeBinary, primary_key=True),
    _client(),
    Column("redirect_uri", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("state", Text),
    Column("nonce", Text),
    Column("challenge", Text, nullable=False),
    Column("key_thumbprint", Text),
    Column("prompts", Text, nullable=False),
    Column("max_age", Integer),
    timestamp("created_at"),
    timestamp("expires_at", index=True),
    timestamp("answered_at", nullable=True),
    # The session that is asked, once one is: nobody else may answer.
    id_column("session_id", primary_key=False, nullable=True),
)

authorization_code = Table(
    "authorization_code",
    metadata,
    Column("code_hash", LargeBinary, primary_key=True),
    _client(),
    _user(nullable=False),
    id_column("session_id", primary_key=False),
    Column("redirect_uri", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("nonce", Text),
    Column("challenge", Text, nullable=False),
    Column("key_thumbprint", Text),
    timestamp("expires_at", index=True),
    timestamp("used_at", nullable=True),
    # What came of it: ended when the code comes again.
    id_column("opened_session_id", primary_key=False, nullable=True),
)

device_request = Table(
    "device_request",
    metadata,
    Column("code_hash", LargeBinary, primary_key=True),
    Column("user_code", Text, nullable=False, unique=True),
    _client(),
    Column("scope", Text, nullable=False),
    Column("device_label", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("interval_seconds", Integer, nullable=False),
    timestamp("expires_at", index=True),
    timestamp("last_polled_at", nullable=True),
    _user(nullable=True),
    id_column("session_id", primary_key=False, nullable=True),
    one_of("state", DeviceState),
    CheckConstraint(f"(user_id IS NULL) = (state = '{DeviceState.PENDING}')", name="answered_by_somebody"),
)

revoked_client_token = Table(
    "revoked_client_token",
    metadata,
    # The `sid` of an access token that a client had for itself: no session stands behind it.
    id_column("session_id"),
    timestamp("revoked_at", index=True),
)
