"""The timeline of one incident: a JSON document a line, each bound to the one before it, so that nobody rewrites what was said.

The chain shows changes in the middle, not a tail that was cut off; whoever must prove that too keeps the last digest elsewhere:
it is part of every announcement.
"""

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from libs.common import clock
from ops.errors import OperationError

FILE: Final = "timeline.jsonl"
POST_MORTEM: Final = "post-mortem.md"
LOCK: Final = ".lock"
NAME: Final = re.compile(r"INC-\d{8}-\d{1,4}")
TEXT_MAX: Final = 4_000
"""Characters of a title or note: what one reads while something is on fire."""
TITLE_MAX: Final = 200
POST_MORTEM_DUE: Final = timedelta(hours=48)
"""From the end of an incident to its review, whatever its severity."""
BEGINNING: Final = "0" * 64


class Severity(StrEnum):
    """How bad it is; docs/runbooks/severities.md says what each means."""

    SEV_1 = "SEV-1"
    SEV_2 = "SEV-2"
    SEV_3 = "SEV-3"


class Kind(StrEnum):
    """What an entry tells."""

    STARTED = "started"
    NOTE = "note"
    SEVERITY = "severity"
    MAINTENANCE = "maintenance"
    ANNOUNCED = "announced"
    ENDED = "ended"
    REVIEWED = "reviewed"


class TimelineBroken(OperationError):
    """A timeline was changed after it was written, or cannot be read."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened: when, what, who wrote it down; `details` by kind."""

    number: int
    at: str
    kind: str
    by: str
    text: str
    details: dict[str, Any]
    previous: str
    digest: str = ""

    def sealed(self) -> "Entry":
        """The same with the digest of everything else."""
        content = {name: value for name, value in asdict(self).items() if name != "digest"}
        text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return Entry(**content, digest=hashlib.sha256(text.encode()).hexdigest())

    @property
    def moment(self) -> datetime:
        """When it was written down."""
        return datetime.fromisoformat(self.at)


@dataclass
class Incident:
    """What the timeline of an incident says, read and verified."""

    name: str
    folder: Path
    entries: list[Entry] = field(default_factory=list)

    def of(self, kind: Kind) -> list[Entry]:
        """The entries of one kind, oldest first."""
        return [each for each in self.entries if each.kind == kind]

    @property
    def title(self) -> str:
        """In one line, what is wrong."""
        return self.entries[0].text

    @property
    def severity(self) -> Severity:
        """As it was last judged."""
        return Severity([each for each in self.entries if "severity" in each.details][-1].details["severity"])

    @property
    def started_at(self) -> datetime:
        """When it was declared."""
        return self.entries[0].moment

    @property
    def ended_at(self) -> datetime | None:
        """When it was over; None while it is not."""
        ended = self.of(Kind.ENDED)
        return ended[-1].moment if ended else None

    @property
    def reviewed(self) -> bool:
        """Whether its post-mortem was held."""
        return bool(self.of(Kind.REVIEWED))

    @property
    def review_due_at(self) -> datetime | None:
        """Until when the post-mortem must be held; None when none is due."""
        return None if self.ended_at is None or self.reviewed else self.ended_at + POST_MORTEM_DUE

    @property
    def state(self) -> str:
        """open, ended or reviewed."""
        return "reviewed" if self.reviewed else "ended" if self.ended_at else "open"

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        due = self.review_due_at
        return {
            "id": self.name,
            "title": self.title,
            "severity": self.severity,
            "state": self.state,
            "started_at": self.started_at.isoformat(),
            "ended_at": self.ended_at.isoformat() if self.ended_at else None,
            "review_due_at": due.isoformat() if due else None,
            "folder": str(self.folder),
            "entries": [asdict(each) for each in self.entries],
        }


class Incidents:
    """All incidents below one folder; a folder each. Safe to call from several processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """Every incident's name, oldest first."""
        found = [path.parent.name for path in self.folder.glob(f"INC-*/{FILE}") if NAME.fullmatch(path.parent.name)]
        return sorted(found, key=lambda name: (name[:13], int(name.rpartition("-")[2])))

    def all(self) -> list[Incident]:
        """Every incident, oldest first. Raises TimelineBroken."""
        return [self.read(name) for name in self.names()]

    def read(self, name: str) -> Incident:
        """One incident, its chain verified. Raises OperationError when there is none, TimelineBroken when it does not hold."""
        path = self.folder / name / FILE
        if not NAME.fullmatch(name) or not path.exists():
            raise OperationError(f"There is no incident {name}. `lumiere incident list` names them.")
        entries = list(_verified(path.read_text(encoding="utf-8").splitlines(), path))
        if not entries:
            raise TimelineBroken(f"{path} is empty. Bring it back from where it was copied to.")
        return Incident(name, path.parent, entries)

    def chosen(self, name: str | None) -> Incident:
        """The incident of this name; without one, the only open one. Raises OperationError."""
        if name is not None:
            return self.read(name)
        opened = [each for each in self.all() if each.state == "open"]
        if len(opened) == 1:
            return opened[0]
        if not opened:
            raise OperationError('No incident is open. `lumiere incident start SEV-2 "what is wrong"` opens one.')
        raise OperationError(f"Several are open ({', '.join(each.name for each in opened)}): name one with --id.")

    def start(self, severity: Severity, title: str, by: str) -> Incident:
        """Open an incident under the next name of the day. Raises OperationError."""
        _require_text(title, TITLE_MAX)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._locked():
            day = clock.now().strftime("%Y%m%d")
            taken = [int(name.rpartition("-")[2]) for name in self.names() if name.startswith(f"INC-{day}-")]
            name = f"INC-{day}-{max(taken, default=0) + 1}"
            (self.folder / name).mkdir(mode=0o700)
            return self._append(Incident(name, self.folder / name), Kind.STARTED, by, title, {"severity": severity})

    def add(self, name: str, kind: Kind, by: str, text: str, **details: Any) -> Incident:
        """Write one thing down. Raises OperationError, also when the incident's state does not admit it."""
        _require_text(text, TEXT_MAX)
        with self._locked():
            incident = self.read(name)
            _require_state(incident, kind)
            return self._append(incident, kind, by, text, details)

    def _append(self, incident: Incident, kind: Kind, by: str, text: str, details: dict[str, Any]) -> Incident:
        entries = incident.entries
        previous = entries[-1].digest if entries else BEGINNING
        entry = Entry(len(entries) + 1, clock.now().isoformat(timespec="seconds"), kind, by, text, details, previous).sealed()
        descriptor = os.open(incident.folder / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, (json.dumps(asdict(entry), ensure_ascii=False) + "\n").encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return Incident(incident.name, incident.folder, [*entries, entry])

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.folder / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _require_text(text: str, longest: int) -> None:
    if not (len(text.strip()) > 0 and len(text) <= longest):
        raise OperationError(f"Say it in 1 to {longest} characters; a longer story belongs into the post-mortem.")


def _require_state(incident: Incident, kind: Kind) -> None:
    if kind is Kind.ENDED and incident.state != "open":
        raise OperationError(f"{incident.name} has ended already. `lumiere incident start` opens another one.")
    if kind is Kind.SEVERITY and incident.state != "open":
        raise OperationError(f"{incident.name} has ended; its severity stays as it was judged.")
    if kind is Kind.REVIEWED and incident.state != "ended":
        raise OperationError(f"{incident.name} is {incident.state}: only one that has ended and was not reviewed can be.")


def _verified(lines: Sequence[str], path: Path) -> Iterator[Entry]:
    previous = BEGINNING
    for number, line in enumerate(lines, start=1):
        try:
            entry = Entry(**json.loads(line))
        except (ValueError, TypeError):
            raise TimelineBroken(
                f"{path}: line {number} cannot be read. Bring the file back from where it was copied to."
            ) from None
        if entry.number != number or entry.previous != previous or entry.sealed().digest != entry.digest:
            raise TimelineBroken(
                f"{path}: entry {number} is not what was written then, or one before it is missing. Compare it with a copy."
            )
        previous = entry.digest
        yield entry
