"""What notify tells the others: a message that could not be delivered."""

from uuid import UUID

from libs.common.events import Event
from libs.common.events.audited import AuditEvent


class DeliveryFailed(Event, type="notify.delivery.failed", version=1, aggregate="notification_id"):
    """A message was given up after its last attempt, or could never have been sent.

    `error_class` names the kind of failure, never an address or any content.
    """

    notification_id: UUID
    channel: str
    attempts: int
    error_class: str


class AuditRecorded(AuditEvent, type="notify.audit.recorded", version=1, aggregate="audit_id"):
    """An administrative act in notify."""
