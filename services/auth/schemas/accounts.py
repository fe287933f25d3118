"""What clients send and are answered of profiles and accounts."""

from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import model_validator

from libs.common.auth.policy import Role
from libs.common.http import Input, PageQuery, View
from libs.common.http.texts import EmailText, PersonName
from services.auth.domain.accounts import (
    Locale,
    Status,
)
from services.auth.schemas.texts import Bio, BioText, DisplayName, EmailAddress


class Profile(View):
    """What a person says of themselves, and what the platform says of them."""

    id: UUID
    email: EmailText
    display_name: PersonName
    bio: BioText | None
    locale: Locale
    role: Role
    status: Status
    verified: bool
    created_at: datetime


class ChangeProfile(Input):
    """Members to change; those left out stay, and a null bio is removed."""

    display_name: DisplayName | None = None
    bio: Bio | None = None
    locale: Locale | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("must name at least one of display_name, bio, locale")
        if any(getattr(self, name) is None for name in self.model_fields_set - {"bio"}):
            raise ValueError("must not set display_name or locale to null; leave out what stays as it is")
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
