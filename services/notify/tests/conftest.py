"""Notify on a database of its own, with a key pair of its own."""

from collections.abc import Callable, Iterator

import pytest

from libs.common.events import Recipient
from libs.common.events.personal import generate_key_pair
from libs.common.testing import Harness, service_harness
from services.notify.app import service
from services.notify.tests.listening import StreamProcess

PRIVATE_KEY, PUBLIC_KEY = generate_key_pair()

harness = service_harness(service, {"NOTIFY_PRIVATE_KEY": PRIVATE_KEY, "NOTIFY_PUBLIC_KEY": PUBLIC_KEY})


@pytest.fixture(autouse=True)
def _sealed_to_notify(harness: Harness) -> None:
    """Producers seal personal values to the key that notify holds."""
    harness.recipient = Recipient(PUBLIC_KEY)


@pytest.fixture
def start_stream_process(harness: Harness) -> Iterator[Callable[[], StreamProcess]]:
    """Starts stream processes, each with a hub of its own, and ends them after the test."""
    started: list[StreamProcess] = []

    def start() -> StreamProcess:
        started.append(StreamProcess(harness))
        return started[-1]

    yield start
    for process in started:
        process.stop()


@pytest.fixture
def stream_process(start_stream_process: Callable[[], StreamProcess]) -> StreamProcess:
    """One stream process."""
    return start_stream_process()
