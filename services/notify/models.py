"""The tables of notify: people, their notices, e-mails on their way. Personal values are sealed at rest."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, LargeBinary, Table, Text, UniqueConstraint, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from libs.common.db import id_column, new_metadata, timestamp
from services.notify.domain import EmailStatus

metadata = new_metadata("notify")

person = Table(
    "person",
    metadata,
    id_column("user_id"),
    Column("email_sealed", LargeBinary, nullable=False),
    Column("display_name_sealed", LargeBinary, nullable=False),
    Column("locale", Text, nullable=False),
    timestamp("updated_at"),
)

# A person's notices are numbered without a gap. The number is taken under a lock that is held until the commit, so what
# a stream reads after its last number misses nothing that was committed late.
notice_sequence = Table(
    "notice_sequence",
    metadata,
    id_column("user_id"),
    Column("last_position", BigInteger, nullable=False),
)

notice = Table(
    "notice",
    metadata,
    id_column(),
    Column("user_id", Uuid, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("data", JSONB, nullable=False),
    Column("event_id", Uuid, nullable=False),
    timestamp("created_at"),
    timestamp("read_at", nullable=True),
    UniqueConstraint("user_id", "position"),
    UniqueConstraint("event_id", "user_id"),
    Index(None, "created_at"),
    Index("ix_notice_unread", "user_id", postgresql_where=text("read_at IS NULL")),
)

# `recipient_sealed` is empty where the person's own address is meant; both sealed values are wiped with the final status.
email = Table(
    "email",
    metadata,
    id_column(),
    Column("user_id", Uuid, nullable=False),
    Column("template", Text, nullable=False),
    Column("locale", Text, nullable=True),
    Column("recipient_sealed", LargeBinary, nullable=True),
    Column("variables_sealed", LargeBinary, nullable=True),
    Column("status", Text, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Column("error_class", Text, nullable=True),
    timestamp("requested_at"),
    timestamp("due_at"),
    timestamp("expires_at", nullable=True),
    timestamp("settled_at", nullable=True),
    CheckConstraint(f"status IN ({', '.join(repr(str(status)) for status in EmailStatus)})", name="status_known"),
    CheckConstraint(
        "status = 'QUEUED' OR (recipient_sealed IS NULL AND variables_sealed IS NULL AND settled_at IS NOT NULL)",
        name="settled_is_wiped",
    ),
    Index("ix_email_due", "due_at", postgresql_where=text("status = 'QUEUED'")),
)
