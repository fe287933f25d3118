"""What notify tells the others: a message that could not be delivered."""

from uuid import UUID

from libs.common.events import Event
from libs.common.events.audited import AuditEvent


class DeliveryFailed(Event, type="notify.delivery.failed", version=1, aggregate="notification_id"):
    """A message was given up after its last attempt, or could never have been sent.

    `error_class` names the kind of failure, never an address or any content.
    """

    notification_id: UUID
    """The message."""
    channel: str
    """How it was to be delivered, such as EMAIL."""
    attempts: int
    """How often delivery was tried."""
    error_class: str
    """The kind of failure."""


class AuditRecorded(AuditEvent, type="notify.audit.recorded", version=1, aggregate="audit_id"):
    """An administrative act in notify."""
