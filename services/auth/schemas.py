"""What clients send and what they are answered. Nothing is coerced, nothing unknown is taken, every fault is told at once."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, Field, SecretStr, model_validator

from libs.common.auth.policy import Role
from libs.common.http import Input, PageQuery, View
from libs.common.http.texts import EmailText, PersonName
from services.auth.domain.accounts import (
    ADDRESS_MAXIMUM,
    BIO_MAXIMUM,
    DISPLAY_NAME_MAXIMUM,
    DISPLAY_NAME_MINIMUM,
    Address,
    Locale,
    Status,
    bio,
    display_name,
    normal_address,
    role_at_registration,
)
from services.auth.domain.maintenance import REASON_MAXIMUM, reason
from services.auth.domain.passwords import PASSWORD_MAXIMUM, PASSWORD_MINIMUM, normal_password

TOKEN_MAXIMUM = 200


def _acceptable(password: SecretStr) -> SecretStr:
    return SecretStr(normal_password(password.get_secret_value()))


EmailAddress = Annotated[
    Address,
    AfterValidator(normal_address),
    Field(max_length=ADDRESS_MAXIMUM, json_schema_extra={"format": "email"}, examples=["ada@example.org"]),
]
NewPassword = Annotated[
    SecretStr,
    AfterValidator(_acceptable),
    Field(
        description=f"{PASSWORD_MINIMUM} to {PASSWORD_MAXIMUM} characters",
        json_schema_extra={"minLength": PASSWORD_MINIMUM, "maxLength": PASSWORD_MAXIMUM},
    ),
]
ReasonText = Annotated[str, Field(examples=["Moving the database to a larger machine"])]
Reason = Annotated[ReasonText, AfterValidator(reason), Field(json_schema_extra={"minLength": 1, "maxLength": REASON_MAXIMUM})]
GivenPassword = Annotated[SecretStr, Field(min_length=1, max_length=4 * PASSWORD_MAXIMUM)]
DisplayName = Annotated[
    str,
    AfterValidator(display_name),
    Field(json_schema_extra={"minLength": DISPLAY_NAME_MINIMUM, "maxLength": DISPLAY_NAME_MAXIMUM}, examples=["Ada Lovelace"]),
]
BioText = Annotated[str, Field(examples=["Prompts, rotoscoping and one Bolex."])]
Bio = Annotated[BioText, AfterValidator(bio), Field(json_schema_extra={"maxLength": BIO_MAXIMUM})]
Token = Annotated[
    SecretStr, Field(min_length=1, max_length=TOKEN_MAXIMUM, examples=["kS3bGqk0cYzv0Jj6T2mXWw1nq8hF4uRlA9eVtDpO5iE"])
]
TokenText = Annotated[str, Field(examples=["kS3bGqk0cYzv0Jj6T2mXWw1nq8hF4uRlA9eVtDpO5iE"])]


class Register(Input):
    """A newcomer."""

    email: EmailAddress
    password: NewPassword
    display_name: DisplayName
    role: Annotated[Role, AfterValidator(role_at_registration)] = Role.CONTRIBUTOR
    locale: Locale = Locale.FR


class Taken(View):
    """The request was taken; what comes of it is told by mail alone."""

    detail: str = Field(examples=["If the address can be used, a mail with a link is on its way."])


class OneTimeToken(Input):
    """The token from a mail."""

    token: Token


class Login(Input):
    """Who signs in."""

    email: EmailAddress
    password: GivenPassword
    otp: Annotated[str, Field(pattern=r"^[0-9]{6,8}$", examples=["123456"])] | None = Field(
        default=None, description="Second factor; without meaning for accounts that have none"
    )


class Tokens(View):
    """Tokens of a session (RFC 6749, section 5.1)."""

    access_token: str = Field(examples=["eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFUzI1NiIsImtpZCI6Ii4uLiJ9.eyJzdWIiOiIuLi4ifQ.c2ln"])
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  the scheme's name
    expires_in: int = Field(description="Seconds until the access token expires", examples=[900])
    refresh_token: TokenText
    session_id: UUID


class Refresh(Input):
    """A refresh token to exchange."""

    refresh_token: Token


class Forgot(Input):
    """Who forgot the password."""

    email: EmailAddress


class Reset(Input):
    """A new password with the token from a mail."""

    token: Token
    password: NewPassword


class ChangePassword(Input):
    """A new password with the current one."""

    current_password: GivenPassword
    new_password: NewPassword


class SessionView(View):
    """A session of one's own."""

    id: UUID
    device: str = Field(examples=["Firefox on Linux"])
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    current: bool


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
