"""What has been withdrawn before its time, as the gateway keeps it: on disk first, then in the running HAProxy.

Sessions map to the second until which the entry is kept, subjects to the earliest `iat` that still holds. Sources are the
broadcast of `auth.session.revoked` and auth's list; an entry leaves only when no token could carry it any more.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from libs.common.auth.profile import LEEWAY_SECONDS, LIFETIME_SECONDS
from libs.common.telemetry import logger

SESSIONS_FILE, SUBJECTS_FILE, KEYS_FILE = "revoked_sessions.map", "not_before.map", "withdrawn_keys.map"
RETENTION_SECONDS = LIFETIME_SECONDS + LEEWAY_SECONDS
KEY_ID = re.compile(r"^[A-Za-z0-9_-]{1,128}$")
_LINE = re.compile(r"(\S+) ([0-9]{1,18})\s*", re.ASCII)

log = logger(__name__)


class RevocationList(BaseModel):
    """Auth's answer to `GET /internal/revocations`."""

    model_config = ConfigDict(extra="ignore")

    sessions: dict[UUID, datetime | float] = {}
    subjects: dict[UUID, datetime | float] = {}


class SessionRevoked(BaseModel):
    """The data of one `auth.session.revoked`; without a session id all sessions of the person are meant."""

    model_config = ConfigDict(extra="ignore")

    user_id: UUID
    session_id: UUID | None = None
    not_before: datetime | None = None
    expires_at: datetime


def seconds(moment: datetime | float) -> int:
    """Whole seconds since 1970, rounded up: for a whole `iat`, comparing with these is comparing with the moment itself."""
    return math.ceil(moment.timestamp() if isinstance(moment, datetime) else moment)


@dataclass
class Revocations:
    """Entries by canonical UUID text, keys by their id. `add_*` return whether anything became stricter."""

    sessions: dict[str, int] = field(default_factory=dict)
    subjects: dict[str, int] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    """Withdrawn since this second. They never come back by themselves: an id is a hash of its key."""

    @classmethod
    def parse(cls, contents: Mapping[str, bytes]) -> "Revocations":
        """Read the map files, by name."""
        return cls(*(_parse(contents[name]) for name in (SESSIONS_FILE, SUBJECTS_FILE, KEYS_FILE)))

    def files(self) -> dict[str, bytes]:
        """File name → content in HAProxy's map format."""
        return {SESSIONS_FILE: _render(self.sessions), SUBJECTS_FILE: _render(self.subjects), KEYS_FILE: _render(self.keys)}

    def add_session(self, session: UUID, until: int, now: float) -> bool:
        """Refuse tokens of this session, at least for as long as one could live."""
        key, horizon = str(session), max(until, math.ceil(now) + RETENTION_SECONDS)
        new = key not in self.sessions
        self.sessions[key] = max(self.sessions.get(key, 0), horizon)
        return new

    def add_subject(self, subject: UUID, not_before: int) -> bool:
        """Refuse tokens of this subject that were issued before this second."""
        key = str(subject)
        stricter = not_before > self.subjects.get(key, 0)
        self.subjects[key] = max(not_before, self.subjects.get(key, 0))
        return stricter

    def add_key(self, key_id: str, now: float) -> bool:
        """Refuse tokens under this key."""
        new = key_id not in self.keys
        self.keys.setdefault(key_id, math.floor(now))
        return new

    def merge(self, document: Mapping[str, Any], now: float) -> bool:
        """Take over auth's list; entries that it does not name stay. Raises ValueError when it is no such list."""
        listed = RevocationList.model_validate(document)
        live = {session: seconds(until) for session, until in listed.sessions.items() if seconds(until) > now}
        changes = [self.add_session(session, until, now) for session, until in live.items()]
        fresh = {
            subject: seconds(moment) for subject, moment in listed.subjects.items() if seconds(moment) > now - RETENTION_SECONDS
        }
        changes += [self.add_subject(subject, moment) for subject, moment in fresh.items()]
        return any(changes)

    def prune(self, now: float) -> dict[str, list[str]]:
        """Drop what no token could carry any more; returns the dropped keys by file."""
        gone = {
            SESSIONS_FILE: [key for key, until in self.sessions.items() if until <= now],
            SUBJECTS_FILE: [key for key, moment in self.subjects.items() if moment <= now - RETENTION_SECONDS],
        }
        for entries, keys in ((self.sessions, gone[SESSIONS_FILE]), (self.subjects, gone[SUBJECTS_FILE])):
            for key in keys:
                del entries[key]
        return gone


def _parse(content: bytes) -> dict[str, int]:
    """What can be read: one line that cannot must keep nobody from withdrawing something else."""
    lines = [line for line in content.decode("utf-8", "replace").splitlines() if line.strip()]
    found = [match for match in map(_LINE.fullmatch, lines) if match]
    if len(found) < len(lines):
        log.error("gateway.revocations.unreadable", lines=len(lines) - len(found))
    return {match[1]: int(match[2]) for match in found}


def _render(entries: Mapping[str, int]) -> bytes:
    return "".join(f"{key} {value}\n" for key, value in sorted(entries.items())).encode()
