"""What the jobs of the service clear away, and what they leave alone."""

from datetime import timedelta

import time_machine

from libs.common import clock
from libs.common.testing import Harness
from services.media.domain.addresses import UPLOAD_ADDRESS_SECONDS
from services.media.domain.uploads import RECEIVED_KEPT
from services.media.tests.client import Uploader

# The sweeper


def test_uploads_whose_time_is_over_end_and_free_their_place(uploader: Uploader, harness: Harness) -> None:
    opened = uploader.opened()
    assert harness.run_job("expire_uploads") == 0
    with time_machine.travel(clock.now() + timedelta(seconds=UPLOAD_ADDRESS_SECONDS + 1)):
        assert harness.run_job("expire_uploads") == 1
        assert harness.run_job("expire_uploads") == 0
        assert harness.client(uploader.subject).get(f"/api/v1/media/{opened['media_id']}").status_code == 404


def test_received_bytes_wait_a_day_to_be_completed_and_then_go(uploader: Uploader, harness: Harness) -> None:
    opened = uploader.opened()
    uploader.send(opened)
    begun = clock.now()
    with time_machine.travel(begun + timedelta(seconds=UPLOAD_ADDRESS_SECONDS) + RECEIVED_KEPT - timedelta(minutes=1)):
        assert harness.run_job("expire_uploads") == 0
    with time_machine.travel(begun + timedelta(seconds=UPLOAD_ADDRESS_SECONDS) + RECEIVED_KEPT + timedelta(minutes=1)):
        assert harness.run_job("expire_uploads") == 1
    assert uploader.files() == []


def test_an_upload_under_way_is_not_ended(uploader: Uploader, harness: Harness) -> None:
    uploader.opened()
    later = clock.now() + timedelta(seconds=UPLOAD_ADDRESS_SECONDS + 60)
    hold = "UPDATE upload SET status = 'UPLOADING', storage_key = repeat('b', 43), lease_until = %s"
    with harness.transaction() as tx:
        tx.connection.exec_driver_sql(hold, (later + timedelta(seconds=30),))
    with time_machine.travel(later):
        assert harness.run_job("expire_uploads") == 0
    with time_machine.travel(later + timedelta(seconds=31)):
        assert harness.run_job("expire_uploads") == 1


def test_bytes_that_no_upload_needs_are_removed_and_others_kept(uploader: Uploader, harness: Harness) -> None:
    uploader.uploaded()
    (kept,) = uploader.files()
    orphan = kept.parent.parent / "oo" / ("o" * 43)
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"left by a crash")
    with time_machine.travel(clock.now() + timedelta(hours=1)):
        assert harness.run_job("delete_orphans") == 0
    with time_machine.travel(clock.now() + timedelta(days=2)):
        assert harness.run_job("delete_orphans") == 1
    assert uploader.files() == [kept]
