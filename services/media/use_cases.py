"""The verbs of uploads. Bytes are moved and read outside every transaction; rows and facts leave together."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import BinaryIO
from uuid import UUID

from sqlalchemy import Update, and_, bindparam, func, insert, or_, select, update

from libs.common import clock, ids
from libs.common.auth.policy import Role, Subject
from libs.common.db import Database, Reader, Transaction
from services.media import queries
from services.media.domain import uploads as rules
from services.media.domain.addresses import DOWNLOAD_ADDRESS_SECONDS, AddressRefused, Door
from services.media.domain.content import Inspection, inspect
from services.media.domain.storage import (
    CHUNK_BYTES,
    Address,
    Landing,
    ObjectMissing,
    Receipt,
    ReceivingStorage,
    Storage,
    StorageAway,
    StorageKey,
)
from services.media.domain.transfers import Transfer, Transfers
from services.media.domain.uploads import OPEN, Declaration, Status, Upload
from services.media.events import ObjectDeleted, UploadRejected
from services.media.models import upload as table

SWEEP_BATCH = 500
"""Rows or files that one step of the sweeper deals with."""


@dataclass(frozen=True, slots=True)
class Body:
    """What a client sends to an address: the declared length is None when it sends in chunks (RFC 9112 section 7.1)."""

    content_type: str
    length: int | None
    read: Callable[[int], bytes]


_INSERT = insert(table)
# One person's promises are counted one at a time, so that two at once cannot both take the last place.
_LOCK_OWNER = select(func.pg_advisory_xact_lock(func.hashtextextended(bindparam("owner"), 0)))


def _change(*conditions: object, **values: object) -> Update:
    """A conditional change of one upload: what it needs, what it sets."""
    changed = {"updated_at": bindparam("now"), "version": table.c.version + 1, **values}
    return update(table).where(table.c.id == bindparam("upload_id"), *conditions).values(changed).returning(table)  # type: ignore[arg-type]


_HELD_BY_SENDER = and_(table.c.status == Status.UPLOADING, table.c.storage_key == bindparam("key"))
_CLAIM = _change(
    or_(table.c.status == Status.PENDING, and_(table.c.status == Status.UPLOADING, table.c.lease_until < bindparam("now"))),
    status=Status.UPLOADING,
    storage_key=bindparam("new_key"),
    lease_until=bindparam("lease"),
)
_RENEW = _change(_HELD_BY_SENDER, lease_until=bindparam("lease"))
_RECEIVE = _change(
    _HELD_BY_SENDER,
    status=Status.RECEIVED,
    lease_until=None,
    received_size=bindparam("received"),
    received_sha256=bindparam("digest"),
)
_RELEASE = _change(_HELD_BY_SENDER, status=Status.PENDING, lease_until=None, storage_key=None)
_DECIDE = _change(
    table.c.status == Status.RECEIVED,
    table.c.storage_key == bindparam("key"),
    status=bindparam("outcome"),
    rejection=bindparam("reason"),
)
_DELETE = _change(
    table.c.status.in_(sorted(rules.states_before(Status.DELETED))),
    table.c.version == bindparam("known"),
    status=Status.DELETED,
    lease_until=None,
)
_SUBMIT = (
    update(table)
    .where(
        table.c.id.in_(bindparam("media_ids", expanding=True)),
        table.c.owner_id == bindparam("contributor_id"),
        table.c.submitted_at.is_(None),
    )
    .values(submitted_at=bindparam("now"), updated_at=bindparam("now"), version=table.c.version + 1)
)
# Materialised, because Postgres may run a limited sub-select of an UPDATE again for each row, and change more than the limit.
_OVERDUE = (
    select(table.c.id)
    .where(
        table.c.status.in_(sorted(OPEN)),
        table.c.expires_at < bindparam("now"),
        or_(table.c.status != Status.UPLOADING, table.c.lease_until < bindparam("now")),
        or_(table.c.status != Status.RECEIVED, table.c.expires_at < bindparam("kept")),
    )
    .limit(SWEEP_BATCH)
    .with_for_update(skip_locked=True)
    .cte("overdue")
    .prefix_with("MATERIALIZED")
)
_EXPIRE = (
    update(table)
    .where(table.c.id == _OVERDUE.c.id)
    .values(status=Status.EXPIRED, lease_until=None, updated_at=bindparam("now"), version=table.c.version + 1)
    .returning(table.c.storage_key)
)


def open_upload(tx: Transaction, storage: Storage, owner_id: UUID, declared: Declaration) -> tuple[Upload, Address]:
    """Note what a client promises to send and give it the address. Raises TooManyPendingUploads."""
    tx.execute(_LOCK_OWNER, {"owner": str(owner_id)})
    rules.check_room(queries.open_uploads_of(tx, owner_id))
    opened = Upload(ids.new_id(), owner_id, declared, Status.PENDING, tx.now, rules.expiry(tx.now), version=1)
    row = {
        "id": opened.id,
        "owner_id": owner_id,
        "category": declared.category,
        "filename": declared.filename,
        "content_type": declared.content_type,
        "size": declared.size,
        "sha256": declared.sha256,
        "purpose": declared.purpose,
        "status": opened.status,
        "created_at": tx.now,
        "updated_at": tx.now,
        "expires_at": opened.expires_at,
        "version": opened.version,
    }
    tx.execute(_INSERT, row)
    return opened, storage.upload_address(opened.facts, opened.expires_at)


def receive_upload(
    database: Database, storage: ReceivingStorage, transfers: Transfers, media_id: UUID, token: str, body: Body
) -> Receipt:
    """Take the bytes that a signed address permits. A broken upload leaves nothing behind and frees the address again.

    Raises AddressRefused, AddressExpired, ContentTypeDiffers, ContentOverrun, ContentShort, UploadInProgress,
    UploadAlreadyReceived, StorageFull, TooManyTransfers, TransfersBusy.
    """
    with database.transaction() as tx:
        key = _claim(tx, storage, media_id, token, body)
        claimed = queries.upload_by_id(tx, media_id)
    try:
        with transfers.begin(claimed.owner_id):
            receipt = storage.write(key, _chunks(database, media_id, key, body.read), claimed.declared.size)
        with database.transaction() as tx:
            _receive(tx, media_id, key, receipt)
    except BaseException:
        _release(database, storage, media_id, key)
        raise
    return receipt


def _claim(tx: Transaction, storage: ReceivingStorage, media_id: UUID, token: str, body: Body) -> StorageKey:
    """Take the address for one sender. The new key is also the proof of holding it: a sender overtaken holds an old one."""
    try:
        known = queries.upload_by_id(tx, media_id)
    except rules.MediaNotFound:
        raise AddressRefused("This address does not hold. Ask for a new one.") from None
    storage.check(token, known.grant(Door.UPLOAD), tx.now)
    rules.check_content_type(body.content_type, known.declared.content_type)
    rules.check_length(body.length, known.declared.size)
    key = StorageKey(ids.random_token())
    _take(tx, media_id, key)
    return key


def _take(tx: Transaction, media_id: UUID, key: StorageKey) -> None:
    values = {"upload_id": media_id, "now": tx.now, "new_key": key, "lease": _lease(tx.now)}
    if tx.first(_CLAIM, values) is None:
        raise rules.refuse_claim(queries.upload_by_id(tx, media_id))


def _receive(tx: Transaction, media_id: UUID, key: StorageKey, receipt: Receipt) -> None:
    values = {"upload_id": media_id, "key": key, "now": tx.now, "received": receipt.size, "digest": receipt.sha256}
    if tx.first(_RECEIVE, values) is None:
        raise rules.refuse_claim(queries.upload_by_id(tx, media_id))


def _release(database: Database, storage: Storage, media_id: UUID, key: StorageKey) -> None:
    """Free the address. The bytes go too, unless the row has taken them after all: a commit may succeed unheard."""
    with database.transaction() as tx:
        tx.execute(_RELEASE, {"upload_id": media_id, "key": key, "now": tx.now})
        if not queries.keys_in_use(tx, [key]):
            _delete_after_commit(tx, storage, key)


def _chunks(database: Database, media_id: UUID, key: StorageKey, read: Callable[[int], bytes]) -> Iterator[bytes]:
    """The body in pieces; while they come, the sender's hold on the address is renewed."""
    renewed = clock.monotonic()
    while chunk := read(CHUNK_BYTES):
        if clock.monotonic() - renewed > rules.LEASE_RENEWED_SECONDS:
            _renew(database, media_id, key)
            renewed = clock.monotonic()
        yield chunk


def _renew(database: Database, media_id: UUID, key: StorageKey) -> None:
    with database.transaction() as tx:
        if tx.first(_RENEW, {"upload_id": media_id, "key": key, "now": tx.now, "lease": _lease(tx.now)}) is None:
            raise rules.UploadInProgress("Another sender has taken this address over.")


def _lease(now: datetime) -> datetime:
    return now + timedelta(seconds=rules.LEASE_SECONDS)


def complete_upload(database: Database, storage: Storage, media_id: UUID, owner_id: UUID) -> Upload:
    """Check what arrived against what was promised and decide, once. Completing again answers the same.

    Raises MediaNotFound, UploadNotReceived, UploadInProgress, ContentOverrun, ContentShort, StorageAway.
    """
    with database.reader() as db:
        known = queries.upload_by_id(db, media_id).visible_to(owner_id, is_administrator=False)
    landing = storage.landing(known.facts) if known.status in rules.NOT_RECEIVED else None
    if landing is not None:
        return _collect(database, storage, known, landing)
    if known.status is not Status.RECEIVED:
        return rules.decided(known)
    found = _inspect(storage, known)
    with database.transaction() as tx:
        return _decide(tx, storage, known, found)


def _collect(database: Database, storage: Storage, known: Upload, landing: Landing) -> Upload:
    """Take what was sent straight to the storage out of its sender's reach, then decide on it.

    Whoever completes holds the upload meanwhile, as a sender does; when it breaks off, the file stays where it arrived.
    """
    with database.transaction() as tx:
        _take(tx, known.id, landing.key)
    try:
        storage.collect(landing, known.facts)
        found = inspect(_content(storage, landing.key, limit=known.declared.size), known.declared.content_type)
        with database.transaction() as tx:
            _receive(tx, known.id, landing.key, Receipt(found.size, found.sha256))
            decided = _decide(tx, storage, queries.upload_by_id(tx, known.id), found)
            _delete_after_commit(tx, storage, landing.arrival)
    except ObjectMissing:
        _release(database, storage, known.id, landing.key)
        raise rules.UploadNotReceived("No file has arrived. Send it to the address of the upload first.") from None
    except BaseException:
        _release(database, storage, known.id, landing.key)
        raise
    return decided


def _inspect(storage: Storage, upload: Upload) -> Inspection | None:
    try:
        return inspect(_content(storage, _key(upload), limit=upload.declared.size), upload.declared.content_type)
    except ObjectMissing:
        return None


def _content(storage: Storage, key: StorageKey, *, limit: int) -> Iterator[bytes]:
    """What is stored, in pieces, until it is longer than `limit`: then it is too long, whatever follows."""
    read = 0
    with storage.open(key) as file:
        while read <= limit and (chunk := file.read(CHUNK_BYTES)):
            read += len(chunk)
            yield chunk


def _decide(tx: Transaction, storage: Storage, known: Upload, found: Inspection | None) -> Upload:
    rejection = rules.verdict(known, found)
    outcome = Status.REJECTED if rejection else Status.READY
    values = {"upload_id": known.id, "key": known.storage_key, "now": tx.now, "outcome": outcome, "reason": rejection}
    row = tx.first(_DECIDE, values)
    if row is None:
        # Somebody else decided, deleted or expired it in the meantime: their outcome stands.
        return rules.decided(queries.upload_by_id(tx, known.id).visible_to(known.owner_id, is_administrator=False))
    decided = queries.as_upload(row)
    if rejection:
        tx.publish(UploadRejected(media_id=known.id, owner_id=known.owner_id, reason=rejection.value))
        _delete_after_commit(tx, storage, known.storage_key)
    else:
        tx.publish(rules.completed(decided))
    return decided


def grant_download(tx: Transaction, storage: Storage, media_id: UUID, reader: Subject) -> Address:
    """A short-lived address of a file that passed its checks. An administrator who reads another's file leaves a record.

    Raises MediaNotFound, MediaNotReady.
    """
    upload = visible_upload(tx, media_id, reader)
    rules.check_ready(upload)
    if reader.id != upload.owner_id:
        tx.audit("media.read", "upload", media_id, details={"owner_id": str(upload.owner_id)})
    return storage.download_address(_key(upload), upload.facts, tx.now + timedelta(seconds=DOWNLOAD_ADDRESS_SECONDS))


def open_download(
    db: Reader, storage: ReceivingStorage, transfers: Transfers, media_id: UUID, token: str
) -> tuple[Upload, BinaryIO, Transfer]:
    """The file that a signed address gives, open for reading: the caller closes it and ends the transfer.

    Raises AddressRefused, AddressExpired, MediaNotFound, TooManyTransfers, TransfersBusy.
    """
    try:
        upload = queries.upload_by_id(db, media_id)
    except rules.MediaNotFound:
        raise AddressRefused("This address does not hold. Ask for a new one.") from None
    storage.check(token, upload.grant(Door.DOWNLOAD), clock.now())
    if upload.status is not Status.READY:
        raise rules.MediaNotFound("This file has been deleted.")
    transfer = transfers.begin(upload.owner_id)
    return upload, storage.open(_key(upload)), transfer


def visible_upload(db: Reader, media_id: UUID, reader: Subject) -> Upload:
    """One upload, for its owner or an administrator. Raises MediaNotFound."""
    return queries.upload_by_id(db, media_id).visible_to(reader.id, is_administrator=reader.has(Role.ADMIN))


def delete_media(tx: Transaction, storage: Storage, media_id: UUID, reader: Subject) -> None:
    """Remove a file, or give up an upload. Raises MediaNotFound, MediaSubmitted, MediaChanged."""
    upload = visible_upload(tx, media_id, reader)
    rules.check_deletable(upload)
    if tx.first(_DELETE, {"upload_id": media_id, "known": upload.version, "now": tx.now}) is None:
        raise rules.MediaChanged("The file changed at this moment. Try again.")
    by_owner = reader.id == upload.owner_id
    if not by_owner:
        tx.audit("media.delete", "upload", media_id, details={"owner_id": str(upload.owner_id)})
    if upload.status is Status.READY:
        tx.publish(ObjectDeleted(media_id=media_id, owner_id=upload.owner_id, reason="OWNER" if by_owner else "ADMINISTRATOR"))
    _delete_after_commit(tx, storage, upload.storage_key)
    landing = storage.landing(upload.facts) if upload.status in rules.NOT_RECEIVED else None
    _delete_after_commit(tx, storage, landing.arrival if landing else None)


def keep_submitted(tx: Transaction, media_ids: Iterable[UUID], contributor_id: UUID) -> None:
    """Note that files of this person were handed in for a task."""
    tx.execute(_SUBMIT, {"media_ids": list(media_ids), "contributor_id": contributor_id, "now": tx.now})


def expire_uploads(tx: Transaction, storage: Storage) -> int:
    """End the uploads whose time is over; returns how many."""
    rows = tx.all(_EXPIRE, {"now": tx.now, "kept": tx.now - rules.RECEIVED_KEPT})
    for row in rows:
        _delete_after_commit(tx, storage, row.storage_key)
    return len(rows)


def delete_orphans(database: Database, storage: Storage) -> int:
    """Remove bytes that no row needs: left by a crash between a commit and a deletion, or in the middle of an upload."""
    deleted = 0
    keys = storage.idle_since(clock.now() - rules.ORPHAN_AGE)
    while batch := [key for _, key in zip(range(SWEEP_BATCH), keys, strict=False)]:
        with database.reader() as db:
            needed = queries.keys_in_use(db, batch)
        for key in batch:
            if key not in needed:
                storage.delete(key)
                deleted += 1
    return deleted


def _key(upload: Upload) -> StorageKey:
    if upload.storage_key is None:
        raise ObjectMissing("There are no bytes.")
    return upload.storage_key


def _delete_after_commit(tx: Transaction, storage: Storage, key: str | None) -> None:
    """Bytes go once their row says so; should the deletion fail, the sweeper finds them."""
    if key is not None:

        def delete() -> None:
            with suppress(OSError, StorageAway):
                storage.delete(StorageKey(key))

        tx.after_commit(delete)
