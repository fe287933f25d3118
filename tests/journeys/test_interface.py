"""The interface keeps to its own document, whoever asks and whatever is sent: schemathesis over the merged OpenAPI document.

Nothing breaks (no 5xx), every answer is one that the document knows (status, media type, shape, headers), and no credential
that is missing or false is overlooked. A finding names its seed: `LUMIERE_INTERFACE_SEED=n` draws the same cases again.
"""

import secrets
from typing import Any, Final

import httpx
import pytest

from libs.common.auth.policy import Role
from libs.common.config import process_environment
from tests.journeys.doors import Doors
from tests.journeys.fuzzing import fuzz

pytestmark = [pytest.mark.platform, pytest.mark.timeout(1_200)]

NOBODY: Final = "nobody"
CALLERS: Final = (NOBODY, *Role)
EXAMPLES: Final = 30
SLICE: Final = ("/api/v1/films", "/api/v1/admin/films", "/api/v1/profile", "/api/v1/uploads", "/api/v1/auth/login")
"""Enough paths to see every kind of input in a few seconds."""
SEED: Final = int(process_environment().get("LUMIERE_INTERFACE_SEED") or secrets.randbelow(2**31))
Document = dict[str, Any]


@pytest.fixture(scope="module")
def document(doors: Doors) -> Document:
    """What the gateway says of the whole interface."""
    merged: Document = httpx.get(f"{doors.origin}/openapi.json", timeout=30).raise_for_status().json()
    return merged


def require_nothing_found(document: Document, doors: Doors, caller: str, examples: int) -> None:
    """Ask as one caller; every answer must be a success or a refusal that the document foresees."""
    token = None if caller == NOBODY else lambda: doors.forge.token(Role(caller))
    found = fuzz(document, token, seed=SEED, examples=examples)

    assert not found.faults, f"LUMIERE_INTERFACE_SEED={SEED}, as {caller}, {found.requests} requests:\n{found.report()}"
    assert found.requests > len(document["paths"])
    assert caller == NOBODY or any(status < 300 for status in found.statuses), found.statuses


@pytest.mark.long
@pytest.mark.parametrize("caller", CALLERS)
def test_the_interface_keeps_to_its_document(caller: str, document: Document, doors: Doors) -> None:
    require_nothing_found(document, doors, caller, EXAMPLES)


def test_a_slice_of_the_interface_keeps_to_its_document(document: Document, doors: Doors) -> None:
    paths = {path: operations for path, operations in document["paths"].items() if path in SLICE}
    assert len(paths) == len(SLICE)

    require_nothing_found({**document, "paths": paths}, doors, Role.ADMIN, examples=0)
