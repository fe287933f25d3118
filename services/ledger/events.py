"""What the ledger tells the others. Of itself the log tells only that it was restored: its checkpoints are public anyway."""

from datetime import datetime
from uuid import UUID

from libs.common.events import Event
from libs.common.events.audited import AuditEvent


class AuditRecorded(AuditEvent, type="ledger.audit.recorded", version=1, aggregate="audit_id"):
    """Somebody did something of consequence in the ledger."""


class LogResumed(Event, type="ledger.log.resumed", version=1, aggregate="restoration_id", since="0.1.0"):
    """The log goes on after its database was restored from a backup. This event is a leaf of the log itself."""

    restoration_id: UUID
    """The restoration."""
    restored_at: datetime
    """When the database was restored."""
    origin: str
    """The name under which the log goes on."""
    previous_origin: str
    """The name that the log had before; another one when leaves were lost that it had signed."""
    size: int
    """How many leaves the restored log holds; the tree over them is the beginning of both logs."""
    root_hash: str
    """Root hash of that tree, base64."""
    published_size: int | None
    """Size of the newest checkpoint of the previous name that is known; null when none is."""
    published_root_hash: str | None
    """Its root hash, base64."""
    lost_from: int | None
    """First index of the leaves that the previous name had signed and that are lost; null when none are known to be."""
    lost_to: int | None
    """Last index of them."""
    statement: str
    """What the operator says of it."""
