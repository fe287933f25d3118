"""What a person is asked of clients and devices, and what they answer."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from libs.common.auth.policy import Scope
from libs.common.http import Input, View
from services.auth.schemas.oauth import AddressText, ClientNameText


class Decision(StrEnum):
    """Yes or no."""

    GRANT = "GRANT"
    DENY = "DENY"


class Decided(Input):
    """The answer to a question."""

    decision: Decision


class AuthorizationView(View):
    """What a client asks. `returns_to` is the host or scheme that the answer goes to; `known_scopes` it had before."""

    client_name: ClientNameText
    address: AddressText | None
    returns_to: str = Field(examples=["app.example.org"])
    native: bool
    scopes: list[Scope]
    known_scopes: list[Scope]


class LedOn(View):
    """Where the person goes on to: the client's address, with its answer."""

    address: AddressText


class DeviceView(View):
    """What waits under a code: which client, on what device, and for what."""

    user_code: Annotated[str, Field(examples=["BDFG-HJKL"])]
    client_name: ClientNameText
    device: str = Field(examples=["lumiere"])
    scopes: list[Scope]
