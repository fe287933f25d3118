"""The record of backups and the register of rotations: what the doctor asks."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ops.backup import record
from ops.backup.record import Backup, Record
from ops.secrets import register
from ops.secrets.register import Stale

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def backup(name: str, days_ago: int, *, verified: bool = False) -> Backup:
    """One that was made so many days ago."""
    made = NOW - timedelta(days=days_ago)
    return Backup(name, made, bytes=10, sha256="ab" * 32, log_size=5, verified_at=NOW if verified else None)


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    known = Record((backup("old", 3, verified=True), backup("new", 1)))
    assert record.read(tmp_path) == Record()

    record.write(tmp_path, known)

    assert record.read(tmp_path) == known
    assert [path.name for path in tmp_path.iterdir()] == [record.NAME]


def test_the_newest_backup_need_not_be_the_newest_that_was_verified() -> None:
    known = Record().with_backup(backup("new", 1)).with_backup(backup("old", 3, verified=True))

    assert [each.name for each in known.backups] == ["old", "new"]
    assert known.newest == known.named("new")
    assert known.newest_verified == known.named("old")
    assert known.without("old").newest_verified is None
    assert Record().newest is None


@pytest.mark.parametrize(("target", "beside"), [("production.yaml", "production"), ("secrets", "secrets"), ("b.env", "b")])
def test_a_register_stands_beside_what_it_speaks_of(tmp_path: Path, target: str, beside: str) -> None:
    assert register.register_path(tmp_path / target) == tmp_path / f"{beside}.register.json"


@pytest.mark.parametrize(("days", "seconds", "found"), [(89, 0, False), (90, 0, False), (90, 1, True)])
def test_a_secret_is_old_after_ninety_days(tmp_path: Path, days: int, seconds: int, found: bool) -> None:
    target = tmp_path / "secrets"
    register.note(target, ["AUTH_SECRET"], NOW - timedelta(days=days, seconds=seconds))

    assert register.stale(target, ["AUTH_SECRET"], NOW) == ([Stale("AUTH_SECRET", "old", 90)] if found else [])


def test_a_secret_that_the_register_does_not_know_is_named_too(tmp_path: Path) -> None:
    target = tmp_path / "production.yaml"
    register.note(target, ["A", "B"], NOW)
    register.forget(target, ["B"])

    assert register.read(target) == {"A": NOW}
    assert register.stale(target, ["A", "B"], NOW) == [Stale("B", "unknown", None)]
