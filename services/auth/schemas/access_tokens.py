"""What clients send and are answered of personal access tokens."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, Field, SecretStr

from libs.common.auth.policy import Scope
from libs.common.http import Input, View
from services.auth.domain.access_tokens import (
    NAME_MAXIMUM,
    PREFIX,
    SCOPES,
    TOKEN_LENGTH,
    name,
)

TOKEN_EXAMPLE = PREFIX + "a" * (TOKEN_LENGTH - len(PREFIX))


def _grantable(scopes: list[Scope]) -> list[Scope]:
    if len(set(scopes)) < len(scopes):
        raise ValueError("must name each scope once")
    if not set(scopes) <= set(SCOPES):
        raise ValueError(f"must be among {', '.join(SCOPES)}")
    return scopes


TokenName = Annotated[str, Field(examples=["Upload script on the render machine"])]
ScopeText = Annotated[str, Field(examples=["media:write tasks:read"])]


class CreateAccessToken(Input):
    """A token for a program."""

    name: Annotated[TokenName, AfterValidator(name), Field(json_schema_extra={"minLength": 1, "maxLength": NAME_MAXIMUM})]
    scopes: Annotated[
        list[Scope],
        Field(min_length=1, max_length=len(SCOPES), examples=[["media:write", "tasks:read"]]),
        AfterValidator(_grantable),
    ]
    expires_at: AwareDatetime


class AccessTokenView(View):
    """A personal access token as its owner sees it again."""

    id: UUID
    name: TokenName
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime
    last_used_on: date | None


class CreatedAccessToken(AccessTokenView):
    """A new token with itself, this once."""

    token: str = Field(examples=[TOKEN_EXAMPLE])


class AccessTokens(View):
    """One's live personal access tokens."""

    items: list[AccessTokenView]


class ExchangeAccessToken(Input):
    """A personal access token to exchange."""

    token: Annotated[SecretStr, Field(min_length=1, max_length=200, examples=[TOKEN_EXAMPLE])]


class ExchangedToken(View):
    """An access token that may do what the personal one is for; there is no refresh token, one exchanges again."""

    access_token: str = Field(examples=["eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFUzI1NiIsImtpZCI6Ii4uLiJ9.eyJzdWIiOiIuLi4ifQ.c2ln"])
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  the scheme's name
    expires_in: int = Field(description="Seconds until the access token expires", examples=[900])
    scope: ScopeText
