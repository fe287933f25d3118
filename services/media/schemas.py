"""What clients send and get."""

from datetime import datetime
from typing import Annotated, Literal, Self, TypedDict
from uuid import UUID

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from libs.common.http import Input, View
from libs.common.http.texts import MediaTypeText, Sentence, Sha256Text
from services.media.domain.kinds import MEDIA_TYPES, SIZE_MAX, SIZE_MIN, Category, filename_fault, is_taken
from services.media.domain.storage import Address
from services.media.domain.uploads import Declaration, Status, Upload

Sha256 = Annotated[Sha256Text, Field(pattern=r"^[0-9a-f]{64}$", description="64 lower-case hexadecimal digits")]
FileName = Annotated[str, Field(examples=["tableau-12.mp4"])]
Label = Annotated[str, Field(examples=["SUBMISSION"])]
Rejected = Annotated[str, Field(examples=["TYPE_MISMATCH"])]
SignedAddress = Annotated[str, Field(examples=["https://lumiere.film/api/v1/uploads/0195561c/content?token=…"])]


class NewUpload(Input):
    """What a client is about to send."""

    category: Annotated[Category, Field(strict=False)]
    filename: FileName = Field(description="Shown to people and given back on download; never a path")
    content_type: MediaTypeText = Field(description="Media type without parameters that the category takes", max_length=127)
    size: int = Field(ge=SIZE_MIN, le=SIZE_MAX, description="Bytes", examples=[1_048_576])
    sha256: Sha256 | None = Field(default=None, description="Of the file; compared with what arrives")
    purpose: Label = Field(
        default="SUBMISSION", pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$", description="A label for the uploader's use"
    )

    @field_validator("filename")
    @classmethod
    def _filename_is_honest(cls, filename: str) -> str:
        if fault := filename_fault(filename):
            raise PydanticCustomError("filename", fault)
        return filename

    @model_validator(mode="after")
    def _category_takes_type(self) -> Self:
        if not is_taken(self.category, self.content_type):
            raise PydanticCustomError(
                "content_type",
                "content_type: {category} takes {types}",
                {"category": self.category.value, "types": ", ".join(sorted(MEDIA_TYPES[self.category]))},
            )
        return self

    def declaration(self) -> Declaration:
        """As the domain takes it."""
        return Declaration(self.category, self.filename, self.content_type, self.size, self.sha256, self.purpose)


class UploadOpened(View):
    """Where to send the file, once."""

    media_id: UUID
    method: str = Field(examples=["PUT"])
    url: SignedAddress
    headers: dict[str, str] = Field(examples=[{"Content-Type": "video/mp4"}])
    expires_at: datetime

    @classmethod
    def of(cls, media_id: UUID, address: Address) -> Self:
        """From an address."""
        return cls(
            media_id=media_id,
            method=address.method,
            url=address.url,
            headers=dict(address.headers),
            expires_at=address.expires_at,
        )


class Received(View):
    """What arrived."""

    media_id: UUID
    size: int
    sha256: Sha256Text


class Completed(View):
    """The verdict on an upload."""

    media_id: UUID
    status: Literal[Status.READY, Status.REJECTED]
    sha256: Sha256Text | None
    mime: MediaTypeText | None
    size: int | None
    reason: Rejected | None
    detail: Sentence | None

    @classmethod
    def of(cls, upload: Upload) -> Self:
        """From a decided upload."""
        return cls.model_validate({"media_id": upload.id, **_found(upload)})


class Media(View):
    """One file of the platform."""

    media_id: UUID
    owner_id: UUID
    category: Category
    filename: FileName
    content_type: MediaTypeText
    purpose: Label
    status: Status
    sha256: Sha256Text | None
    mime: MediaTypeText | None
    size: int | None
    reason: Rejected | None
    detail: Sentence | None
    created_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, upload: Upload) -> Self:
        """From an upload in any state that people see."""
        declared = upload.declared
        return cls(
            media_id=upload.id,
            owner_id=upload.owner_id,
            category=declared.category,
            filename=declared.filename,
            content_type=declared.content_type,
            purpose=declared.purpose,
            created_at=upload.created_at,
            expires_at=upload.expires_at,
            **_found(upload),
        )


class AddressToken(Input):
    """The permission that a signed address carries."""

    token: str = Field(min_length=1, max_length=200, examples=["17724438-0f3c5a7e"])


class _Found(TypedDict):
    status: Status
    sha256: str | None
    mime: str | None
    size: int | None
    reason: str | None
    detail: str | None


def _found(upload: Upload) -> _Found:
    """What was measured and decided; `mime` only once the content has been found to be of that type."""
    return _Found(
        status=upload.status,
        sha256=upload.receipt.sha256 if upload.receipt else None,
        mime=upload.declared.content_type if upload.status is Status.READY else None,
        size=upload.receipt.size if upload.receipt else None,
        reason=upload.rejection.value if upload.rejection else None,
        detail=upload.rejection.sentence if upload.rejection else None,
    )
