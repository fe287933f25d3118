"""What clients send and are answered of profiles and accounts."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, Field, model_validator

from libs.common.auth.policy import Role
from libs.common.http import Input, PageQuery, View
from libs.common.http.texts import EmailText, PersonName
from services.auth.domain.accounts import (
    Locale,
    Status,
)
from services.auth.domain.profiles import (
    LANGUAGE_LENGTH_MAXIMUM,
    LANGUAGES_MAXIMUM,
    SKILLS_MAXIMUM,
    WALLET_ADDRESS_LENGTH,
    Skill,
    languages,
    skills,
    wallet_address,
)
from services.auth.schemas.people import KycView
from services.auth.schemas.texts import Bio, BioText, DisplayName, EmailAddress

WalletText = Annotated[str, Field(examples=["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"])]
WalletAddress = Annotated[WalletText, AfterValidator(wallet_address), Field(max_length=WALLET_ADDRESS_LENGTH)]
LanguageText = Annotated[str, Field(examples=["pt-BR"])]
Languages = Annotated[
    list[Annotated[LanguageText, Field(max_length=LANGUAGE_LENGTH_MAXIMUM)]],
    Field(max_length=LANGUAGES_MAXIMUM),
    AfterValidator(languages),
]
Skills = Annotated[list[Skill], Field(max_length=SKILLS_MAXIMUM), AfterValidator(skills)]


class Profile(View):
    """What a person says of themselves, and what the platform says of them."""

    id: UUID
    email: EmailText
    display_name: PersonName
    bio: BioText | None
    locale: Locale
    wallet_address: WalletText | None
    skills: list[Skill]
    languages: list[LanguageText]
    kyc: KycView
    role: Role
    status: Status
    verified: bool
    created_at: datetime


class ChangeProfile(Input):
    """Members to change; those left out stay, and a null bio or wallet address is removed."""

    display_name: DisplayName | None = None
    bio: Bio | None = None
    locale: Locale | None = None
    wallet_address: WalletAddress | None = None
    skills: Skills | None = None
    languages: Languages | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("must name at least one of display_name, bio, locale, wallet_address, skills, languages")
        if any(getattr(self, name) is None for name in self.model_fields_set - {"bio", "wallet_address"}):
            raise ValueError("may set bio and wallet_address to null alone; leave out what stays as it is")
        return self


class AccountsQuery(PageQuery):
    """Which accounts to list."""

    email: EmailAddress | None = None
    role: Role | None = None
    status: Status | None = None


class ChangeStanding(Input):
    """The role or status to give."""

    role: Role | None = None
    status: Status | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.role is None and self.status is None:
            raise ValueError("must name role or status")
        return self
