"""The published facts keep their shape."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from libs.common.events import Event
from libs.common.testing import check_golden
from services.media.app import service
from services.media.events import AuditRecorded, ObjectDeleted, UploadCompleted, UploadRejected

GOLDEN = Path(__file__).parent / "golden"
MEDIA, OWNER = UUID("01985c7e-8f00-7000-8000-000000000001"), UUID("01985c7e-8f00-7000-8000-000000000002")
SHA = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

EXAMPLES: tuple[Event, ...] = (
    UploadCompleted(
        media_id=MEDIA, owner_id=OWNER, category="IMAGE", mime="image/png", size=5, sha256=SHA, purpose="SUBMISSION"
    ),
    UploadRejected(media_id=MEDIA, owner_id=OWNER, reason="TYPE_MISMATCH"),
    ObjectDeleted(media_id=MEDIA, owner_id=OWNER, reason="OWNER"),
    AuditRecorded(
        audit_id=MEDIA,
        actor_id=OWNER,
        roles="ADMIN",
        action="media.read",
        entity="upload",
        entity_id=str(MEDIA),
        outcome="done",
        details_sha256=SHA,
        occurred_at=datetime(2030, 1, 1, tzinfo=UTC),
    ),
)


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.event_type)
def test_an_event_equals_its_golden_file(event: Event) -> None:
    check_golden(event, GOLDEN)


def test_every_declared_event_has_an_example() -> None:
    assert {type(event) for event in EXAMPLES} == set(service.declared_events)
