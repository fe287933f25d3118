"""A running gateway, shared where tests do not change it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway.maintenance import Decision, Word
from gateway.tests.running import RunningGateway


def _started(root: Path, profile: str) -> Iterator[RunningGateway]:
    running = RunningGateway(root, profile)
    with running.serving(2):
        yield running


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
def shut_and_opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """For tests of maintenance and containment."""
    yield from _started(tmp_path_factory.mktemp("contained"), "development")


@pytest.fixture
def door(shut_and_opened: RunningGateway) -> Iterator[RunningGateway]:
    """A gateway that each test may shut, stop or reload; the next one finds it running and open."""
    yield shut_and_opened
    if shut_and_opened.process and shut_and_opened.process.poll() is not None:
        shut_and_opened.start()
    gateway = shut_and_opened.gateway
    gateway.hear_operator(Word.FOLLOW, None, "conftest")
    gateway.hear_auth(Decision(enabled=False), gateway.maintenance.revision)


@pytest.fixture(scope="session")
def client(shared: RunningGateway) -> Iterator[httpx.Client]:
    """A client of the shared gateway."""
    with httpx.Client(base_url=shared.url, timeout=20) as opened:
        yield opened
