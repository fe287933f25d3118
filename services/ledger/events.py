"""What the ledger tells the others. The log does not tell of itself: its checkpoints are public anyway."""

from libs.common.events.audited import AuditEvent


class AuditRecorded(AuditEvent, type="ledger.audit.recorded", version=1, aggregate="audit_id"):
    """Somebody did something of consequence in the ledger."""
