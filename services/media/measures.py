"""What media measures of itself: where uploads stand, and how much they hold."""

from prometheus_client import Gauge

from libs.common.db import Reader
from libs.common.measures import measure
from services.media import queries
from services.media.domain.uploads import Status

UPLOADS = Gauge("lumiere_uploads", "Uploads by status", ["status"])
BYTES = Gauge("lumiere_upload_bytes", "Bytes that were received for them", ["status"])


@measure(seconds=60)
def uploads(db: Reader) -> None:
    """How many uploads stand where."""
    found = {row.status: row for row in queries.uploads_by_status(db)}
    for status in Status:
        row = found.get(status)
        UPLOADS.labels(status).set(row.uploads if row else 0)
        BYTES.labels(status).set(int(row.bytes or 0) if row else 0)
