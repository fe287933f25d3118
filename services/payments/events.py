"""What payments tells the others: payables opened, Lumens moved."""

from uuid import UUID

from libs.common.events import Event
from libs.common.events.audited import AuditEvent
from libs.common.money import Money


class PaymentCreated(Event, type="payments.payment.created", version=1, aggregate="payment_id"):
    """A contributor is owed money for a validated task."""

    payment_id: UUID
    task_id: UUID
    contributor_id: UUID
    amount: Money


class LumensChanged(Event, type="payments.lumens.changed", version=1, aggregate="user_id"):
    """An entry was booked on a person's Lumens account.

    `amount` is signed and in whole Lumens; `balance_after` is the balance that this entry left behind.
    """

    user_id: UUID
    entry_id: UUID
    amount: int
    reason: str
    reference_id: UUID
    balance_after: int


class AuditRecorded(AuditEvent, type="payments.audit.recorded", version=1, aggregate="audit_id"):
    """An administrative act in payments."""
