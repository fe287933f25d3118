"""The ledger does not start with a key that is not its own."""

from pathlib import Path

import pytest

from libs.common.config import ConfigurationError, load
from libs.common.testing import Harness
from services.ledger.domain.notes import NoteSigner
from services.ledger.settings import Settings


def test_a_signing_key_that_is_broken_or_of_another_log_stops_the_start_without_being_shown(harness: Harness) -> None:
    other = NoteSigner.generate("other.example").private_key
    broken = harness.environ["LOG_SIGNING_KEY"][:-1]
    for key, reason in ((other, "must be made for the name in LOG_ORIGIN"), (broken, "LOG_SIGNING_KEY cannot be used")):
        with pytest.raises(ConfigurationError, match=reason) as refused:
            load(Settings, {**harness.environ, "LOG_SIGNING_KEY": key})
        assert key.rsplit("+", 1)[1] not in str(refused.value)


def test_the_key_may_come_from_a_file(harness: Harness, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(harness.environ["LOG_SIGNING_KEY"] + "\n", encoding="utf-8")
    environ = {name: value for name, value in harness.environ.items() if name != "LOG_SIGNING_KEY"}

    settings = load(Settings, {**environ, "LOG_SIGNING_KEY_FILE": str(path)})

    assert settings.log_signing_key.get_secret_value() == harness.environ["LOG_SIGNING_KEY"]
