"""A primary dies under load, its standby takes its place, and what was acknowledged is there."""

from pathlib import Path

import pytest

from tests.cluster.database_rehearsal import rehearse
from tests.faults.counting import FLAWLESS

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.mark.usefixtures("rehearsing")
def test_every_acknowledged_commit_survives_the_death_of_the_primary(tmp_path: Path) -> None:
    result = rehearse(tmp_path, switches=2)

    assert result.count.verdict == FLAWLESS, result
    assert result.count.effects >= result.acknowledged > 0
    assert result.acknowledged_without_standby == 0
