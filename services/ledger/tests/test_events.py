"""The published language of the ledger stays as it was."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from libs.common.testing import check_golden
from services.ledger.events import AuditRecorded

GOLDEN = Path(__file__).parent / "golden"


def test_audit_recorded_is_written_as_ever() -> None:
    event = AuditRecorded(
        audit_id=UUID(int=1),
        actor_id=UUID(int=2),
        roles="ADMIN",
        action="proof.withdraw",
        entity="proof",
        entity_id="3",
        outcome="refused",
        details_sha256="0" * 64,
        occurred_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    )

    check_golden(event, GOLDEN)
