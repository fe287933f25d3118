"""Postgres of the test run, for rehearsals that bring the other servers themselves."""

import pytest


@pytest.fixture
def rehearsing() -> None:
    """Says that DATABASE_URL is needed: the run starts servers for tests that use a fixture of ours."""
