"""The credential-leak drill on a platform of its own: it withdraws the key that signs, which others would feel."""

import json

import pytest
from click.testing import CliRunner

from ops.incident import command
from ops.testing import TEST_FOLDER, live_platform

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


def test_what_was_stolen_is_dead_and_everybody_else_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with live_platform(TEST_FOLDER / "drill") as live:
        monkeypatch.setattr(command, "this_platform", lambda: live.operations)
        answer = CliRunner().invoke(command.group, ["drill", "--json"])
        assert answer.exit_code == 0, answer.output
        told = json.loads(answer.stdout)
        assert (told["failed"], len(told["steps"])) == (0, 10)
        kept = json.loads(CliRunner().invoke(command.group, ["show", told["incident"], "--json"]).stdout)
        assert kept["state"] == "ended"
        assert sum(each["kind"] == "note" for each in kept["entries"]) == 10
