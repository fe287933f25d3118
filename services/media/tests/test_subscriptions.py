"""What was handed in for a task stays."""

from uuid import UUID

from libs.common.auth.policy import Role
from libs.common.ids import new_id
from libs.common.testing import Harness
from services.media.tests.client import Uploader, body_of
from services.tasks.events import SubmittedMedia, TaskSubmitted


def handed_in(media: list[dict[str, str]], contributor_id: UUID) -> TaskSubmitted:
    return TaskSubmitted(
        task_id=new_id(),
        film_id=new_id(),
        submission_id=new_id(),
        contributor_id=contributor_id,
        media=tuple(SubmittedMedia(media_id=UUID(each["media_id"]), sha256=each["sha256"]) for each in media),
        content_sha256="0" * 64,
        attempt=1,
    )


def version_of(uploader: Uploader, media_id: str) -> str:
    return uploader.http.get(f"/api/v1/media/{media_id}").headers["ETag"]


def test_a_file_that_was_handed_in_cannot_be_deleted_by_anybody(uploader: Uploader, harness: Harness) -> None:
    submitted, free = uploader.uploaded(), uploader.uploaded()
    harness.deliver(handed_in([submitted], uploader.subject.id))
    for client in (uploader.http, harness.client(Role.ADMIN)):
        refused = client.delete(f"/api/v1/media/{submitted['media_id']}")
        assert (refused.status_code, body_of(refused)["type"]) == (409, "https://lumiere.film/problems/media-submitted")
    assert uploader.http.delete(f"/api/v1/media/{free['media_id']}").status_code == 204
    assert len(uploader.files()) == 1


def test_a_submission_delivered_twice_changes_once(uploader: Uploader, harness: Harness) -> None:
    submitted = uploader.uploaded()
    before = version_of(uploader, submitted["media_id"])
    harness.deliver(handed_in([submitted], uploader.subject.id), times=2)
    harness.deliver(handed_in([submitted], uploader.subject.id))
    assert (before, version_of(uploader, submitted["media_id"])) == ('"4"', '"5"')


def test_nobody_hands_in_the_files_of_another(uploader: Uploader, harness: Harness) -> None:
    ready = uploader.uploaded()
    harness.deliver(handed_in([ready], new_id()))
    assert uploader.http.delete(f"/api/v1/media/{ready['media_id']}").status_code == 204


def test_a_submission_without_files_or_with_unknown_ones_changes_nothing(uploader: Uploader, harness: Harness) -> None:
    harness.deliver(handed_in([], uploader.subject.id), times=2)
    harness.deliver(handed_in([{"media_id": str(new_id()), "sha256": "0" * 64}], uploader.subject.id))
    assert harness.published() == []
