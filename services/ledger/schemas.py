"""Requests and answers of the ledger."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, model_validator

from libs.common.http import Input, PageQuery, View

SIZE_MAX = 2**53 - 1
"""The largest whole number that every JSON reader keeps exact."""

Hash = Annotated[str, Field(examples=["n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="])]
EventType = Annotated[str, Field(examples=["tasks.task.validated"])]
EntityId = Annotated[str, Field(examples=["0195561c-7800-7000-8000-8c1f9e7ab04d"])]


class ConsistencyQuery(Input):
    """Two sizes of the log."""

    first: int = Field(ge=1, le=SIZE_MAX, description="Tree size of the earlier checkpoint")
    second: int = Field(ge=1, le=SIZE_MAX, description="Tree size of the later checkpoint")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.first > self.second:
            raise ValueError("first must not be larger than second")
        return self


class Consistency(View):
    """A consistency proof (RFC 6962 section 2.1.2)."""

    first: int
    second: int
    hashes: tuple[Hash, ...] = Field(description="Base64 of 32 bytes each, in the order of the RFC")


class ProofQuery(PageQuery):
    """Which sealed events to list."""

    type: str | None = Field(default=None, min_length=1, max_length=255, description="Event type, such as tasks.task.validated")
    entity_id: str | None = Field(default=None, min_length=1, max_length=255, description="What the events are about")


class SealedEvent(View):
    """An event that can be proved."""

    event_id: UUID
    type: EventType
    entity_id: EntityId
    index: int = Field(description="Zero-based position in the log")
    occurred_at: datetime
    leaf_hash: Hash = Field(description="Base64 of SHA-256(0x00 || leaf)")
    proof: str = Field(
        description="Where its proof file is", examples=["/api/v1/proofs/events/0195561c-7800-7000-8000-5d4b1f0e2a3c"]
    )
