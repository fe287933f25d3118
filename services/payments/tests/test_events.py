"""The published language of payments, as it is committed."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from libs.common.events import Event
from libs.common.money import Money
from libs.common.testing import check_golden
from services.payments.events import AuditRecorded, LumensChanged, PaymentCreated

GOLDEN = Path(__file__).parent / "golden"

EVENTS = [
    PaymentCreated(payment_id=UUID(int=1), task_id=UUID(int=2), contributor_id=UUID(int=3), amount=Money(amount=5_000)),
    LumensChanged(
        user_id=UUID(int=3), entry_id=UUID(int=4), amount=10, reason="TASK_REWARD", reference_id=UUID(int=2), balance_after=30
    ),
    AuditRecorded(
        audit_id=UUID(int=5),
        actor_id=UUID(int=6),
        roles="ADMIN",
        action="payment.pay",
        entity="payment",
        entity_id=str(UUID(int=1)),
        outcome="done",
        details_sha256="0" * 64,
        occurred_at=datetime(2026, 5, 4, 12, tzinfo=UTC),
    ),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_keeps_its_golden_shape(event: Event) -> None:
    check_golden(event, GOLDEN)
