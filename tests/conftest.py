"""What journeys and fault runs share: the people of the studio, at work on the platform of this test run."""

from collections.abc import Iterator

import pytest

from ops.testing import LivePlatform
from tests.journeys.inside import Inside
from tests.journeys.people import Studio


@pytest.fixture(scope="session")
def studio(platform: LivePlatform) -> Iterator[Studio]:
    """Two administrators, and as many contributors as a test wants."""
    people = Studio(platform)
    yield people
    people.close()


@pytest.fixture(scope="session")
def inside(platform: LivePlatform) -> Inside:
    """Tables, messages and logs of the platform."""
    return Inside(platform)
