"""The numbers that an operator may set, at, below and above their bounds."""

import pytest

from libs.common.config import ConfigurationError, load
from libs.common.testing import Harness
from services.tasks.domain.rules import Rules
from services.tasks.settings import Settings


def test_the_usual_numbers(harness: Harness) -> None:
    assert harness.resource(Rules) == Rules(max_active_tasks=3, advisory_threshold=70, lumens_per_task=10)


@pytest.mark.parametrize(
    ("name", "lowest", "highest"),
    [("MAX_ACTIVE_TASKS", 1, 100), ("ADVISORY_THRESHOLD", 0, 100), ("LUMENS_PER_TASK", 0, 10_000)],
)
def test_each_number_has_its_bounds(harness: Harness, name: str, lowest: int, highest: int) -> None:
    for value in (lowest, highest):
        assert getattr(load(Settings, {**harness.environ, name: str(value)}).rules, name.lower()) == value
    for value in (lowest - 1, highest + 1):
        with pytest.raises(ConfigurationError, match=name):
            load(Settings, {**harness.environ, name: str(value)})
