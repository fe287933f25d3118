"""What notify's environment must hold."""

from pathlib import Path

import pytest

from libs.common.config import ConfigurationError, load
from libs.common.events.personal import generate_key_pair
from libs.common.testing import Harness
from services.notify.settings import Settings


def test_the_keys_must_belong_together(harness: Harness) -> None:
    _, another = generate_key_pair()

    with pytest.raises(ConfigurationError, match="NOTIFY_PUBLIC_KEY must be the public key"):
        load(Settings, {**harness.environ, "NOTIFY_PUBLIC_KEY": another})


def test_a_private_key_that_is_none_is_refused_and_not_shown(harness: Harness) -> None:
    with pytest.raises(ConfigurationError, match="NOTIFY_PRIVATE_KEY must be an X25519 private key") as refused:
        load(Settings, {**harness.environ, "NOTIFY_PRIVATE_KEY": "no-key-at-all-but-of-the-right-length-1234567"})
    assert "no-key-at-all" not in str(refused.value)


def test_an_older_private_key_may_follow_the_newest(harness: Harness) -> None:
    older, _ = generate_key_pair()
    newest = harness.environ["NOTIFY_PRIVATE_KEY"]

    settings = load(Settings, {**harness.environ, "NOTIFY_PRIVATE_KEY": f"{newest} {older}"})

    assert settings.private_keys == [newest, older]


def test_in_production_a_log_line_is_no_delivery(harness: Harness, tmp_path: Path) -> None:
    production = {**harness.environ, "LUMIERE_ENV": "production", "LUMIERE_ORIGIN": "https://lumiere.film"}

    with pytest.raises(ConfigurationError, match="MAIL_FOLDER is required"):
        load(Settings, production)
    assert load(Settings, {**production, "MAIL_FOLDER": str(tmp_path)}).mail_folder == tmp_path
