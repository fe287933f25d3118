"""One harness for all tests of production."""

import pytest

from libs.common.testing import Harness, service_harness
from services.tasks.app import service
from services.tasks.tests.studio import Studio

harness = service_harness(service)


@pytest.fixture
def studio(harness: Harness) -> Studio:
    """A studio with one administrator and clean tables."""
    return Studio(harness)
