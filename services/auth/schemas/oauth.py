"""What clients of others, their administrators and people who let them act send and are answered."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from libs.common.auth.policy import Scope
from libs.common.http import Input, View
from services.auth.domain.clients import (
    ADDRESS_LENGTH_MAXIMUM,
    ADDRESSES_MAXIMUM,
    CLIENT_NAME_MAXIMUM,
    ApplicationType,
    AuthMethod,
    GrantType,
    client_name,
    page_address,
    public_keys,
    redirect_address,
)

QUERY_MAXIMUM = 4_000

ClientNameText = Annotated[str, Field(examples=["Cinémathèque de Montreuil"])]
ClientName = Annotated[
    ClientNameText,
    AfterValidator(client_name),
    Field(json_schema_extra={"minLength": 1, "maxLength": CLIENT_NAME_MAXIMUM}),
]
AddressText = Annotated[str, Field(examples=["https://app.example.org/callback"])]
Address = Annotated[AddressText, Field(max_length=ADDRESS_LENGTH_MAXIMUM)]
Addresses = Annotated[list[Address], Field(max_length=ADDRESSES_MAXIMUM)]
PageAddress = Annotated[Address, AfterValidator(page_address)]
KEY_SET_EXAMPLE = {
    "keys": [
        {
            "kty": "EC",
            "crv": "P-256",
            "kid": "2026-03",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",  # pragma: allowlist secret
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",  # pragma: allowlist secret
        }
    ]
}
Keys = Annotated[dict[str, Any], AfterValidator(public_keys), Field(examples=[KEY_SET_EXAMPLE])]


class AuthorizationQuery(BaseModel):
    """An authorization request (RFC 6749 section 4.1.1); its client is told what is wrong with it.

    Unknown names are ignored.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    client_id: str | None = None
    redirect_uri: str | None = None
    response_type: str | None = None
    response_mode: str | None = None
    scope: str | None = None
    state: str | None = None
    nonce: str | None = None
    code_challenge: str | None = None
    code_challenge_method: str | None = None
    dpop_jkt: str | None = None
    prompt: str | None = None
    max_age: str | None = None
    id_token_hint: str | None = Field(default=None, max_length=QUERY_MAXIMUM)
    request: str | None = None
    request_uri: str | None = None
    resumed: str | None = Field(default=None, alias="continue", max_length=100)

    @field_validator("*")
    @classmethod
    def _can_be_stored(cls, value: str | None) -> str | None:
        if value is not None and "\0" in value:
            raise ValueError("must not contain the character U+0000")
        return value

    def given(self) -> dict[str, str]:
        """The parameters that have a value: one without counts as left out (RFC 6749 section 3.1)."""
        return {name: value for name, value in self.model_dump(exclude={"resumed"}).items() if value}


class SignOutQuery(BaseModel):
    """A request to sign a person out (OpenID Connect RP-Initiated Logout section 2)."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    id_token_hint: str | None = Field(default=None, max_length=QUERY_MAXIMUM)
    client_id: str | None = None
    post_logout_redirect_uri: str | None = None
    state: str | None = None

    def given(self) -> dict[str, str]:
        """The parameters that have a value."""
        return {name: value for name, value in self.model_dump().items() if value}


class NewClient(Input):
    """A client to register. What it may ask for is what is listed here, and nothing else."""

    name: ClientName
    method: AuthMethod
    application_type: ApplicationType = ApplicationType.WEB
    grants: Annotated[list[GrantType], Field(min_length=1, max_length=len(GrantType))]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))]
    redirect_uris: Addresses = Field(default_factory=list)
    post_logout_redirect_uris: Addresses = Field(default_factory=list)
    keys: Keys | None = None
    bound_tokens: bool = Field(default=False, description="Its tokens are always bound to a key (RFC 9449 section 5.2)")
    address: PageAddress | None = None

    @field_validator("redirect_uris", "post_logout_redirect_uris")
    @classmethod
    def _reachable(cls, addresses: list[str], info: ValidationInfo) -> list[str]:
        kind = info.data.get("application_type", ApplicationType.WEB)
        return [redirect_address(each, kind) for each in addresses]


class ChangeClient(Input):
    """Members to change; those left out stay. How a client authenticates and where it runs is settled when it is registered."""

    name: ClientName | None = None
    grants: Annotated[list[GrantType], Field(min_length=1, max_length=len(GrantType))] | None = None
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))] | None = None
    redirect_uris: Addresses | None = None
    post_logout_redirect_uris: Addresses | None = None
    keys: Keys | None = None
    bound_tokens: bool | None = None
    address: PageAddress | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("must name at least one member to change")
        if any(getattr(self, name) is None for name in self.model_fields_set - {"keys", "address"}):
            raise ValueError("must set only keys or address to null; leave out what stays as it is")
        return self


class ClientView(View):
    """A client."""

    id: UUID
    name: ClientNameText
    method: AuthMethod
    application_type: ApplicationType
    grants: list[GrantType]
    scopes: list[Scope]
    redirect_uris: list[AddressText]
    post_logout_redirect_uris: list[AddressText]
    keys: Annotated[dict[str, Any], Field(examples=[KEY_SET_EXAMPLE])] | None
    bound_tokens: bool
    address: AddressText | None
    created_at: datetime


SecretText = Annotated[str, Field(examples=["kS3bGqk0cYzv0Jj6T2mXWw1nq8hF4uRlA9eVtDpO5iE"])]


class RegisteredClient(View):
    """A client just registered. Its secret is shown now and never again; null where it has none."""

    client: ClientView
    client_secret: SecretText | None


class NewSecret(Input):
    """Another secret for a client; the one before counts for a day more, or ends at once."""

    at_once: bool = False


class SecretGiven(View):
    """The new secret, shown now and never again; until when the one before counts, null when it counts no more."""

    client_secret: SecretText
    earlier_ends_at: datetime | None


class ConsentView(View):
    """A client that one lets act for oneself."""

    client_id: UUID
    name: ClientNameText
    address: AddressText | None
    scopes: list[Scope]
    granted_at: datetime
