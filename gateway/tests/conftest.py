"""A running gateway, shared where tests do not change it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway.tests.running import RunningGateway


def _started(root: Path, profile: str) -> Iterator[RunningGateway]:
    running = RunningGateway(root, profile)
    try:
        running.scale(2)
        running.publish_key()
        running.start()
        yield running
    finally:
        running.close()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """For tests that leave it as it was."""
    yield from _started(tmp_path_factory.mktemp("shared"), "development")


@pytest.fixture
def own(tmp_path: Path) -> Iterator[RunningGateway]:
    """For tests that reload, revoke or kill."""
    yield from _started(tmp_path, "development")


@pytest.fixture
def production(tmp_path: Path) -> Iterator[RunningGateway]:
    """With the limits of production."""
    yield from _started(tmp_path, "production")


@pytest.fixture(scope="session")
def client(shared: RunningGateway) -> Iterator[httpx.Client]:
    """A client of the shared gateway."""
    with httpx.Client(base_url=shared.url, timeout=20) as opened:
        yield opened
