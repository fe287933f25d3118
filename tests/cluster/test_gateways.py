"""Two gateways before one platform: revocations within a second at both, limits that are counted together."""

from pathlib import Path

import pytest

from ops.testing import LivePlatform
from tests.cluster.gateway_rehearsal import BITES_WITHIN_SECONDS, rehearse

pytestmark = [pytest.mark.platform, pytest.mark.long, pytest.mark.timeout(300)]


def test_two_gateways_refuse_an_ended_session_within_a_second_and_count_together(
    platform: LivePlatform, tmp_path: Path
) -> None:
    result = rehearse(platform, tmp_path, turns=2)

    assert max(result.refused_after) <= BITES_WITHIN_SECONDS
    assert result.limit <= result.in_turns < 2 * result.limit
    assert result.limit <= result.at_once < 2 * result.limit
