"""HTTP doors of uploads and files."""

from collections.abc import Mapping
from typing import BinaryIO
from uuid import UUID

from libs.common.auth.policy import PUBLIC, SIGNED_IN, Rate, Scope, Subject
from libs.common.db import Database, Reader, Transaction
from libs.common.http import Created, NoContent, RawBody, Redirect, RequestInfo, Routes, Streaming, Tagged
from services.media import use_cases
from services.media.domain.addresses import AddressExpired, AddressRefused
from services.media.domain.disposition import attachment
from services.media.domain.kinds import ALL_MEDIA_TYPES, SIZE_MAX
from services.media.domain.ranges import FileSlice, RangeOutsideFile, slice_of
from services.media.domain.storage import ContentOverrun, ContentShort, ReceivingStorage, Storage, StorageAway
from services.media.domain.transfers import Transfer, Transfers
from services.media.domain.uploads import Upload
from services.media.schemas import AddressToken, Completed, Media, NewUpload, Received, UploadOpened

RECEIVE_SECONDS = 3600
"""The longest that one file may take to arrive: as long as its address holds."""
CHECK_SECONDS = 60
"""500 MB are read and hashed well within this."""

routes = Routes("media")


@routes.post("/uploads", allow=SIGNED_IN, scope=Scope.MEDIA_WRITE, rate=Rate.WRITE, status=201)
def open_upload(body: NewUpload, subject: Subject, tx: Transaction, storage: Storage) -> Created[UploadOpened]:
    """Announce a file and get the one-time address to send it to.

    The address takes one file of exactly this size and type until it expires. An upload that breaks off may be repeated at the
    same address; once the file has arrived whole, the address is used up. Then complete the upload.
    """
    upload, address = use_cases.open_upload(tx, storage, subject.id, body.declaration())
    return Created(UploadOpened.of(upload.id, address), f"/api/v1/media/{upload.id}")


@routes.put(
    "/uploads/<media_id>/content",
    allow=PUBLIC,
    rate=Rate.UPLOAD,
    body_limit=SIZE_MAX,
    timeout=RECEIVE_SECONDS,
    stream=True,
    consumes=ALL_MEDIA_TYPES,
    refuses=(AddressRefused, AddressExpired),
)
def receive_upload(
    media_id: UUID,
    query: AddressToken,
    content: RawBody,
    database: Database,
    storage: ReceivingStorage,
    transfers: Transfers,
) -> Received:
    """Send the bytes of a file to its signed address: the signature is the permission."""
    body = use_cases.Body(content.media_type, content.length, content.stream.read)
    receipt = use_cases.receive_upload(database, storage, transfers, media_id, query.token, body)
    return Received(media_id=media_id, size=receipt.size, sha256=receipt.sha256)


@routes.post(
    "/uploads/<media_id>/complete",
    allow=SIGNED_IN,
    scope=Scope.MEDIA_WRITE,
    rate=Rate.WRITE,
    timeout=CHECK_SECONDS,
    refuses=(ContentOverrun, ContentShort, StorageAway),
)
def complete_upload(media_id: UUID, subject: Subject, database: Database, storage: Storage) -> Completed:
    """Have an uploaded file checked: size, SHA-256 and type by content, against what was announced.

    The verdict falls once; completing again answers the same. The bytes of a rejected file are deleted. While the storage of
    files is away, the answer is 503: complete again later, the file that was sent is still there.
    """
    return Completed.of(use_cases.complete_upload(database, storage, media_id, subject.id))


@routes.get("/media/<media_id>", allow=SIGNED_IN, scope=Scope.MEDIA_READ)
def read_media(media_id: UUID, subject: Subject, db: Reader) -> Tagged[Media]:
    """One file: what was announced, what arrived, and the verdict."""
    upload = use_cases.visible_upload(db, media_id, subject)
    return Tagged(Media.of(upload), upload.version)


@routes.get("/media/<media_id>/content", allow=SIGNED_IN, scope=Scope.MEDIA_READ)
def read_content(media_id: UUID, subject: Subject, tx: Transaction, storage: Storage) -> Redirect:
    """Go to a short-lived signed address of the file's bytes."""
    return Redirect(use_cases.grant_download(tx, storage, media_id, subject).url)


@routes.get(
    "/media/<media_id>/download",
    allow=PUBLIC,
    rate=Rate.PUBLIC,
    timeout=RECEIVE_SECONDS,
    refuses=(AddressRefused, AddressExpired, RangeOutsideFile),
)
def download(
    media_id: UUID, query: AddressToken, request: RequestInfo, db: Reader, storage: ReceivingStorage, transfers: Transfers
) -> Streaming:
    """The bytes of a file by its signed address; a single byte range may be asked for (RFC 9110 section 14)."""
    upload, file, transfer = use_cases.open_download(db, storage, transfers, media_id, query.token)
    return _file_answer(upload, file, transfer, request.headers)


@routes.delete("/media/<media_id>", allow=SIGNED_IN, scope=Scope.MEDIA_WRITE)
def delete_media(media_id: UUID, subject: Subject, tx: Transaction, storage: Storage) -> NoContent:
    """Delete a file, or give up an upload. What was handed in for a task stays."""
    use_cases.delete_media(tx, storage, media_id, subject)
    return NoContent()


def _file_answer(upload: Upload, file: BinaryIO, transfer: Transfer, headers: Mapping[str, str]) -> Streaming:
    """The file or the part asked for. Never shown in place: a browser saves it, whatever it thinks the bytes are."""
    tag = f'"{upload.receipt.sha256}"' if upload.receipt else '""'
    # A range of another version of the file would be mixed with this one (RFC 9110 section 13.1.5).
    same = headers.get("If-Range", tag) == tag
    try:
        part = slice_of(headers.get("Range") if same else None, upload.declared.size)
    except RangeOutsideFile:
        file.close()
        transfer.end()
        raise
    answered = {
        "Accept-Ranges": "bytes",
        "Content-Disposition": attachment(upload.declared.filename),
        "Content-Length": str(part.length),
        "Content-Security-Policy": "sandbox",
        "ETag": tag,
        **({} if part.whole else {"Content-Range": part.content_range(upload.declared.size)}),
    }
    return Streaming(FileSlice(file, part, transfer), upload.declared.content_type, answered, status=200 if part.whole else 206)
