"""What every service publishes of an administrative or security-relevant act."""

from datetime import datetime
from uuid import UUID

from libs.common.events.envelope import Event


class AuditEvent(Event, internal=True):
    """Fields of every `<service>.audit.recorded`. The details stay in the service's row; only their digest travels."""

    audit_id: UUID
    """The audit record."""
    actor_id: UUID | None
    """Who acted; null for the platform itself."""
    roles: str
    """The actor's roles then, separated by spaces."""
    action: str
    """What was done, such as film.create."""
    entity: str
    """The kind of thing that it was done to."""
    entity_id: str
    """Which one."""
    outcome: str
    """How it ended, such as done or refused."""
    details_sha256: str
    """SHA-256, in hexadecimal, of the details, which stay in the service."""
    occurred_at: datetime
    """When it happened."""
