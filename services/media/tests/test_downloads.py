"""Reading and deleting files: by signed addresses, in ranges, by those who may."""

from datetime import timedelta

import pytest
import time_machine
from werkzeug.test import TestResponse

from libs.common import clock
from libs.common.auth.policy import Role
from libs.common.ids import new_id
from libs.common.testing import Harness
from services.media.domain.addresses import DOWNLOAD_ADDRESS_SECONDS
from services.media.tests.client import Uploader, body_of, path_of
from services.media.tests.samples import PNG


def address(uploader: Uploader, media_id: str) -> str:
    answer = uploader.http.get(f"/api/v1/media/{media_id}/content")
    assert answer.status_code == 302, answer.text
    return path_of(answer.headers["Location"])


def fetch(uploader: Uploader, path: str, **headers: str) -> TestResponse:
    return uploader.harness.client().get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})


def test_the_owner_reads_the_file_back(uploader: Uploader) -> None:
    ready = uploader.uploaded(filename="Scène 1 « lune ».png")
    got = fetch(uploader, address(uploader, ready["media_id"]))
    assert (got.status_code, got.data) == (200, PNG)
    assert got.headers["Content-Type"] == "image/png"
    assert got.headers["Content-Length"] == str(len(PNG))
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    assert got.headers["Content-Disposition"].endswith("filename*=UTF-8''Sc%C3%A8ne%201%20%C2%AB%20lune%20%C2%BB.png")
    assert got.headers["Accept-Ranges"] == "bytes"
    assert got.headers["ETag"] == f'"{ready["sha256"]}"'
    assert got.headers["Cache-Control"] == "no-store"


def test_a_quote_in_a_filename_cannot_end_the_header_parameter(uploader: Uploader) -> None:
    ready = uploader.uploaded(filename='a";evil="b.png')
    disposition = fetch(uploader, address(uploader, ready["media_id"])).headers["Content-Disposition"]
    assert disposition == 'attachment; filename="a\\";evil=\\"b.png"'


@pytest.mark.parametrize(
    ("asked", "start", "stop"), [("bytes=0-3", 0, 4), ("bytes=4-", 4, len(PNG)), ("bytes=-5", len(PNG) - 5, len(PNG))]
)
def test_a_part_of_the_file_may_be_asked_for(uploader: Uploader, asked: str, start: int, stop: int) -> None:
    got = fetch(uploader, address(uploader, uploader.uploaded()["media_id"]), Range=asked)
    assert (got.status_code, got.data) == (206, PNG[start:stop])
    assert got.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(PNG)}"
    assert got.headers["Content-Length"] == str(stop - start)


def test_a_range_after_the_end_is_answered_with_the_length(uploader: Uploader) -> None:
    got = fetch(uploader, address(uploader, uploader.uploaded()["media_id"]), Range=f"bytes={len(PNG)}-")
    assert (got.status_code, got.headers["Content-Range"]) == (416, f"bytes */{len(PNG)}")


def test_a_range_of_another_version_gives_the_whole_file(uploader: Uploader) -> None:
    ready = uploader.uploaded()
    path = address(uploader, ready["media_id"])
    assert fetch(uploader, path, Range="bytes=0-3", If_Range='"other"').status_code == 200
    assert fetch(uploader, path, Range="bytes=0-3", If_Range=f'"{ready["sha256"]}"').status_code == 206


def test_head_tells_of_the_file_without_sending_it(uploader: Uploader) -> None:
    got = uploader.harness.client().head(address(uploader, uploader.uploaded()["media_id"]))
    assert (got.status_code, got.data, got.headers["Content-Length"]) == (200, b"", str(len(PNG)))


def test_a_download_address_ends_with_its_time_and_opens_nothing_else(uploader: Uploader) -> None:
    first, second = uploader.uploaded(), uploader.uploaded()
    path = address(uploader, first["media_id"])
    assert fetch(uploader, path.replace(first["media_id"], second["media_id"])).status_code == 403
    assert fetch(uploader, path.replace(first["media_id"], str(new_id()))).status_code == 403
    assert fetch(uploader, path[:-1]).status_code == 403
    assert fetch(uploader, f"/api/v1/media/{first['media_id']}/download?{first['url'].split('?')[1]}").status_code == 403
    with time_machine.travel(clock.now() + timedelta(seconds=DOWNLOAD_ADDRESS_SECONDS + 1)):
        assert fetch(uploader, path).status_code == 410


def test_others_find_nothing(uploader: Uploader, harness: Harness) -> None:
    media_id = uploader.uploaded()["media_id"]
    stranger = harness.client(Role.CONTRIBUTOR)
    for answer in (
        stranger.get(f"/api/v1/media/{media_id}"),
        stranger.get(f"/api/v1/media/{media_id}/content"),
        stranger.delete(f"/api/v1/media/{media_id}"),
        uploader.http.get(f"/api/v1/media/{new_id()}"),
    ):
        assert answer.status_code == 404


def test_an_administrator_reads_what_was_handed_in_and_leaves_a_record(uploader: Uploader, harness: Harness) -> None:
    media_id = uploader.uploaded()["media_id"]
    reviewer = harness.client(Role.ADMIN)
    assert body_of(reviewer.get(f"/api/v1/media/{media_id}"))["owner_id"] == str(uploader.subject.id)
    answer = reviewer.get(f"/api/v1/media/{media_id}/content")
    assert fetch(uploader, path_of(answer.headers["Location"])).data == PNG
    (record,) = harness.published("media.audit.recorded")
    assert (record.data["action"], record.data["entity_id"]) == ("media.read", media_id)


def test_what_is_known_of_a_file_carries_an_entity_tag(uploader: Uploader) -> None:
    opened = uploader.opened()
    before = uploader.http.get(f"/api/v1/media/{opened['media_id']}")
    assert (body_of(before)["status"], body_of(before)["sha256"], body_of(before)["filename"]) == (
        "PENDING",
        None,
        "storyboard.png",
    )
    uploader.send(opened)
    uploader.complete(opened)
    after = uploader.http.get(f"/api/v1/media/{opened['media_id']}")
    assert (body_of(after)["status"], body_of(after)["mime"]) == ("READY", "image/png")
    assert after.headers["ETag"] != before.headers["ETag"]


def test_nothing_is_read_before_it_passed_its_checks(uploader: Uploader) -> None:
    opened = uploader.opened()
    uploader.send(opened)
    refused = uploader.http.get(f"/api/v1/media/{opened['media_id']}/content")
    assert (refused.status_code, body_of(refused)["type"]) == (409, "https://lumiere.film/problems/media-not-ready")


@pytest.mark.parametrize(("role", "reason", "audits"), [(None, "OWNER", 0), (Role.ADMIN, "ADMINISTRATOR", 1)])
def test_a_deleted_file_is_gone_everywhere_and_told_once(
    uploader: Uploader, harness: Harness, role: Role | None, reason: str, audits: int
) -> None:
    media_id = uploader.uploaded()["media_id"]
    path = address(uploader, media_id)
    client = harness.client(role) if role else uploader.http
    assert client.delete(f"/api/v1/media/{media_id}").status_code == 204
    assert client.delete(f"/api/v1/media/{media_id}").status_code == 404
    assert uploader.files() == []
    assert fetch(uploader, path).status_code == 404
    assert uploader.http.get(f"/api/v1/media/{media_id}").status_code == 404
    (told,) = harness.published("media.object.deleted")
    assert told.data["reason"] == reason
    assert len(harness.published("media.audit.recorded")) == audits


def test_an_upload_given_up_is_no_deleted_object(uploader: Uploader, harness: Harness) -> None:
    opened = uploader.opened()
    uploader.send(opened)
    assert uploader.http.delete(f"/api/v1/media/{opened['media_id']}").status_code == 204
    assert (uploader.files(), harness.published()) == ([], [])
