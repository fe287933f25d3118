"""The table of uploads and its constraints."""

from collections.abc import Iterable

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, Table, Text, text

from libs.common.db import id_column, new_metadata, timestamp
from services.media.domain.kinds import FILENAME_MAX, SIZE_MAX, SIZE_MIN, Category
from services.media.domain.uploads import OPEN, Rejection, Status

metadata = new_metadata("media")


def _one_of(column: str, values: Iterable[str]) -> str:
    listed = ", ".join(f"'{value}'" for value in values)
    return f"{column} IN ({listed})"


_OPEN = text(_one_of("status", sorted(OPEN)))


upload = Table(
    "upload",
    metadata,
    id_column(),
    id_column("owner_id", primary_key=False),
    Column("category", Text, nullable=False),
    Column("filename", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", Text),
    Column("purpose", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("storage_key", Text, unique=True),
    timestamp("lease_until", nullable=True),
    Column("received_size", BigInteger),
    Column("received_sha256", Text),
    Column("rejection", Text),
    timestamp("submitted_at", nullable=True),
    timestamp("created_at"),
    timestamp("expires_at"),
    timestamp("updated_at"),
    Column("version", Integer, nullable=False),
    CheckConstraint(_one_of("category", Category), name="category_known"),
    CheckConstraint(_one_of("status", Status), name="status_known"),
    CheckConstraint(_one_of("rejection", Rejection), name="rejection_known"),
    CheckConstraint(f"size BETWEEN {SIZE_MIN} AND {SIZE_MAX}", name="size_allowed"),
    CheckConstraint(f"char_length(filename) BETWEEN 1 AND {FILENAME_MAX}", name="filename_allowed"),
    CheckConstraint("sha256 ~ '^[0-9a-f]{64}$' AND received_sha256 ~ '^[0-9a-f]{64}$'", name="sha256_hexadecimal"),
    CheckConstraint("status <> 'REJECTED' OR rejection IS NOT NULL", name="rejection_has_reason"),
    CheckConstraint("status NOT IN ('RECEIVED', 'READY') OR received_sha256 IS NOT NULL", name="received_is_measured"),
    CheckConstraint("status <> 'UPLOADING' OR (storage_key IS NOT NULL AND lease_until IS NOT NULL)", name="sender_is_known"),
    # The limit of open uploads is counted on every new one; expiry looks only at open ones.
    Index("ix_upload_open_by_owner", "owner_id", postgresql_where=_OPEN),
    Index("ix_upload_open_by_expiry", "expires_at", postgresql_where=_OPEN),
)
