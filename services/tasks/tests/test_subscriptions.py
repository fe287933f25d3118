"""Facts of the media service, delivered twice and in any order."""

from collections.abc import Callable

import pytest
from sqlalchemy import select

from libs.common.events import Event
from libs.common.ids import new_id
from services.media.events import ObjectDeleted, UploadCompleted, UploadRejected
from services.tasks.models import media
from services.tasks.tests.studio import Studio

MEDIA_ID, OWNER_ID = new_id(), new_id()


def completed() -> Event:
    return UploadCompleted(
        media_id=MEDIA_ID, owner_id=OWNER_ID, category="image", mime="image/png", size=5, sha256="ab" * 32, purpose="SUBMISSION"
    )


def rejected() -> Event:
    return UploadRejected(media_id=MEDIA_ID, owner_id=OWNER_ID, reason="TYPE")


def deleted() -> Event:
    return ObjectDeleted(media_id=MEDIA_ID, owner_id=OWNER_ID, reason="OWNER")


def known(studio: Studio) -> list[tuple[object, ...]]:
    with studio.harness.database.reader() as db:
        return [tuple(row) for row in db.all(select(media.c.id, media.c.owner_id, media.c.ready))]


@pytest.mark.parametrize(("fact", "ready"), [(completed, True), (rejected, False), (deleted, False)])
def test_a_fact_delivered_twice_is_remembered_once(studio: Studio, fact: Callable[[], Event], ready: bool) -> None:
    studio.harness.deliver(fact(), times=2)
    assert known(studio) == [(MEDIA_ID, OWNER_ID, ready)]


@pytest.mark.parametrize("withdrawn", [rejected, deleted])
def test_what_was_withdrawn_is_not_ready_whichever_fact_came_first(studio: Studio, withdrawn: Callable[[], Event]) -> None:
    for facts in ([withdrawn(), completed()], [completed(), withdrawn()]):
        studio.harness.clean()
        for fact in facts:
            studio.harness.deliver(fact)
        assert known(studio) == [(MEDIA_ID, OWNER_ID, False)]
