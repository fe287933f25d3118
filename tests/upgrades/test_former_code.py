"""A release is installed while the former one still answers: its code must work on the schema that the new one makes."""

import shutil
import subprocess
from pathlib import Path

import pytest

from libs.common.config import process_environment
from tests.architecture.source import ROOT
from tests.upgrades import former
from tests.upgrades.former import Former

NO_HISTORY = "There is no history here to take former code from (a shallow clone, an archive): NOTHING was tested."
PASSED = 0
COMMITS = former.former_commits(ROOT)
NOTHING = pytest.param(None, marks=pytest.mark.skip(reason=NO_HISTORY))


@pytest.fixture
def servers() -> None:
    """Postgres and RabbitMQ are there; their addresses stand in the environment."""
    assert process_environment()["DATABASE_URL"]


def summary(done: "subprocess.CompletedProcess[str]") -> str:
    return "\n".join(done.stdout.splitlines()[-40:] + done.stderr.splitlines()[-10:])


@pytest.mark.long
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("commit", COMMITS or [NOTHING], ids=str)
def test_the_former_code_passes_its_own_tests_on_todays_schema(commit: Former, servers: None, tmp_path: Path) -> None:
    former.lay_out(ROOT, commit.commit, tmp_path / "former")
    tests = [f"services/{service}/tests" for service in commit.services]
    done = former.run_its_tests(tmp_path / "former", ROOT, tests)
    assert done.returncode == PASSED, summary(done)


PLANTED = '''"""Planted: what the former code reads goes at once."""

from alembic import op

revision = "9999"
down_revision = "{head}"


def upgrade() -> None:
    """Take away what somebody still reads."""
    op.execute("ALTER TABLE media.upload DROP COLUMN {column}")
'''


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_column_that_goes_while_the_former_code_reads_it_is_noticed(servers: None, tmp_path: Path) -> None:
    today, before = tmp_path / "today", tmp_path / "former"
    for place in (today, before):
        for package in ("libs", "services", "gateway", "ops", "tests"):
            shutil.copytree(ROOT / package, place / package, ignore=shutil.ignore_patterns("__pycache__"))
        for file in ("pyproject.toml", "conftest.py"):
            shutil.copy(ROOT / file, place)
    tests = ["services/media/tests/test_uploads.py::test_an_idempotency_key_opens_one_upload"]
    well = former.run_its_tests(before, today, tests)
    assert well.returncode == PASSED, summary(well)

    versions = today / "services" / "media" / "migrations" / "versions"
    head = max(path.stem.partition("_")[0] for path in versions.glob("0*.py"))
    (versions / "9999_planted.py").write_text(PLANTED.format(head=head, column="filename"))

    broken = former.run_its_tests(before, today, tests)

    assert broken.returncode not in {PASSED, 70}, summary(broken)
    assert "filename" in broken.stdout


def repository(place: Path) -> Path:
    """A small repository with two migrations, a commit each."""
    versions = place / "services" / "media" / "migrations" / "versions"
    versions.mkdir(parents=True)
    committing = ["-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "--quiet", "--message"]
    former.git(place, "init", "--quiet")
    for number in ("0001", "0002"):
        (versions / f"{number}_x.py").write_text(number)
        former.git(place, "add", ".")
        former.git(place, *committing, number)
    return place


def test_the_commit_before_the_newest_migration_is_found_with_the_services_that_changed(tmp_path: Path) -> None:
    root = repository(tmp_path)
    (found,) = former.former_commits(root)
    assert (found.why, found.services) == ("before the newest migration", ("media",))
    former.lay_out(root, found.commit, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").rglob("*.py")] == ["0001_x.py"]


def test_the_last_release_is_found_by_its_tag(tmp_path: Path) -> None:
    root = repository(tmp_path)
    former.git(root, "tag", "v0.1.0", "HEAD~1")
    assert [(each.why, each.commit) for each in former.former_commits(root)] == [("the last release", "v0.1.0")]
    former.git(root, "tag", "v0.2.0", "HEAD")
    assert [each.why for each in former.former_commits(root)] == ["before the newest migration"], "nothing changed since v0.2.0"


def test_where_there_is_no_history_there_is_no_former_code(tmp_path: Path) -> None:
    assert former.former_commits(tmp_path) == []
