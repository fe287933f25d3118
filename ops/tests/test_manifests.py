"""Generated files: each that is not as its declaration would write it is named."""

import re
import shutil
from pathlib import Path

import pytest

from ops.checks import policy
from ops.manifests import documents, drift
from ops.settings import ROOT


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The generated files and what they are made of, beside a copy of the folders."""
    for path in [
        *ROOT.glob("services/*/app.py"),
        *ROOT.glob("services/*/tests/golden/*.json"),
        ROOT / "gateway" / "policy.json",
        *(ROOT / "deploy").glob("*.yml"),
    ]:
        target = tmp_path / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    for path, content in documents(tmp_path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path


def test_a_generated_file_that_was_edited_or_is_missing_is_named(copy: Path) -> None:
    assert drift(copy) == ""

    policy = copy / "services" / "tasks" / "policy.json"
    policy.write_text(policy.read_text().replace('"ADMIN"', '"VIEWER"'), encoding="utf-8")
    (copy / "docs" / "roles.md").unlink()

    found = drift(copy).splitlines()
    assert [line.split(":")[0] for line in found] == ["services/tasks/policy.json", "docs/roles.md"]
    assert all("run `make manifests` and commit it" in line for line in found)


def test_a_policy_that_cannot_be_compiled_is_named_by_file_and_line(copy: Path) -> None:
    assert policy.faults(copy) == ""

    manifest = copy / "services" / "tasks" / "policy.json"
    manifest.write_text(manifest.read_text().replace('"ADMIN"', '"KING"', 1), encoding="utf-8")

    assert re.match(r"services/tasks/policy\.json:\d+: route .*: allow: ", policy.faults(copy))


def test_the_role_table_names_every_route_with_its_limits(copy: Path) -> None:
    table = (copy / "docs" / "roles.md").read_text(encoding="utf-8")

    assert "| POST | `/api/v1/auth/login` | public | credentials | 32768 | 15 |" in table
    assert "| GET | `/health` | ADMIN |" in table
