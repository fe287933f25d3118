"""A cluster of three brokers loses its leaders under load, and two of its three nodes at once."""

from pathlib import Path

import pytest

from tests.cluster.broker_rehearsal import rehearse
from tests.faults.counting import FLAWLESS

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.mark.usefixtures("rehearsing")
def test_killing_the_leader_of_a_queue_under_load_loses_and_doubles_nothing(tmp_path: Path) -> None:
    result = rehearse(tmp_path, kills=1)

    assert result.count.verdict == FLAWLESS, result
    assert result.count.effects >= result.acknowledged > 0
    assert result.failed_commands == 0, "a command needed the broker"
    assert result.waiting_without_majority > 0
