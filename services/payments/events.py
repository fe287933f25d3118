"""What payments tells the others: payables opened, Lumens moved."""

from uuid import UUID

from libs.common.events import Event
from libs.common.events.audited import AuditEvent
from libs.common.money import Money


class PaymentCreated(Event, type="payments.payment.created", version=1, aggregate="payment_id"):
    """A contributor is owed money for a validated task."""

    payment_id: UUID
    """The payment."""
    task_id: UUID
    """The task."""
    contributor_id: UUID
    """The user who is owed."""
    amount: Money
    """What is owed."""


class LumensChanged(Event, type="payments.lumens.changed", version=1, aggregate="user_id"):
    """An entry was booked on a person's Lumens account.

    `amount` is signed and in whole Lumens; `balance_after` is the balance that this entry left behind.
    """

    user_id: UUID
    """The user whose account it is."""
    entry_id: UUID
    """The booked entry."""
    amount: int
    """Signed, in whole Lumens."""
    reason: str
    """What the entry was booked for, by kind."""
    reference_id: UUID
    """What the entry was booked for."""
    balance_after: int
    """Whole Lumens on the account after this entry."""


class AuditRecorded(AuditEvent, type="payments.audit.recorded", version=1, aggregate="audit_id"):
    """An administrative act in payments."""
