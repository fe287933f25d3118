"""What the media service tells the others: what became of each upload. Additive only; one golden file each."""

from uuid import UUID

from libs.common.events import Event
from libs.common.events.audited import AuditEvent


class UploadCompleted(Event, type="media.upload.completed", version=1, aggregate="media_id"):
    """A file arrived whole and is what it was declared to be: it may be handed in and read."""

    media_id: UUID
    """The file."""
    owner_id: UUID
    """The user whose file it is."""
    category: str
    """VIDEO, IMAGE, DOCUMENT, SUBTITLE or AUDIO."""
    mime: str
    """Its media type, found by its content."""
    size: int
    """Bytes."""
    sha256: str
    """Of the file's bytes, 64 lower-case hexadecimal digits."""
    purpose: str
    """What the file was uploaded for."""


class UploadRejected(Event, type="media.upload.rejected", version=1, aggregate="media_id"):
    """A file is not what it was declared to be: its bytes are gone and will not come back."""

    media_id: UUID
    """The file."""
    owner_id: UUID
    """The user whose file it is."""
    reason: str
    """One of the names of `domain.Rejection`."""


class ObjectDeleted(Event, type="media.object.deleted", version=1, aggregate="media_id"):
    """A file that was ready has been deleted and can no longer be read."""

    media_id: UUID
    """The file."""
    owner_id: UUID
    """The user whose file it is."""
    reason: str
    """OWNER or ADMINISTRATOR: who asked for it."""


class AuditRecorded(AuditEvent, type="media.audit.recorded", version=1, aggregate="audit_id"):
    """An administrator read or deleted somebody else's file."""
