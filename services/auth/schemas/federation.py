"""What clients send and are answered of identities at other providers."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field, SecretStr

from libs.common.http import Input, View
from services.auth.schemas.texts import Token, TokenText

ANSWER_MAXIMUM = 4_096
"""Characters of a code or an issuer that a provider may send with the browser."""

ProviderName = Annotated[str, Field(examples=["studio"])]
ProviderLabel = Annotated[str, Field(examples=["Studio account"])]
ErrorText = Annotated[str, Field(min_length=1, max_length=ANSWER_MAXIMUM, examples=["access_denied"])]
IssuerText = Annotated[str, Field(min_length=1, max_length=ANSWER_MAXIMUM, examples=["https://id.example.org"])]


class ProviderView(View):
    """A provider that one can sign in with."""

    name: ProviderName
    label: ProviderLabel


class Providers(View):
    """The providers that one can sign in with."""

    items: list[ProviderView]


class Began(View):
    """Where the browser goes, and what the client keeps until it comes back; it travels in no address."""

    authorization_url: str = Field(examples=["https://id.example.org/authorize?client_id=lumiere&state=kS3bGqk0"])
    binding: TokenText
    expires_at: datetime


class CompleteFederation(Input):
    """The parameters that the provider sent with the browser to the redirect address, and what the client kept."""

    state: Token
    binding: Token
    code: Annotated[SecretStr, Field(min_length=1, max_length=ANSWER_MAXIMUM)] | None = None
    error: ErrorText | None = None
    iss: IssuerText | None = None


class ConfirmLink(Input):
    """The token of an offered link."""

    link_token: Token


class IdentityView(View):
    """An identity at another provider that opens one's account."""

    id: UUID
    provider: ProviderName
    linked_at: datetime
    last_used_on: date | None


class Identities(View):
    """The identities that open one's account."""

    items: list[IdentityView]
