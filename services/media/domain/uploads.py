"""An upload from promise to verdict: its states, who may see it, and what the verdict is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Self
from uuid import UUID

from libs.common.errors import Conflict, NotFound, UnsupportedMediaType
from services.media.domain.addresses import UPLOAD_ADDRESS_SECONDS, Door, Grant
from services.media.domain.content import Inspection
from services.media.domain.kinds import Category
from services.media.domain.storage import ContentOverrun, ContentShort, FileFacts, Receipt, StorageKey
from services.media.events import UploadCompleted

PENDING_MAX = 20
"""Uploads that one person may have promised and not yet completed."""
LEASE_SECONDS = 120
"""How long an address stays taken by a sender of whom nothing more is heard; renewed while bytes come."""
LEASE_RENEWED_SECONDS = 30
"""How often a sender's hold on the address is renewed."""
RECEIVED_KEPT = timedelta(hours=24)
"""How long bytes wait for the client to complete the upload."""
ORPHAN_AGE = timedelta(hours=26)
"""Bytes that no row claims are removed after this; longer than any upload may take and wait."""


class MediaNotFound(NotFound):
    """No such file, or none that this person may see."""


class TooManyPendingUploads(Conflict):
    """The person has promised as many uploads as one may have open."""


class UploadInProgress(Conflict):
    """Somebody is sending to this address right now."""


class UploadAlreadyReceived(Conflict):
    """The address took its one file; it takes no second."""


class UploadNotReceived(Conflict):
    """There is nothing to complete: the bytes have not come, or came too late."""


class MediaNotReady(Conflict):
    """The file has not passed its checks, so nobody may read it."""


class MediaSubmitted(Conflict):
    """The file was handed in for a task: it is what was reviewed and paid for, and its digest is proved."""


class MediaChanged(Conflict):
    """The file changed between being looked at and being acted on."""


class ContentTypeDiffers(UnsupportedMediaType):
    """The bytes are sent under another type than the one declared."""


class Status(StrEnum):
    """Where an upload stands."""

    PENDING = "PENDING"
    UPLOADING = "UPLOADING"
    RECEIVED = "RECEIVED"
    READY = "READY"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    DELETED = "DELETED"


TRANSITIONS: Mapping[Status, frozenset[Status]] = MappingProxyType(
    {
        # A sender takes the address, then either all bytes come or the address is free again.
        Status.PENDING: frozenset({Status.UPLOADING, Status.EXPIRED, Status.DELETED}),
        Status.UPLOADING: frozenset({Status.UPLOADING, Status.PENDING, Status.RECEIVED, Status.EXPIRED, Status.DELETED}),
        Status.RECEIVED: frozenset({Status.READY, Status.REJECTED, Status.EXPIRED, Status.DELETED}),
        Status.READY: frozenset({Status.DELETED}),
        Status.REJECTED: frozenset({Status.DELETED}),
        Status.EXPIRED: frozenset(),
        Status.DELETED: frozenset(),
    }
)
OPEN = frozenset({Status.PENDING, Status.UPLOADING, Status.RECEIVED})
"""Counted against PENDING_MAX."""
NOT_RECEIVED = frozenset({Status.PENDING, Status.UPLOADING})
"""Nothing has been taken into keeping yet."""
GONE = frozenset({Status.EXPIRED, Status.DELETED})
"""Nobody sees these any more."""


def states_before(status: Status) -> frozenset[Status]:
    """The states from which this one may follow."""
    return frozenset(before for before, after in TRANSITIONS.items() if status in after)


class Rejection(StrEnum):
    """Why a file was refused."""

    MISSING = "MISSING"
    SIZE_MISMATCH = "SIZE_MISMATCH"
    CHECKSUM_MISMATCH = "CHECKSUM_MISMATCH"
    CORRUPTED = "CORRUPTED"
    TYPE_MISMATCH = "TYPE_MISMATCH"
    AMBIGUOUS_CONTENT = "AMBIGUOUS_CONTENT"

    @property
    def sentence(self) -> str:
        """What it means and what to do."""
        return _SENTENCES[self]


_SENTENCES = {
    Rejection.MISSING: "The file is no longer in storage. Begin a new upload.",
    Rejection.SIZE_MISMATCH: "The file has another size than declared. Begin a new upload with its true size.",
    Rejection.CHECKSUM_MISMATCH: "The SHA-256 of the file is not the one declared. Begin a new upload.",
    Rejection.CORRUPTED: "The stored bytes are not those that arrived. Begin a new upload.",
    Rejection.TYPE_MISMATCH: "The content is not of the declared type. Begin a new upload with its true type.",
    Rejection.AMBIGUOUS_CONTENT: "The file would also open as a page, a document or an archive. Export it again, then upload.",
}


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a client promises to send."""

    category: Category
    filename: str
    content_type: str
    size: int
    sha256: str | None
    purpose: str


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload as it stands."""

    id: UUID
    owner_id: UUID
    declared: Declaration
    status: Status
    created_at: datetime
    expires_at: datetime
    version: int
    storage_key: StorageKey | None = None
    receipt: Receipt | None = None
    rejection: Rejection | None = None
    submitted_at: datetime | None = None

    @property
    def facts(self) -> FileFacts:
        """What an address for this file is made from."""
        return FileFacts(self.id, self.owner_id, self.declared.size, self.declared.content_type, self.declared.filename)

    def grant(self, door: Door) -> Grant:
        """What an address of this file permits."""
        return Grant(door, self.id, self.declared.size, self.declared.content_type)

    def visible_to(self, user_id: UUID, *, is_administrator: bool) -> Self:
        """This upload, when the person is its owner or reviews the work of all. Raises MediaNotFound."""
        if self.status in GONE or not (is_administrator or user_id == self.owner_id):
            raise MediaNotFound("There is no such file.")
        return self


def expiry(now: datetime) -> datetime:
    """Until when an upload promised now may be sent: whole seconds, as its address says."""
    return now.replace(microsecond=0) + timedelta(seconds=UPLOAD_ADDRESS_SECONDS)


def check_room(open_uploads: int) -> None:
    """Raises TooManyPendingUploads when the person has none left to promise."""
    if open_uploads >= PENDING_MAX:
        raise TooManyPendingUploads(f"You have {PENDING_MAX} uploads open. Complete or delete one first.", limit=PENDING_MAX)


def check_content_type(sent: str, declared: str) -> None:
    """Raises ContentTypeDiffers unless the bytes come under the declared type; parameters such as charset do not count."""
    if sent.partition(";")[0].strip().lower() != declared:
        raise ContentTypeDiffers(f"Send this file as {declared}, as declared.")


def check_length(sent: int | None, declared: int) -> None:
    """Refuse a body that says beforehand that it is not as long as declared. Raises ContentOverrun, ContentShort."""
    if sent is not None and sent > declared:
        raise ContentOverrun(f"This address takes {declared} bytes, as declared.")
    if sent is not None and sent < declared:
        raise ContentShort(f"This address takes {declared} bytes, as declared. Send the whole file.")


def check_ready(upload: Upload) -> None:
    """Raises MediaNotReady unless the file passed its checks."""
    if upload.status is not Status.READY:
        raise MediaNotReady("This file has not passed its checks. Complete the upload first.")


def check_deletable(upload: Upload) -> None:
    """Raises MediaSubmitted for work that was handed in."""
    if upload.submitted_at is not None:
        raise MediaSubmitted("This file was handed in for a task and stays as long as the task's records do.")


def decided(upload: Upload) -> Upload:
    """This upload, when the verdict on it has fallen. Raises UploadNotReceived."""
    if upload.status not in {Status.READY, Status.REJECTED}:
        raise UploadNotReceived("No file has arrived. Send it to the address of the upload first.")
    return upload


def refuse_claim(upload: Upload) -> Conflict:
    """Why an address with a good signature cannot be taken."""
    if upload.status in {Status.PENDING, Status.UPLOADING}:
        return UploadInProgress("This file is being sent already. Wait until that ends.")
    return UploadAlreadyReceived("This address has been used. Complete the upload, or begin a new one.")


def verdict(upload: Upload, found: Inspection | None) -> Rejection | None:
    """Why the stored bytes are not what was declared, or None when they are. `found` is None when there are none."""
    if found is None:
        return Rejection.MISSING
    declared = upload.declared
    faults = {
        Rejection.SIZE_MISMATCH: found.size != declared.size,
        Rejection.CHECKSUM_MISMATCH: declared.sha256 is not None and found.sha256 != declared.sha256,
        Rejection.CORRUPTED: upload.receipt is not None and found.sha256 != upload.receipt.sha256,
        Rejection.TYPE_MISMATCH: not found.is_declared_type,
        Rejection.AMBIGUOUS_CONTENT: not found.is_unambiguous,
    }
    return next((reason for reason, holds in faults.items() if holds), None)


def completed(upload: Upload) -> UploadCompleted:
    """The fact that this upload is what it was declared to be. Raises UploadNotReceived."""
    if upload.receipt is None:
        raise UploadNotReceived("No file has arrived. Send it to the address of the upload first.")
    return UploadCompleted(
        media_id=upload.id,
        owner_id=upload.owner_id,
        category=upload.declared.category.value,
        mime=upload.declared.content_type,
        size=upload.receipt.size,
        sha256=upload.receipt.sha256,
        purpose=upload.declared.purpose,
    )
