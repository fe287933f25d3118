"""What every service publishes of an administrative or security-relevant act."""

from datetime import datetime
from uuid import UUID

from libs.common.events.envelope import Event


class AuditEvent(Event):
    """Fields of every `<service>.audit.recorded`. The details stay in the service's row; only their digest travels."""

    audit_id: UUID
    actor_id: UUID | None
    roles: str
    action: str
    entity: str
    entity_id: str
    outcome: str
    details_sha256: str
    occurred_at: datetime
