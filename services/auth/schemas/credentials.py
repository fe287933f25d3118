"""What clients send and are answered to sign up, sign in and stay signed in."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from libs.common.auth.policy import Role
from libs.common.http import Input, View
from services.auth.domain.accounts import (
    Locale,
    role_at_registration,
)
from services.auth.domain.email_changes import ChangeState
from services.auth.schemas.texts import DisplayName, EmailAddress, GivenPassword, NewPassword, Token, TokenText


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
    device_token: Token | None = Field(
        default=None, description="From an earlier sign-in on this device: failures of strangers do not lock it out"
    )


class Tokens(View):
    """Tokens of a session (RFC 6749, section 5.1)."""

    access_token: str = Field(examples=["eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFUzI1NiIsImtpZCI6Ii4uLiJ9.eyJzdWIiOiIuLi4ifQ.c2ln"])
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  the scheme's name
    expires_in: int = Field(description="Seconds until the access token expires", examples=[900])
    refresh_token: TokenText
    session_id: UUID
    device_token: TokenText | None = Field(
        default=None, description="After a sign-in: keep it on this device and send it with the next one. It opens nothing"
    )


class Refresh(Input):
    """A refresh token to exchange."""

    refresh_token: Token


class Forgot(Input):
    """Who forgot the password."""

    email: EmailAddress


class ResendVerification(Input):
    """Who waits for the mail that confirms their address."""

    email: EmailAddress


class ChangeEmail(Input):
    """The address that is to take the place of one's own; the password unless one signed in a moment ago."""

    new_email: EmailAddress
    current_password: GivenPassword | None = None


class EmailChange(View):
    """Where a change of address stands."""

    state: ChangeState


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
