"""Whose word on maintenance counts: the operator's, while there is one; else auth's flag; else the door is open.

One file holds both words and what follows from them. HAProxy reads the last, so that they can never disagree on disk.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from libs.common.telemetry import logger

MAINTENANCE_FILE = "maintenance.map"
SCOPE = "platform"
"""What HAProxy looks up: found means that the door is shut."""
AUTH, OPERATOR = "auth", "operator"

log = logger(__name__)


class Word(StrEnum):
    """What an operator may say."""

    ON = "on"
    OFF = "off"
    FOLLOW = "follow"
    """Nothing any more: auth's flag counts again."""


class Decision(BaseModel):
    """Somebody's word. Auth answers it to `GET /internal/maintenance` and tells it as `auth.maintenance.changed`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    enabled: bool
    reason: str | None = None
    changed_by: str | None = None
    changed_at: datetime | None = None
    revision: int = 0
    """Auth's count of its decisions; a smaller one is older."""


@dataclass
class Maintenance:
    """Both words."""

    auth: Decision | None = None
    operator: Decision | None = None

    @classmethod
    def parse(cls, content: bytes) -> "Maintenance":
        """Read the file; a word that cannot be read is as good as none, for auth says its own again."""
        lines = dict(line.partition(" ")[::2] for line in content.decode("utf-8", "replace").split("\n"))
        return cls(_read(lines.get(AUTH)), _read(lines.get(OPERATOR)))

    def file(self) -> bytes:
        """The file, in HAProxy's map format: a key and the rest of the line. JSON holds no line break."""
        lines = [f"{SCOPE} on"] if self.enabled else []
        lines += [f"{name} {word.model_dump_json()}" for name, word in ((AUTH, self.auth), (OPERATOR, self.operator)) if word]
        return "".join(f"{line}\n" for line in lines).encode()

    @property
    def enabled(self) -> bool:
        """Whether the door is shut."""
        decisive = self.operator or self.auth
        return decisive is not None and decisive.enabled

    @property
    def revision(self) -> int:
        """Of auth's decision as it was last heard; 0 before the first."""
        return self.auth.revision if self.auth else 0

    def hear_auth(self, decision: Decision, instead_of: int | None = None) -> bool:
        """Take auth's word when it is newer; returns whether it is another one.

        `instead_of` is the revision that was known when auth was asked: if nothing was heard meanwhile, auth's answer counts
        even when its revision is smaller, as it is after a restored backup.
        """
        newer = self.auth is None or decision.revision > self.revision or instead_of == self.revision
        if not newer or decision == self.auth:
            return False
        self.auth = decision
        return True

    def hear_operator(self, decision: Decision | None) -> bool:
        """Take the operator's word, or that there is none any more; returns whether it is another one."""
        changed = decision != self.operator
        self.operator = decision
        return changed

    def document(self) -> dict[str, Any]:
        """For people: what is in force, and both words."""
        words = ((AUTH, self.auth), (OPERATOR, self.operator))
        return {"enabled": self.enabled, **{name: word.model_dump(mode="json") if word else None for name, word in words}}


def _read(text: str | None) -> Decision | None:
    if text is None:
        return None
    try:
        return Decision.model_validate_json(text)
    except ValidationError as error:
        log.error("gateway.maintenance.unreadable", faults=error.error_count())  # noqa: TRY400 — its text would be the file's
        return None
