"""The media service on a database and a storage folder of its own."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from libs.common.ids import random_token
from libs.common.testing import Harness, service_harness
from services.media.app import service
from services.media.tests.client import Uploader

_ROOT = Path(tempfile.mkdtemp(prefix="lumiere-media-"))
FOLDER = _ROOT / "storage"

harness = service_harness(service, {"STORAGE_FOLDER": str(FOLDER), "STORAGE_SECRET": random_token()})


@pytest.fixture(scope="session", autouse=True)
def _folder() -> Iterator[None]:
    yield
    shutil.rmtree(_ROOT, ignore_errors=True)


@pytest.fixture
def folder(harness: Harness) -> Path:
    """The storage folder, without files."""
    _ = harness.resources
    for path in FOLDER.rglob("*"):
        if path.is_file():
            path.unlink()
    return FOLDER


@pytest.fixture
def uploader(harness: Harness, folder: Path) -> Uploader:
    """Somebody who uploads."""
    return Uploader(harness, folder)
