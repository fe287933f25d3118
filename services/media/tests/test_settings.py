"""What media's environment may say of a bucket."""

from pathlib import Path

import pytest

from libs.common.config import ConfigurationError, load
from libs.common.testing import Harness
from services.media.settings import Settings
from services.media.tests.fake_s3 import SECRET

WHOLE = {"S3_BUCKET": "lumiere-files", "S3_ACCESS_KEY_ID": "AKFAKE", "S3_SECRET_ACCESS_KEY": SECRET}


def test_without_a_bucket_files_go_to_the_folder(harness: Harness) -> None:
    assert load(Settings, harness.environ).s3_bucket is None


@pytest.mark.parametrize("missing", WHOLE)
def test_a_bucket_comes_with_its_keys_or_not_at_all(harness: Harness, missing: str) -> None:
    given = {name: value for name, value in WHOLE.items() if name != missing}
    with pytest.raises(ConfigurationError, match=missing) as refused:
        load(Settings, {**harness.environ, **given})
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("public", "inside", "taken"),
    [
        (None, None, True),
        (None, "https://s3.example", True),
        (None, "http://s3:9000", False),
        ("https://files.example", "http://s3:9000", False),
        ("https://files.example", "http://127.0.0.1:9000", True),
        ("http://files.example", "https://s3.example", False),
    ],
)
def test_in_production_the_bucket_is_reached_over_tls_alone(
    harness: Harness, public: str | None, inside: str | None, taken: bool, tmp_path: Path
) -> None:
    addresses = {"S3_PUBLIC_ENDPOINT": public, "S3_ENDPOINT": inside}
    environ = {
        **harness.environ,
        **WHOLE,
        **{name: value for name, value in addresses.items() if value},
        "LUMIERE_ENV": "production",
        "LUMIERE_ORIGIN": "https://lumiere.film",
    }
    if taken:
        assert load(Settings, environ).s3_bucket == "lumiere-files"
    else:
        with pytest.raises(ConfigurationError, match=r"S3_(PUBLIC_)?ENDPOINT"):
            load(Settings, environ)
