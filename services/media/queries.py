"""Every question that the service asks its table."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, func, select

from libs.common.db import Reader
from services.media.domain.kinds import Category
from services.media.domain.storage import Receipt, StorageKey
from services.media.domain.uploads import OPEN, Declaration, MediaNotFound, Rejection, Status, Upload
from services.media.models import upload

_BY_ID = select(upload).where(upload.c.id == bindparam("id"))
_OPEN_COUNT = (
    select(func.count())
    .select_from(upload)
    .where(upload.c.owner_id == bindparam("owner_id"), upload.c.status.in_(sorted(OPEN)))
)
_LIVE_KEYS = select(upload.c.storage_key).where(
    upload.c.storage_key.in_(bindparam("keys", expanding=True)),
    upload.c.status.in_(sorted({Status.UPLOADING, Status.RECEIVED, Status.READY})),
)

_BY_STATUS = select(upload.c.status, func.count().label("uploads"), func.sum(upload.c.received_size).label("bytes")).group_by(
    upload.c.status
)


def uploads_by_status(db: Reader) -> list[Row[Any]]:
    """`status`, `uploads` and the `bytes` that were received for them."""
    return db.all(_BY_STATUS)


def upload_by_id(db: Reader, media_id: UUID) -> Upload:
    """One upload. Raises MediaNotFound."""
    row = db.first(_BY_ID, {"id": media_id})
    if row is None:
        raise MediaNotFound("There is no such file.")
    return as_upload(row)


def open_uploads_of(db: Reader, owner_id: UUID) -> int:
    """How many uploads the person has promised and not completed."""
    return int(db.scalar(_OPEN_COUNT, {"owner_id": owner_id}))


def keys_in_use(db: Reader, keys: list[StorageKey]) -> set[StorageKey]:
    """Those of the keys whose bytes a row still needs."""
    return {row.storage_key for row in db.all(_LIVE_KEYS, {"keys": keys})}


def as_upload(row: Row[Any]) -> Upload:
    """The row as the domain sees it."""
    declared = Declaration(Category(row.category), row.filename, row.content_type, row.size, row.sha256, row.purpose)
    return Upload(
        id=row.id,
        owner_id=row.owner_id,
        declared=declared,
        status=Status(row.status),
        created_at=row.created_at,
        expires_at=row.expires_at,
        version=row.version,
        storage_key=StorageKey(row.storage_key) if row.storage_key else None,
        receipt=Receipt(row.received_size, row.received_sha256) if row.received_sha256 else None,
        rejection=Rejection(row.rejection) if row.rejection else None,
        submitted_at=row.submitted_at,
    )
