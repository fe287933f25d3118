"""The import contracts refuse what they are there to refuse: each violation is planted into a copy of the tree."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from libs.common.config import process_environment
from tests.architecture.source import ROOT

PACKAGES = ("libs", "services", "gateway", "ops")

# For each contract: the file to add a line to (made if it is not there) and the line.
PLANTED: dict[str, list[tuple[str, str]]] = {
    "Everything stands on the kernel, and the kernel on nothing of ours": [
        ("libs/common/money.py", "import services.tasks.domain"),
        ("libs/common/http/routes.py", "import gateway.settings"),
        ("services/tasks/jobs.py", "import ops.settings"),
        ("gateway/settings.py", "import services.auth.events"),
    ],
    "Services are strangers but for published events": [
        ("services/payments/settings.py", "import services.tasks.events"),
        ("services/payments/subscriptions.py", "import services.tasks.domain"),
        ("services/notify/subscriptions.py", "import services.tasks.models"),
        ("services/payments/routes.py", "import services.ledger.queries"),
    ],
    "Every service has the same shape, and nothing outside it": [
        ("services/tasks/utils.py", ""),
        ("services/media/domain/kinds.py", "import services.media.models"),
        ("services/media/queries.py", "import services.media.use_cases"),
        ("services/media/routes.py", "import services.media.adapters.local"),
        ("services/media/use_cases.py", "import services.media.settings"),
    ],
    "Domains and events are pure: no web, database, broker, settings or clock": [
        ("services/media/domain/kinds.py", "import sqlalchemy"),
        ("services/media/domain/ranges.py", "import libs.common.clock"),
        ("services/media/events.py", "import flask"),
    ],
    "Only the edge knows the web": [
        ("services/media/use_cases.py", "import flask"),
        ("services/media/queries.py", "import libs.common.http.models"),
    ],
    "Doors never touch tables": [
        ("services/media/routes.py", "import services.media.models"),
        ("services/notify/subscriptions.py", "import services.notify.models"),
    ],
    "A fact leaves through the outbox: only the bus itself holds the broker": [
        ("services/media/use_cases.py", "import libs.common.events.broker"),
        ("services/media/jobs.py", "import pika"),
    ],
    "The kernel is itself layered": [
        ("libs/common/db/tables.py", "import libs.common.http.models"),
        ("libs/common/helpers.py", ""),
    ],
    "Test support stays in tests": [("services/media/app.py", "import libs.common.testing")],
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of everything that the contracts look at."""
    copy = tmp_path_factory.mktemp("tree")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__", "*.json", "templates"))
    shutil.copy(ROOT / ".importlinter", copy)
    return copy


@pytest.fixture
def planted(tree: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The tree with the violations of one contract; the contract's name."""
    contract = str(request.param)
    before: dict[Path, str | None] = {}
    for file, line in PLANTED[contract]:
        path = tree / file
        before[path] = path.read_text(encoding="utf-8") if path.exists() else None
        assert (before[path] is None) == (not line), f"{file} has moved: plant the violation where it went"
        path.write_text(f"{before[path] or ''}\n{line}\n", encoding="utf-8")
    yield contract
    for path, text in before.items():
        path.write_text(text, encoding="utf-8") if text is not None else path.unlink()


def lint(tree: Path) -> tuple[int, str]:
    """Exit code and report of the contracts on this tree."""
    program = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run(
        [str(program), "--no-cache", "--config", ".importlinter"],
        cwd=tree,
        env={**process_environment(), "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_the_repository_keeps_all_contracts(tree: Path) -> None:
    code, report = lint(tree)
    assert code == 0, report


def dotted(file: str) -> str:
    """The module that a file is."""
    return file.removesuffix(".py").replace("/", ".")


@pytest.mark.parametrize("planted", PLANTED, indirect=True)
def test_planted_imports_break_the_contract(tree: Path, planted: str) -> None:
    _, report = lint(tree)
    assert any(line.startswith(planted) and " BROKEN" in line for line in report.splitlines()), report
    for file, line in PLANTED[planted]:
        found = f"{dotted(file)} -> {line.removeprefix('import ')}" if line else dotted(file)
        assert found in report


def test_every_contract_has_planted_violations() -> None:
    lines = (ROOT / ".importlinter").read_text(encoding="utf-8").splitlines()
    assert {line.removeprefix("name = ") for line in lines if line.startswith("name = ")} == set(PLANTED)


def test_a_new_service_needs_no_change_to_the_contracts(tree: Path) -> None:
    source, copy = tree / "services" / "media", tree / "services" / "search"
    shutil.copytree(source, copy)
    for path in copy.rglob("*.py"):
        path.write_text(path.read_text(encoding="utf-8").replace("services.media", "services.search"), encoding="utf-8")
    try:
        code, report = lint(tree)
        assert code == 0, report
    finally:
        shutil.rmtree(copy)
