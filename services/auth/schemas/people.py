"""What clients send and are answered of proposals, checks and histories."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AwareDatetime, ConfigDict, Field, model_validator

from libs.common import clock
from libs.common.http import Input, PageQuery, View
from services.auth.domain.kyc import KYC_LIFE_MAXIMUM, Check, KycStatus, check_fault
from services.auth.domain.proposals import ProposalStatus


class ProposeAdministrator(Input):
    """Whom to make an administrator."""

    user_id: UUID


class ProposalsQuery(PageQuery):
    """Which proposals to list."""

    status: ProposalStatus | None = None


class ProposalView(View):
    """A proposal to make somebody an administrator."""

    id: UUID
    user_id: UUID
    status: ProposalStatus
    proposed_by: UUID
    proposed_at: datetime
    expires_at: datetime
    decided_by: UUID | None
    decided_at: datetime | None


class KycView(View):
    """Whether somebody was checked, is accredited, and until when both hold."""

    status: KycStatus
    accredited: bool
    expires_at: datetime | None


class RecordKyc(Input):
    """What the check of a person came to."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "PENDING"}]})

    status: KycStatus
    accredited: bool = False
    expires_at: AwareDatetime | None = None

    @model_validator(mode="after")
    def _sound(self) -> Self:
        fault = check_fault(self.check())
        if fault:
            raise ValueError(fault)
        now = clock.now()
        if self.expires_at is not None and not now < self.expires_at <= now + KYC_LIFE_MAXIMUM:
            raise ValueError(f"expires_at must be in the future, and within {KYC_LIFE_MAXIMUM.days} days")
        return self

    def check(self) -> Check:
        """Return it as the domain has it."""
        return Check(self.status, self.accredited, self.expires_at)


class By(StrEnum):
    """Who acted: the person, an administrator, the operator at a command line, or the platform by itself."""

    SELF = "SELF"
    ADMINISTRATOR = "ADMINISTRATOR"
    OPERATOR = "OPERATOR"
    PLATFORM = "PLATFORM"


ActionText = Annotated[str, Field(examples=["identity.link"])]


class Act(View):
    """Something that was done to one's account."""

    id: UUID
    occurred_at: datetime
    action: ActionText
    outcome: Annotated[str, Field(examples=["done"])]
    by: By
    session_id: UUID | None = Field(description="The session it came from; null for what others did")
    details: dict[str, Any]


class RecordedAct(Act):
    """Something that was done to an account, as administrators see it."""

    actor_id: UUID | None
    roles: Annotated[str, Field(examples=["ADMIN"])]
    request_id: str | None = Field(examples=["0195561c78007000"])
