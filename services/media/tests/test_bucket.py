"""Files in a bucket: sent and fetched there, believed no sooner than in the folder, and never lost while it is away."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr
from werkzeug.test import TestResponse

from libs.common import clock
from libs.common.auth.policy import Role
from libs.common.companions import Companions
from libs.common.events.tests.live import eventually
from libs.common.http.health import Health
from libs.common.service import Assembled
from libs.common.testing import Harness
from services.media import use_cases
from services.media.adapters.bucket import RETRY_AFTER_SECONDS, Bucket
from services.media.adapters.commands import bucket_command
from services.media.domain.addresses import UPLOAD_ADDRESS_SECONDS
from services.media.domain.storage import ReceivingStorage, Storage
from services.media.tests.client import Uploader, at_once, body_of, path_of
from services.media.tests.fake_s3 import BUCKET, KEY, REGION, SECRET, FakeS3, send
from services.media.tests.samples import HTML, PDF, PNG


@pytest.fixture(scope="module")
def running() -> Iterator[FakeS3]:
    """A fake S3 with an empty bucket."""
    with FakeS3() as server:
        yield server


@pytest.fixture
def s3(running: FakeS3) -> FakeS3:
    """The same, running and empty again."""
    running.start()
    running.empty()
    return running


class InBucket(Uploader):
    """Somebody who uploads to a replica that has the bucket."""

    def __init__(self, harness: Harness, server: FakeS3, assembled: Assembled) -> None:
        self.harness = harness
        self.s3 = server
        self.subject = harness.subject(Role.CONTRIBUTOR)
        self.assembled = assembled
        self.application = assembled.application(Health(assembled.beside()))
        self.http = self.client()

    def client(self) -> FlaskClient:
        """One client of the replica, with this person's token."""
        made: FlaskClient = self.application.test_client()
        made.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {self.harness.token(self.subject)}"
        return made

    def complete(self, opened: dict[str, Any]) -> TestResponse:
        return self.client().post(f"/api/v1/uploads/{opened['media_id']}/complete")

    def sent(self, data: bytes = PNG, **changes: Any) -> dict[str, Any]:
        """An announced upload whose file is in the bucket."""
        opened = self.opened(data, **changes)
        assert send(opened, data).status_code == 200
        return opened

    def content(self, media_id: str) -> httpx.Response:
        """The file as its owner gets it."""
        answer = self.http.get(f"/api/v1/media/{media_id}/content")
        assert answer.status_code == 302, answer.text
        return httpx.get(answer.headers["Location"], trust_env=False)

    def readiness(self) -> tuple[int, dict[str, Any]]:
        """Status and document of /health/ready."""
        answer = self.http.get("/health/ready")
        return answer.status_code, body_of(answer)


@pytest.fixture(scope="module")
def replicas() -> Iterator[list[Assembled]]:
    """A replica that has the bucket, once there is one: making it takes longer than most of these tests."""
    made: list[Assembled] = []
    yield made
    for each in made:
        each.database.dispose()


@pytest.fixture
def person(harness: Harness, s3: FakeS3, replicas: list[Assembled]) -> InBucket:
    """Somebody who uploads to the bucket."""
    if not replicas:
        settings = harness.settings.model_copy(
            update={
                "s3_bucket": BUCKET,
                "s3_region": REGION,
                "s3_endpoint": s3.endpoint,
                "s3_access_key_id": KEY,
                "s3_secret_access_key": SecretStr(SECRET),
            }
        )
        replicas.append(harness.service.assemble(settings, "web", harness.keys))
    companions: Any = replicas[0].resources[Companions]
    companions["storage"].found()
    return InBucket(harness, s3, replicas[0])


def test_a_file_goes_to_the_bucket_and_comes_back_as_an_attachment(person: InBucket) -> None:
    opened = person.sent(filename="Scène 1.png")
    assert urlsplit(opened["url"]).netloc == urlsplit(person.s3.endpoint).netloc
    completed = person.complete(opened)
    assert (body_of(completed)["status"], body_of(completed)["size"]) == ("READY", len(PNG))
    assert [name.partition("/")[0] for name in person.s3.names()] == ["objects"]
    got = person.content(opened["media_id"])
    assert (got.status_code, got.content) == (200, PNG)
    assert got.headers["Content-Type"] == "image/png"
    assert got.headers["Content-Disposition"] == "attachment; filename=\"Sc_ne 1.png\"; filename*=UTF-8''Sc%C3%A8ne%201.png"
    assert [each.type for each in person.harness.published()] == ["media.upload.completed"]


def test_an_address_is_signed_over_name_length_and_type_for_one_file_and_one_hour(person: InBucket) -> None:
    opened = person.opened()
    asked = {name: values[0] for name, values in parse_qs(urlsplit(opened["url"]).query).items()}
    assert asked["X-Amz-SignedHeaders"] == "content-length;content-type;host;if-none-match"
    assert UPLOAD_ADDRESS_SECONDS - 60 < int(asked["X-Amz-Expires"]) <= UPLOAD_ADDRESS_SECONDS
    assert urlsplit(opened["url"]).path == f"/{BUCKET}/incoming/{opened['media_id']}"
    assert opened["headers"] == {"Content-Type": "image/png", "If-None-Match": "*"}


def test_an_address_takes_one_file(person: InBucket) -> None:
    opened = person.sent()
    assert send(opened, PNG[:-1] + b"X").status_code == 412
    assert body_of(person.complete(opened))["status"] == "READY"
    assert person.content(opened["media_id"]).content == PNG


def test_what_is_written_to_the_address_after_the_verdict_is_not_the_file(person: InBucket) -> None:
    opened = person.sent()
    person.complete(opened)
    assert send(opened, HTML).status_code == 200  # the name is free again until the address expires
    assert person.content(opened["media_id"]).content == PNG
    assert body_of(person.complete(opened))["status"] == "READY"


@pytest.mark.parametrize(
    ("data", "changes", "reason"),
    [
        (PNG, {"sha256": "0" * 64}, "CHECKSUM_MISMATCH"),
        (PDF, {}, "TYPE_MISMATCH"),
        (HTML, {"category": "DOCUMENT", "content_type": "text/plain"}, "AMBIGUOUS_CONTENT"),
        (PNG + b"<script>alert(1)</script>", {}, "AMBIGUOUS_CONTENT"),
    ],
)
def test_the_same_checks_hold_and_what_fails_them_is_gone(
    person: InBucket, data: bytes, changes: dict[str, Any], reason: str
) -> None:
    opened = person.sent(data, **changes)
    answers = [body_of(person.complete(opened)) for _ in range(2)]
    assert {(each["status"], each["reason"], each["mime"]) for each in answers} == {("REJECTED", reason, None)}
    assert person.s3.names() == []
    assert [each.type for each in person.harness.published()] == ["media.upload.rejected"]


@pytest.mark.parametrize(("length", "status"), [(len(PNG) - 1, 400), (len(PNG) + 1, 413)])
def test_a_file_of_another_length_is_refused_and_may_be_sent_again(person: InBucket, length: int, status: int) -> None:
    opened = person.opened()
    person.s3.put(f"incoming/{opened['media_id']}", (PNG + b"x")[:length])  # the fake does not check what was signed
    assert person.complete(opened).status_code == status
    assert person.s3.names() == []
    assert send(opened, PNG).status_code == 200
    assert body_of(person.complete(opened))["status"] == "READY"


def test_nothing_can_be_completed_before_it_arrived(person: InBucket) -> None:
    opened = person.opened()
    for _ in range(2):
        answer = person.complete(opened)
        assert (answer.status_code, body_of(answer)["type"]) == (409, "https://lumiere.film/problems/upload-not-received")
    assert send(opened, PNG).status_code == 200
    assert body_of(person.complete(opened))["status"] == "READY"


def test_of_many_who_complete_at_once_one_decides(person: InBucket) -> None:
    opened = person.sent()
    statuses = at_once(4, lambda _: person.complete(opened).status_code)
    assert set(statuses) <= {200, 409}
    assert 200 in statuses
    assert [each.type for each in person.harness.published()] == ["media.upload.completed"]
    assert len(person.s3.names()) == 1


def test_a_file_that_is_given_up_leaves_nothing(person: InBucket) -> None:
    sent, ready = person.sent(), person.sent()
    person.complete(ready)
    for each in (sent, ready):
        assert person.http.delete(f"/api/v1/media/{each['media_id']}").status_code == 204
    assert person.s3.names() == []


def test_while_the_bucket_is_away_an_upload_waits_and_goes_on_once_it_is_back(person: InBucket) -> None:
    opened = person.sent()
    person.s3.stop()

    answer = person.complete(opened)

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, str(RETRY_AFTER_SECONDS))
    assert body_of(answer)["type"] == "https://lumiere.film/problems/storage-away"
    assert "Nothing is lost" in body_of(answer)["detail"]
    assert KEY not in answer.text
    person.s3.start()
    assert body_of(person.complete(opened))["status"] == "READY"
    assert person.content(opened["media_id"]).content == PNG
    assert [each.type for each in person.harness.published()] == ["media.upload.completed"]


def test_while_the_bucket_is_away_no_address_is_given_the_service_is_degraded_and_recovers_by_itself(
    person: InBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = person.sent()
    person.complete(ready)
    monkeypatch.setattr("libs.common.companions.PROBE_SECONDS", 0.05)
    person.s3.stop()
    eventually(lambda: person.readiness()[1]["status"] == "degraded", "the probe has noticed")

    status, document = person.readiness()
    assert (status, document["checks"]["storage"].partition(" (")[0]) == (
        200,
        "degraded: files wait, everything else goes on",
    )
    for refused in (person.announce(), person.http.get(f"/api/v1/media/{ready['media_id']}/content")):
        assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
    assert person.http.get(f"/api/v1/media/{ready['media_id']}").status_code == 200

    person.s3.start()
    eventually(lambda: person.readiness()[1]["status"] == "ready", "the probe has found it again")
    assert person.announce().status_code == 201
    assert person.content(ready["media_id"]).content == PNG


def test_files_of_the_time_before_the_bucket_stay_readable(person: InBucket, uploader: Uploader, harness: Harness) -> None:
    older = uploader.uploaded()
    person.http.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {harness.token(uploader.subject)}"
    answer = person.http.get(f"/api/v1/media/{older['media_id']}/content")
    got = person.application.test_client().get(path_of(answer.headers["Location"]))
    assert (got.status_code, got.data) == (200, PNG)


def test_an_upload_that_was_promised_before_the_bucket_is_still_taken(
    person: InBucket, uploader: Uploader, harness: Harness
) -> None:
    promised = uploader.opened()
    sent = person.application.test_client().put(path_of(promised["url"]), data=PNG, headers=promised["headers"])
    assert sent.status_code == 200, sent.text
    assert body_of(uploader.complete(promised))["status"] == "READY"
    assert person.s3.names() == []


def test_without_its_bucket_a_file_is_unavailable_rather_than_missing(person: InBucket, harness: Harness) -> None:
    ready = person.sent()
    person.complete(ready)
    client = harness.client(person.subject)
    address = client.get(f"/api/v1/media/{ready['media_id']}/content").headers["Location"]
    answer = client.get(path_of(address))
    assert (answer.status_code, "S3_BUCKET" in answer.text) == (503, True)


def test_what_nobody_needs_is_found_in_bucket_and_folder_and_removed(
    person: InBucket, uploader: Uploader, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = person.sent()
    person.complete(kept)
    person.sent()
    person.s3.put(f"objects/{'a' * 43}", b"left by a crash")
    person.s3.put("objects/not-of-ours", b"somebody else's")
    storage: Any = person.assembled.resources[Storage]
    later = clock.now() + timedelta(days=2)
    monkeypatch.setattr(clock, "now", lambda: later)

    assert use_cases.delete_orphans(harness.database, storage) == 2

    assert sorted(name.partition("/")[2] == "not-of-ours" for name in person.s3.names()) == [False, True]
    assert person.content(kept["media_id"]).content == PNG


def test_neither_log_nor_shape_of_the_bucket_shows_its_keys(person: InBucket) -> None:
    storage: Any = person.assembled.resources[Storage]
    assert SECRET not in repr(vars(storage)) + repr(person.assembled.settings)
    assert isinstance(storage._bucket, Bucket)
    assert person.assembled.resources[ReceivingStorage] is storage._folder


def test_the_operator_makes_the_bucket_once(person: InBucket, s3: FakeS3, capsys: pytest.CaptureFixture[str]) -> None:
    named = person.assembled.settings.model_copy(update={"s3_bucket": "lumiere-another"})
    assembled = person.assembled.service.assemble(named, "bucket")
    try:
        assert [bucket_command(assembled, []), bucket_command(assembled, [])] == [0, 0]
        assert capsys.readouterr().out.splitlines() == ["the bucket was made", "the bucket is there"]
        assert "lumiere-another" in {each["Name"] for each in s3.client.list_buckets()["Buckets"]}
        s3.stop()
        assert bucket_command(assembled, []) == 1
        assert "does not answer" in capsys.readouterr().err
    finally:
        assembled.database.dispose()


def test_without_a_bucket_there_is_none_to_make(harness: Harness, capsys: pytest.CaptureFixture[str]) -> None:
    assert bucket_command(harness.assembled, []) == 1
    assert "set S3_BUCKET" in capsys.readouterr().err
