"""What clients send to the token endpoint and its siblings, for documents: domain/protocol.py reads it."""

from typing import Annotated

from pydantic import BaseModel, Field

CodeText = Annotated[str, Field(examples=["kS3bGqk0cYzv0Jj6T2mXWw1nq8hF4uRlA9eVtDpO5iE"])]

AssertionTypeText = Annotated[str, Field(examples=["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"])]


class ClientForm(BaseModel):
    """How a client says who it is, unless it does so in the Authorization header (RFC 6749 section 2.3, RFC 7523)."""

    client_id: Annotated[str, Field(examples=["0195561c-7800-7000-8000-6c756d696572"])] | None = None
    client_secret: CodeText | None = None
    client_assertion_type: Annotated[str, Field(examples=["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"])] | None = (
        None
    )
    client_assertion: Annotated[str, Field(examples=["eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiIuLi4ifQ.c2ln"])] | None = None


class TokenForm(ClientForm):
    """What is exchanged for tokens (RFC 6749 section 4)."""

    grant_type: Annotated[str, Field(examples=["authorization_code"])]
    code: CodeText | None = None
    redirect_uri: Annotated[str, Field(examples=["https://app.example.org/callback"])] | None = None
    code_verifier: CodeText | None = None
    refresh_token: CodeText | None = None
    device_code: CodeText | None = None
    scope: Annotated[str, Field(examples=["openid"])] | None = None


class DeviceRequestForm(ClientForm):
    """What a device asks for (RFC 8628 section 3.1)."""

    scope: Annotated[str, Field(examples=["openid"])]


class PresentedForm(ClientForm):
    """A token to examine or to end (RFC 7662, RFC 7009)."""

    token: CodeText
    token_type_hint: Annotated[str, Field(examples=["refresh_token"])] | None = None


class AuthorizationForm(BaseModel):
    """An authorization request in a form (RFC 6749 section 4.1.1)."""

    client_id: Annotated[str, Field(examples=["0195561c-7800-7000-8000-6c756d696572"])]
    redirect_uri: Annotated[str, Field(examples=["https://app.example.org/callback"])]
    response_type: Annotated[str, Field(examples=["code"])]
    scope: Annotated[str, Field(examples=["openid"])]
    code_challenge: Annotated[str, Field(examples=["E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"])]
    code_challenge_method: Annotated[str, Field(examples=["S256"])]
    state: Annotated[str, Field(examples=["af0ifjsldkj"])] | None = None


class SignOutForm(BaseModel):
    """A request to sign a person out (OpenID Connect RP-Initiated Logout section 2)."""

    id_token_hint: Annotated[str, Field(examples=["eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiIuLi4ifQ.c2ln"])]
    post_logout_redirect_uri: Annotated[str, Field(examples=["https://app.example.org/bye"])] | None = None
    state: Annotated[str, Field(examples=["af0ifjsldkj"])] | None = None
