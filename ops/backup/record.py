"""What backups there are and when the last was verified: a JSON file in the folder of backups."""

import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

NAME: Final = "record.json"


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup, as the record knows it."""

    name: str
    created_at: datetime
    bytes: int
    sha256: str
    """Of the encrypted file: what is verified is what was made."""
    log_size: int
    """Leaves of the transparency log that it holds."""
    verified_at: datetime | None = None
    """When it was last restored into a scratch database and found whole."""


@dataclass(frozen=True, slots=True)
class Record:
    """All backups of one folder, oldest first."""

    backups: tuple[Backup, ...] = ()

    @property
    def newest(self) -> Backup | None:
        """The backup that was made last."""
        return max(self.backups, key=lambda each: each.created_at, default=None)

    @property
    def newest_verified(self) -> Backup | None:
        """The last made of those that were verified: what a restore can count on."""
        return max((each for each in self.backups if each.verified_at), key=lambda each: each.created_at, default=None)

    def named(self, name: str) -> Backup | None:
        """The backup of this name."""
        return next((each for each in self.backups if each.name == name), None)

    def with_backup(self, backup: Backup) -> "Record":
        """The record with this backup in it, in place of what was known under its name."""
        others = [each for each in self.backups if each.name != backup.name]
        return Record(tuple(sorted([*others, backup], key=lambda each: each.created_at)))

    def without(self, name: str) -> "Record":
        """The record without the backup of this name."""
        return Record(tuple(each for each in self.backups if each.name != name))


def read(folder: Path) -> Record:
    """The record of a folder of backups; empty where none was made. Raises ValueError when the file is no record."""
    path = folder / NAME
    if not path.exists():
        return Record()
    content = json.loads(path.read_text(encoding="utf-8"))
    return Record(tuple(_backup(each) for each in content["backups"]))


def write(folder: Path, record: Record) -> None:
    """Keep the record. The file appears whole or not at all."""
    content = {"backups": [_written(each) for each in record.backups]}
    draft = folder / f".{NAME}.{os.getpid()}"
    draft.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    draft.replace(folder / NAME)


def _backup(given: dict[str, str | int | None]) -> Backup:
    verified = given.get("verified_at")
    return Backup(
        name=str(given["name"]),
        created_at=datetime.fromisoformat(str(given["created_at"])),
        bytes=int(given["bytes"] or 0),
        sha256=str(given["sha256"]),
        log_size=int(given["log_size"] or 0),
        verified_at=datetime.fromisoformat(str(verified)) if verified else None,
    )


def _written(backup: Backup) -> dict[str, object]:
    moments = {
        "created_at": backup.created_at.isoformat(timespec="seconds"),
        "verified_at": backup.verified_at.isoformat(timespec="seconds") if backup.verified_at else None,
    }
    return {**asdict(backup), **moments}
