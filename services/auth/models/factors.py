"""Second factors, and the ceremonies that wait for one."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, ForeignKey, LargeBinary, Table, Text

from libs.common.db import id_column, timestamp
from services.auth.domain.passkeys import LABEL_MAXIMUM, Ceremony
from services.auth.models.accounts import user_account
from services.auth.models.metadata import metadata, one_of

login_challenge = Table(
    "login_challenge",
    metadata,
    id_column(),
    Column("user_id", ForeignKey(user_account.c.id, ondelete="CASCADE"), nullable=False, index=True),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    # The password that was right when the challenge was given: another one makes it worthless.
    Column("password_hash", Text),
    Column("methods", Text, nullable=False),
    Column("device_label", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("scope", Text),
    Column("key_thumbprint", Text),
    timestamp("expires_at", index=True),
    timestamp("used_at", nullable=True),
)

totp_credential = Table(
    "totp_credential",
    metadata,
    Column("user_id", ForeignKey(user_account.c.id, ondelete="CASCADE"), primary_key=True),
    Column("secret_sealed", LargeBinary, nullable=False),
    Column("secret_id", Text, nullable=False),
    timestamp("created_at"),
    timestamp("confirmed_at", nullable=True),
    # The newest time step whose code was taken: it and all before it are refused.
    Column("last_step", BigInteger),
    CheckConstraint("confirmed_at IS NULL OR last_step IS NOT NULL", name="confirmed_by_a_code"),
)

recovery_code = Table(
    "recovery_code",
    metadata,
    id_column(),
    Column("user_id", ForeignKey(user_account.c.id, ondelete="CASCADE"), nullable=False, index=True),
    Column("code_hash", LargeBinary, nullable=False, unique=True),
    timestamp("created_at"),
    timestamp("used_at", nullable=True),
)

passkey = Table(
    "passkey",
    metadata,
    id_column(),
    Column("user_id", ForeignKey(user_account.c.id, ondelete="CASCADE"), nullable=False, index=True),
    Column("credential_id", LargeBinary, nullable=False, unique=True),
    Column("public_key", LargeBinary, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    Column("synchronised", Boolean, nullable=False),
    Column("label", Text, nullable=False),
    timestamp("created_at"),
    timestamp("last_used_at", nullable=True),
    CheckConstraint(f"char_length(label) BETWEEN 1 AND {LABEL_MAXIMUM}", name="label_length"),
)

passkey_ceremony = Table(
    "passkey_ceremony",
    metadata,
    id_column(),
    Column("challenge_hash", LargeBinary, nullable=False, unique=True),
    Column("purpose", Text, nullable=False),
    # Who registers, and in which session; nobody is known where somebody signs in.
    id_column("session_id", primary_key=False, nullable=True),
    timestamp("expires_at", index=True),
    one_of("purpose", Ceremony),
    CheckConstraint("(session_id IS NULL) = (purpose = 'AUTHENTICATE')", name="registered_in_a_session"),
)
