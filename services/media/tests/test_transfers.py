"""Slow lines: one person's files, or all files together, never take every thread."""

import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest

from services.media.domain.transfers import (
    THREADS_KEPT_FREE,
    TRANSFERS_PER_OWNER,
    TooManyTransfers,
    Transfer,
    Transfers,
    TransfersBusy,
)
from services.media.tests.client import Uploader, path_of

PLACES = 20


@pytest.fixture
def transfers() -> Transfers:
    return Transfers(PLACES + THREADS_KEPT_FREE)


def begun(transfers: Transfers, owner_id: UUID, count: int) -> list[Transfer]:
    return [transfers.begin(owner_id) for _ in range(count)]


def test_one_person_has_so_many_files_on_the_line_and_no_more(transfers: Transfers) -> None:
    owner = uuid4()
    running = begun(transfers, owner, TRANSFERS_PER_OWNER)
    with pytest.raises(TooManyTransfers):
        transfers.begin(owner)
    transfers.begin(uuid4()).end()

    running[0].end()
    running[0].end()

    running[0] = transfers.begin(owner)
    with pytest.raises(TooManyTransfers):
        transfers.begin(owner)


def test_all_files_together_leave_threads_for_short_requests(transfers: Transfers) -> None:
    running = [transfers.begin(uuid4()) for _ in range(PLACES)]
    with pytest.raises(TransfersBusy):
        transfers.begin(uuid4())

    running.pop()

    running.append(transfers.begin(uuid4()))
    with pytest.raises(TransfersBusy):
        transfers.begin(uuid4())


def test_a_service_with_few_threads_still_takes_one_file() -> None:
    transfers = Transfers(1)
    with transfers.begin(uuid4()), pytest.raises(TransfersBusy):
        transfers.begin(uuid4())
    transfers.begin(uuid4()).end()


def test_of_many_at_once_exactly_the_limit_begins(transfers: Transfers) -> None:
    owner, together = uuid4(), threading.Barrier(PLACES)

    def try_to_begin(_: int) -> Transfer | None:
        together.wait()
        try:
            return transfers.begin(owner)
        except TooManyTransfers:
            return None

    with ThreadPoolExecutor(PLACES) as pool:
        outcomes = list(pool.map(try_to_begin, range(PLACES)))
    assert sum(each is not None for each in outcomes) == TRANSFERS_PER_OWNER


def test_a_download_holds_a_place_until_it_is_read_or_given_up(uploader: Uploader) -> None:
    ready = uploader.uploaded()
    address = path_of(uploader.http.get(f"/api/v1/media/{ready['media_id']}/content").headers["Location"])
    client = uploader.harness.client()

    reading = [client.get(address) for _ in range(TRANSFERS_PER_OWNER)]
    assert {answer.status_code for answer in reading} == {200}
    refused = client.get(address)
    assert (refused.status_code, "Retry-After" in refused.headers) == (429, True)
    assert uploader.send(uploader.opened()).status_code == 429

    assert reading.pop().data
    reading.pop().close()
    assert client.get(address, headers={"Range": "bytes=99999999-"}).status_code == 416
    assert client.head(address).status_code == 200
    reading += [client.get(address) for _ in range(2)]
    assert {answer.status_code for answer in reading} == {200}
    assert client.get(address).status_code == 429
    for answer in reading:
        answer.close()


def test_an_upload_that_found_no_place_can_be_sent_again(uploader: Uploader) -> None:
    ready = uploader.uploaded()
    address = path_of(uploader.http.get(f"/api/v1/media/{ready['media_id']}/content").headers["Location"])
    reading = [uploader.harness.client().get(address) for _ in range(TRANSFERS_PER_OWNER)]
    opened = uploader.opened()
    assert uploader.send(opened).status_code == 429

    for answer in reading:
        answer.close()

    assert uploader.send(opened).status_code == 200
