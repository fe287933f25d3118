"""Signed addresses: used once, by one sender, for what they were made for; broken lines and races."""

import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import time_machine

from libs.common import clock
from libs.common.ids import new_id
from libs.common.testing import Harness
from services.media.domain.addresses import UPLOAD_ADDRESS_SECONDS
from services.media.domain.uploads import LEASE_SECONDS
from services.media.tests.client import Uploader, at_once, body_of, path_of
from services.media.tests.samples import PNG

# Addresses


def test_a_used_address_takes_nothing_more_and_overwrites_nothing(uploader: Uploader) -> None:
    opened = uploader.opened()
    uploader.send(opened)
    again = uploader.send(opened, PNG)
    assert (again.status_code, body_of(again)["type"]) == (409, "https://lumiere.film/problems/upload-already-received")
    uploader.complete(opened)
    assert uploader.send(opened, PNG).status_code == 409
    assert [path.read_bytes() for path in uploader.files()] == [PNG]


def test_an_address_ends_with_its_time(uploader: Uploader) -> None:
    opened = uploader.opened()
    with time_machine.travel(clock.now() + timedelta(seconds=UPLOAD_ADDRESS_SECONDS - 30)):
        assert uploader.send(opened, PNG[:5]).status_code == 400
    with time_machine.travel(clock.now() + timedelta(seconds=UPLOAD_ADDRESS_SECONDS + 1)):
        late = uploader.send(opened)
    assert (late.status_code, body_of(late)["type"]) == (410, "https://lumiere.film/problems/address-expired")
    assert uploader.files() == []


def test_an_edited_or_borrowed_token_opens_nothing(uploader: Uploader) -> None:
    opened, other = uploader.opened(), uploader.opened()
    url, token = opened["url"].split("token=")
    expiry, signature = token.split(".")
    edited = [
        token[:-1],
        f"{int(expiry) + 3600}.{signature}",
        f"{expiry}.{signature[:-1]}{'A' if signature[-1] != 'A' else 'B'}",
        f"{expiry}.{'A' * 43}",
        other["url"].split("token=")[1],
    ]
    answers = [uploader.send(opened, url=f"{url}token={each}") for each in edited]
    assert {answer.status_code for answer in answers} == {403}
    assert uploader.send(opened, url=f"{url}token=").status_code == 422
    assert uploader.send(opened, url=url.removesuffix("?")).status_code == 422
    assert uploader.files() == []


def test_the_address_of_an_unknown_upload_is_refused_like_any_wrong_one(uploader: Uploader) -> None:
    opened = uploader.opened()
    assert uploader.send(opened, url=opened["url"].replace(opened["media_id"], str(new_id()))).status_code == 403


@pytest.mark.parametrize("path", ["../../../etc/passwd", "%2e%2e%2fetc", "..", "a/b", "a\\b", "%00"])
def test_no_path_of_a_client_reaches_storage(uploader: Uploader, path: str) -> None:
    token = uploader.opened()["url"].split("token=")[1]
    answer = uploader.harness.client().put(f"/api/v1/uploads/{path}/content?token={token}", data=PNG, content_type="image/png")
    assert answer.status_code in {403, 404, 405}
    assert uploader.files() == []


def test_files_lie_under_random_names_without_the_clients_extension(uploader: Uploader) -> None:
    ready = uploader.uploaded(filename="evil.php")
    (path,) = uploader.files()
    assert len(path.name) == 43
    assert "." not in path.name
    assert ready["media_id"] not in str(path)


# Broken lines


class BrokenLine(io.BytesIO):
    """A body whose sender goes away in the middle."""

    def read(self, size: int | None = -1) -> bytes:
        piece = super().read(min(size or 5, 5) if size and size > 0 else 5)
        if not piece:
            raise ConnectionResetError("the line is gone")
        return piece

    def readinto(self, buffer: Any) -> int:
        piece = self.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


@pytest.mark.parametrize("body", [lambda: io.BytesIO(PNG[:20]), lambda: BrokenLine(PNG[:20])])
def test_an_interrupted_upload_leaves_nothing_and_may_be_repeated(uploader: Uploader, body: Callable[[], io.BytesIO]) -> None:
    opened = uploader.opened()
    broken = uploader.harness.client().put(
        path_of(opened["url"]), input_stream=body(), content_length=len(PNG), headers=opened["headers"]
    )
    assert broken.status_code == 400, broken.text
    assert uploader.files() == []
    assert uploader.send(opened).status_code == 200
    assert body_of(uploader.complete(opened))["status"] == "READY"


def test_an_address_held_by_a_sender_that_died_is_free_again_after_its_lease(uploader: Uploader, harness: Harness) -> None:
    opened = uploader.opened()
    hold = "UPDATE upload SET status = 'UPLOADING', storage_key = repeat('d', 43), lease_until = now() + interval '1 minute'"
    with harness.transaction() as tx:
        tx.connection.exec_driver_sql(hold)
    busy = uploader.send(opened)
    assert (busy.status_code, body_of(busy)["type"]) == (409, "https://lumiere.film/problems/upload-in-progress")
    with time_machine.travel(clock.now() + timedelta(seconds=LEASE_SECONDS + 1)):
        assert uploader.send(opened).status_code == 200


# Races


def test_of_several_senders_to_one_address_one_wins(uploader: Uploader) -> None:
    opened = uploader.opened()
    statuses = at_once(6, lambda _: uploader.send(opened).status_code)
    assert sorted(statuses) == [200, 409, 409, 409, 409, 409]
    assert len(uploader.files()) == 1
    assert body_of(uploader.complete(opened))["status"] == "READY"


def test_while_one_sends_another_is_turned_away(uploader: Uploader) -> None:
    opened = uploader.opened()
    begun, turned_away = threading.Event(), threading.Event()

    class Slow(io.BytesIO):
        def readinto(self, buffer: Any) -> int:
            begun.set()
            assert turned_away.wait(10)
            return super().readinto(buffer)

        def read(self, size: int | None = -1) -> bytes:
            begun.set()
            assert turned_away.wait(10)
            return super().read(size)

    def send_slowly() -> int:
        body = {"input_stream": Slow(PNG), "content_length": len(PNG), "headers": opened["headers"]}
        return uploader.harness.client().put(path_of(opened["url"]), **body).status_code

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(send_slowly)
        assert begun.wait(10)
        second = uploader.send(opened)
        early = uploader.complete(opened)
        turned_away.set()
        assert first.result(10) == 200
    assert (second.status_code, early.status_code) == (409, 409)


@pytest.mark.parametrize("changes", [{}, {"sha256": "0" * 64}])
def test_of_several_completions_at_once_one_tells(uploader: Uploader, harness: Harness, changes: dict[str, Any]) -> None:
    opened = uploader.opened(**changes)
    uploader.send(opened)
    answers = at_once(6, lambda _: body_of(uploader.complete(opened)))
    assert len({(answer["status"], answer["reason"]) for answer in answers}) == 1
    assert len(harness.published()) == 1
