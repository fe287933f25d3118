"""What production listens to: the fate of uploads."""

from libs.common.db import Transaction
from libs.common.events import on
from services.media.events import ObjectDeleted, UploadCompleted, UploadRejected
from services.tasks.domain.review import Media
from services.tasks.domain.values import MediaId, UserId
from services.tasks.use_cases import media


@on(UploadCompleted)
def upload_completed(event: UploadCompleted, tx: Transaction) -> None:
    """A file may be handed in."""
    owner_id = UserId(event.owner_id)
    media.remember_upload(tx, Media(MediaId(event.media_id), owner_id, True, event.sha256, event.mime, event.size))


@on(UploadRejected)
def upload_rejected(event: UploadRejected, tx: Transaction) -> None:
    """A file was refused."""
    media.withdraw_upload(tx, MediaId(event.media_id), UserId(event.owner_id))


@on(ObjectDeleted)
def object_deleted(event: ObjectDeleted, tx: Transaction) -> None:
    """A file is gone."""
    media.withdraw_upload(tx, MediaId(event.media_id), UserId(event.owner_id))
