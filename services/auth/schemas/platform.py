"""What clients send and are answered of maintenance and revocation."""

from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import model_validator

from libs.common.http import Input, View
from services.auth.schemas.texts import Reason, ReasonText


class Maintenance(View):
    """Whether the platform's door is shut to all but those who maintain it; who decided so is null until somebody did."""

    enabled: bool
    reason: ReasonText | None
    changed_by: UUID | None
    changed_at: datetime | None
    revision: int


class DecideMaintenance(Input):
    """Shut the door for a reason that colleagues understand, or open it."""

    enabled: bool
    reason: Reason | None = None

    @model_validator(mode="after")
    def _for_a_reason(self) -> Self:
        if self.enabled and self.reason is None:
            raise ValueError("must give a reason for shutting the door")
        return self


class RevocationList(View):
    """What verifiers must refuse though signed and not expired; times in seconds since 1970."""

    sessions: dict[UUID, int]
    subjects: dict[UUID, int]
    as_of: int
