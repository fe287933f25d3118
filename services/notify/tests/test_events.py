"""The published language of notify, as it is committed."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from libs.common.events import Event
from libs.common.testing import check_golden
from services.notify.events import AuditRecorded, DeliveryFailed

GOLDEN = Path(__file__).parent / "golden"

EVENTS = [
    DeliveryFailed(notification_id=UUID(int=1), channel="EMAIL", attempts=6, error_class="ConnectionRefusedError"),
    AuditRecorded(
        audit_id=UUID(int=5),
        actor_id=UUID(int=6),
        roles="ADMIN",
        action="notice.read",
        entity="notice",
        entity_id=str(UUID(int=1)),
        outcome="done",
        details_sha256="0" * 64,
        occurred_at=datetime(2026, 5, 4, 12, tzinfo=UTC),
    ),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_keeps_its_golden_shape(event: Event) -> None:
    check_golden(event, GOLDEN)
