"""The doors of the platform that the test run starts."""

from collections.abc import Iterator

import pytest

from ops.testing import LivePlatform
from tests.journeys.doors import Doors


@pytest.fixture(scope="session")
def doors(platform: LivePlatform) -> Iterator[Doors]:
    """Gateway and services of the running platform."""
    opened = Doors(platform)
    yield opened
    opened.close()
