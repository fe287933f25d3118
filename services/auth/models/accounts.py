"""Who has an account, and with what they sign in.

Personal data stand in `user_account`: e-mail, display name, bio, locale, wallet address, skills and languages; and an address
for moments in `reset_request`.
"""

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY

from libs.common.auth.policy import Role
from libs.common.db import id_column, timestamp
from services.auth.domain.accounts import BIO_MAXIMUM, DISPLAY_NAME_MAXIMUM, DISPLAY_NAME_MINIMUM, Locale, Status
from services.auth.domain.kyc import KycStatus
from services.auth.domain.profiles import LANGUAGES_MAXIMUM, SKILLS_MAXIMUM
from services.auth.domain.tokens import Purpose
from services.auth.models.metadata import metadata, one_of

user_account = Table(
    "user_account",
    metadata,
    id_column(),
    Column("email", Text, nullable=False, unique=True),
    Column("display_name", Text, nullable=False),
    Column("bio", Text),
    Column("locale", Text, nullable=False),
    Column("wallet_address", Text),
    Column("skills", ARRAY(Text), nullable=False),
    Column("languages", ARRAY(Text), nullable=False),
    Column("kyc_status", Text, nullable=False),
    Column("accredited", Boolean, nullable=False),
    # When the check and the accreditation cease, or ceased.
    timestamp("kyc_expires_at", nullable=True),
    Column("role", Text, nullable=False),
    Column("status", Text, nullable=False),
    timestamp("verified_at", nullable=True),
    # Access tokens issued before this whole second are void; so is a token whose `iat` would be smaller.
    timestamp("tokens_not_before", nullable=True),
    timestamp("created_at"),
    Column("version", Integer, nullable=False),
    one_of("locale", Locale),
    one_of("role", Role),
    one_of("status", Status),
    CheckConstraint("email = lower(email)", name="email_lower_case"),
    CheckConstraint(
        f"char_length(display_name) BETWEEN {DISPLAY_NAME_MINIMUM} AND {DISPLAY_NAME_MAXIMUM}", name="display_name_length"
    ),
    CheckConstraint(f"char_length(bio) <= {BIO_MAXIMUM}", name="bio_length"),
    CheckConstraint("wallet_address ~ '^0x[0-9a-fA-F]{40}$'", name="wallet_address_shape"),
    CheckConstraint(f"cardinality(skills) <= {SKILLS_MAXIMUM}", name="skills_count"),
    CheckConstraint(f"cardinality(languages) <= {LANGUAGES_MAXIMUM}", name="languages_count"),
    one_of("kyc_status", KycStatus),
    CheckConstraint("kyc_status = 'VERIFIED' OR NOT accredited", name="accredited_when_verified"),
    CheckConstraint("(kyc_status IN ('VERIFIED', 'EXPIRED')) = (kyc_expires_at IS NOT NULL)", name="kyc_expires"),
    Index(None, "role"),
    Index("ix_user_account_kyc_verified", "kyc_expires_at", postgresql_where=text("kyc_status = 'VERIFIED'")),
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
    one_of("purpose", Purpose),
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

login_failure = Table(
    "login_failure",
    metadata,
    # A keyed hash of the address, known or not: the table says nothing about who has an account.
    Column("address_key", LargeBinary, primary_key=True),
    Column("failures", Integer, nullable=False),
    timestamp("last_failed_at", nullable=True, index=True),
    timestamp("locked_until", nullable=True),
)
