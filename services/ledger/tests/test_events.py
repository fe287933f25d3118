"""The published language of the ledger stays as it was."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from libs.common.testing import check_golden
from services.ledger.domain.leaves import RESUMED
from services.ledger.events import AuditRecorded, LogResumed

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


def test_log_resumed_is_written_as_ever() -> None:
    event = LogResumed(
        restoration_id=UUID(int=1),
        restored_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        origin="lumiere.film/log/2",
        previous_origin="lumiere.film/log",
        size=120,
        root_hash="n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=",
        published_size=131,
        published_root_hash="CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=",
        lost_from=120,
        lost_to=130,
        statement="The disk of the database broke; the backup of noon was restored.",
    )

    check_golden(event, GOLDEN)
    assert LogResumed.event_type == RESUMED
