"""Uploads through the real doors, into real files: honest clients, broken lines and liars."""

import hashlib
import io
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest

from libs.common import clock
from libs.common.auth.policy import Role
from libs.common.testing import Harness
from services.media.domain.addresses import UPLOAD_ADDRESS_SECONDS
from services.media.domain.kinds import FILENAME_MAX, MEDIA_TYPES, SIZE_MAX, Category
from services.media.domain.storage import CHUNK_BYTES
from services.media.domain.uploads import PENDING_MAX
from services.media.tests.client import Uploader, at_once, body_of, path_of
from services.media.tests.samples import GENUINE, HTML, PDF, PNG, SVG

GENUINE_CASES = [(category, kind) for category in Category for kind in sorted(MEDIA_TYPES[category])]


def faults(answer: Any) -> set[str]:
    assert answer.status_code == 422, answer.text
    return {each["pointer"] for each in body_of(answer)["errors"]}


# Honest clients


@pytest.mark.parametrize(("category", "kind"), GENUINE_CASES)
def test_a_genuine_file_of_every_category_and_type_becomes_ready(uploader: Uploader, category: Category, kind: str) -> None:
    data = GENUINE[kind][0]
    ready = uploader.uploaded(data, category=category.value, content_type=kind, filename="file")
    assert ready["sha256"] == hashlib.sha256(data).hexdigest()
    assert (ready["mime"], ready["size"], ready["reason"]) == (kind, len(data), None)
    assert [path.read_bytes() for path in uploader.files()] == [data]


def test_the_address_says_how_and_until_when(uploader: Uploader) -> None:
    opened = uploader.opened()
    assert opened["method"] == "PUT"
    assert opened["headers"] == {"Content-Type": "image/png"}
    assert opened["url"].startswith("http://127.0.0.1:8080/api/v1/uploads/")
    expiry = int(parse_qs(urlsplit(opened["url"]).query)["token"][0].partition(".")[0])
    assert UPLOAD_ADDRESS_SECONDS - 5 <= expiry - clock.epoch() <= UPLOAD_ADDRESS_SECONDS


def test_the_checksum_is_optional_and_measured_all_the_same(uploader: Uploader) -> None:
    assert uploader.uploaded(sha256=None)["sha256"] == hashlib.sha256(PNG).hexdigest()


def test_a_charset_may_be_sent_with_text(uploader: Uploader) -> None:
    text = "Scène".encode()
    opened = uploader.opened(text, category="DOCUMENT", content_type="text/plain")
    assert uploader.send(opened, text, headers={"Content-Type": "text/plain; charset=utf-8"}).status_code == 200


def test_a_ready_file_is_told_once_with_all_its_measures(uploader: Uploader, harness: Harness) -> None:
    ready = uploader.uploaded(purpose="storyboard")
    (told,) = harness.published("media.upload.completed")
    assert told.data == {
        "media_id": ready["media_id"],
        "owner_id": str(uploader.subject.id),
        "category": "IMAGE",
        "mime": "image/png",
        "size": len(PNG),
        "sha256": hashlib.sha256(PNG).hexdigest(),
        "purpose": "storyboard",
    }


def test_completing_again_answers_the_same_and_tells_nothing_new(uploader: Uploader, harness: Harness) -> None:
    ready = uploader.uploaded()
    again = [body_of(uploader.complete(ready)) for _ in range(2)]
    assert all(answer["sha256"] == ready["sha256"] and answer["status"] == "READY" for answer in again)
    assert len(harness.published()) == 1


def test_an_idempotency_key_opens_one_upload(uploader: Uploader) -> None:
    body = {"category": "IMAGE", "filename": "a.png", "content_type": "image/png", "size": 5}
    answers = [uploader.http.post("/api/v1/uploads", json=body, headers={"Idempotency-Key": "one-upload"}) for _ in range(2)]
    assert body_of(answers[0]) == answers[1].json


def test_a_large_file_is_read_in_bounded_pieces(uploader: Uploader) -> None:
    data = PNG + bytes(40 * CHUNK_BYTES)
    asked: list[int] = []

    class Watched(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            asked.append(-1 if size is None else size)
            return super().read(size)

        def readinto(self, buffer: Any) -> int:
            asked.append(len(buffer))
            return super().readinto(buffer)

    opened = uploader.opened(data)
    sent = uploader.harness.client().put(
        path_of(opened["url"]), input_stream=Watched(data), content_length=len(data), headers=opened["headers"]
    )
    assert sent.status_code == 200, sent.text
    assert body_of(uploader.complete(opened))["status"] == "READY"
    assert asked
    assert min(asked) > 0
    assert max(asked) <= CHUNK_BYTES


# What may be announced


@pytest.mark.parametrize("size", [1, SIZE_MAX - 1, SIZE_MAX])
def test_a_size_up_to_the_limit_may_be_announced(uploader: Uploader, size: int) -> None:
    assert uploader.announce(size=size).status_code == 201


@pytest.mark.parametrize("size", [SIZE_MAX + 1, 10**30, 0, -1, 1.5, "5", True])
def test_any_other_size_is_refused(uploader: Uploader, size: Any) -> None:
    assert faults(uploader.announce(size=size)) == {"/size"}


@pytest.mark.parametrize("category", Category)
def test_the_size_limit_is_the_same_for_every_category(uploader: Uploader, category: Category) -> None:
    kind = min(MEDIA_TYPES[category])
    assert uploader.announce(category=category.value, content_type=kind, size=SIZE_MAX).status_code == 201
    assert faults(uploader.announce(category=category.value, content_type=kind, size=SIZE_MAX + 1)) == {"/size"}


@pytest.mark.parametrize("length", [1, FILENAME_MAX - 1, FILENAME_MAX])
def test_a_filename_up_to_the_limit_is_taken(uploader: Uploader, length: int) -> None:
    assert uploader.announce(filename="é" * length).status_code == 201


@pytest.mark.parametrize("name", ["", "x" * (FILENAME_MAX + 1), "../../etc/passwd", "a\\b", "a\x00b", "gpj.\u202eexe"])
def test_a_filename_that_is_a_path_or_hides_something_is_refused(uploader: Uploader, name: str) -> None:
    assert faults(uploader.announce(filename=name)) == {"/filename"}


@pytest.mark.parametrize(
    ("category", "kind"),
    [("IMAGE", "image/svg+xml"), ("DOCUMENT", "text/html"), ("VIDEO", "image/png"), ("IMAGE", "image/PNG")],
)
def test_a_type_that_the_category_does_not_take_is_refused(uploader: Uploader, category: str, kind: str) -> None:
    answer = uploader.announce(category=category, content_type=kind)
    assert answer.status_code == 422
    assert "takes" in body_of(answer)["errors"][0]["detail"]


def test_all_faults_are_named_at_once(uploader: Uploader) -> None:
    named = faults(uploader.announce(size=0, filename="", sha256="AB", purpose="!", category="FILM", key="../x"))
    assert named == {"/size", "/filename", "/sha256", "/purpose", "/category", "/key"}


def test_one_person_may_have_only_so_many_uploads_open(uploader: Uploader, harness: Harness) -> None:
    opened = [uploader.opened() for _ in range(PENDING_MAX)]
    refused = uploader.announce()
    assert (refused.status_code, body_of(refused)["type"]) == (409, "https://lumiere.film/problems/too-many-pending-uploads")
    assert Uploader(harness, uploader.folder).announce().status_code == 201
    assert uploader.http.delete(f"/api/v1/media/{opened[0]['media_id']}").status_code == 204
    assert uploader.announce().status_code == 201


def test_two_at_once_cannot_both_take_the_last_place(uploader: Uploader) -> None:
    for _ in range(PENDING_MAX - 1):
        uploader.opened()
    assert sorted(at_once(4, lambda _: uploader.announce().status_code)) == [201, 409, 409, 409]


# Lying clients


@pytest.mark.parametrize(
    ("announced", "sent", "status"),
    [(len(PNG) - 1, PNG, 413), (len(PNG) + 1, PNG, 400), (len(PNG), PNG[:-1], 400), (len(PNG), PNG + b"x", 413)],
)
def test_a_body_of_another_size_than_announced_is_refused_and_leaves_nothing(
    uploader: Uploader, announced: int, sent: bytes, status: int
) -> None:
    opened = uploader.opened(size=announced)
    assert uploader.send(opened, sent).status_code == status
    assert uploader.files() == []
    assert uploader.complete(opened).status_code == 409


@pytest.mark.parametrize(("announced", "status"), [(len(PNG) - 1, 413), (len(PNG) + 1, 400)])
def test_a_body_without_a_stated_length_is_counted_while_it_is_read(uploader: Uploader, announced: int, status: int) -> None:
    opened = uploader.opened(size=announced)
    chunked = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    sent = uploader.harness.client().put(
        path_of(opened["url"]), input_stream=io.BytesIO(PNG), headers=opened["headers"], environ_overrides=chunked
    )
    assert sent.status_code == status, sent.text
    assert uploader.files() == []


@pytest.mark.parametrize("kind", ["image/jpeg", "application/json", "text/html", ""])
def test_bytes_under_another_type_than_announced_are_refused(uploader: Uploader, kind: str) -> None:
    opened = uploader.opened()
    assert uploader.send(opened, headers={"Content-Type": kind}).status_code == 415
    assert uploader.files() == []


@pytest.mark.parametrize(
    ("data", "changes", "reason"),
    [
        (PNG, {"sha256": "0" * 64}, "CHECKSUM_MISMATCH"),
        (PDF, {}, "TYPE_MISMATCH"),
        (SVG, {}, "TYPE_MISMATCH"),
        (HTML, {"category": "DOCUMENT", "content_type": "text/plain"}, "AMBIGUOUS_CONTENT"),
        (b"\x00\x01", {"category": "DOCUMENT", "content_type": "text/markdown"}, "TYPE_MISMATCH"),
        (PNG + b"<script>alert(1)</script>", {}, "AMBIGUOUS_CONTENT"),
        (PNG, {"category": "VIDEO", "content_type": "video/mp4"}, "TYPE_MISMATCH"),
    ],
)
def test_a_file_that_is_not_what_was_announced_is_rejected_once_and_its_bytes_are_gone(
    uploader: Uploader, harness: Harness, data: bytes, changes: dict[str, Any], reason: str
) -> None:
    opened = uploader.opened(data, **changes)
    assert uploader.send(opened, data).status_code == 200
    answers = [uploader.complete(opened) for _ in range(3)]
    assert {(answer.status_code, body_of(answer)["status"], body_of(answer)["reason"]) for answer in answers} == {
        (200, "REJECTED", reason)
    }
    assert body_of(answers[0])["mime"] is None
    assert uploader.files() == []
    (told,) = harness.published()
    assert told.type == "media.upload.rejected"
    assert told.data == {"media_id": opened["media_id"], "owner_id": str(uploader.subject.id), "reason": reason}
    assert uploader.http.get(f"/api/v1/media/{opened['media_id']}/content").status_code == 409


@pytest.mark.parametrize(
    ("tamper", "reason"),
    [
        (lambda path: path.write_bytes(PNG[:-1]), "SIZE_MISMATCH"),
        (lambda path: path.write_bytes(PNG[:-1] + b"X"), "CORRUPTED"),
        (lambda path: path.unlink(), "MISSING"),
    ],
)
def test_bytes_that_changed_in_storage_are_noticed(uploader: Uploader, tamper: Callable[[Any], None], reason: str) -> None:
    opened = uploader.opened(sha256=None)
    uploader.send(opened)
    tamper(uploader.files()[0])
    assert body_of(uploader.complete(opened))["reason"] == reason


def test_nothing_can_be_completed_before_it_arrived(uploader: Uploader) -> None:
    answer = uploader.complete(uploader.opened())
    assert (answer.status_code, body_of(answer)["type"]) == (409, "https://lumiere.film/problems/upload-not-received")


# Who may


def test_only_the_owner_completes(uploader: Uploader, harness: Harness) -> None:
    opened = uploader.opened()
    uploader.send(opened)
    for role in (Role.ADMIN, Role.CONTRIBUTOR):
        assert harness.client(role).post(f"/api/v1/uploads/{opened['media_id']}/complete").status_code == 404
    assert uploader.complete(opened).status_code == 200


def test_strangers_to_the_platform_are_asked_to_sign_in(harness: Harness) -> None:
    anonymous = harness.client()
    media_id = UUID(int=1)
    answers = [
        anonymous.post("/api/v1/uploads", json={}),
        anonymous.post(f"/api/v1/uploads/{media_id}/complete"),
        anonymous.get(f"/api/v1/media/{media_id}"),
        anonymous.get(f"/api/v1/media/{media_id}/content"),
        anonymous.delete(f"/api/v1/media/{media_id}"),
    ]
    assert {answer.status_code for answer in answers} == {401}
