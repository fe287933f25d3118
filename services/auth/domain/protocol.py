"""What clients send to the token endpoint and its siblings, and what they are told (RFC 6749 sections 2.3, 3.2 and 5).

The errors are Authlib's: their names, statuses and headers are the standards'.
"""

import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl
from uuid import UUID

from authlib.oauth2.rfc6749 import InvalidClientError, InvalidRequestError, OAuth2Error
from authlib.oauth2.rfc6749.util import extract_basic_authorization

from services.auth.domain.assertions import ASSERTION_TYPE, client_named_in
from services.auth.domain.clients import AuthMethod

FIELDS_MAXIMUM: Final = 40
"""Parameters of one request; no grant has half as many."""
NO_STORE: Final[Mapping[str, str]] = {"Cache-Control": "no-store", "Pragma": "no-cache"}


def wrong_proof(description: str) -> OAuth2Error:
    """The refusal of a proof of possession that is missing or does not hold (RFC 9449 section 5)."""
    return OAuth2Error(description, error="invalid_dpop_proof")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client is answered: a JSON object, or (None) nothing."""

    members: Mapping[str, Any] | None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: NO_STORE)


def refusal(error: OAuth2Error) -> Answer:
    """The answer for an error (RFC 6749 section 5.2)."""
    status, members, headers = error()
    return Answer(dict(members), status, {**NO_STORE, **{name: value for name, value in headers if name != "Content-Type"}})


def parameters(body: bytes) -> dict[str, str]:
    """Return a form's parameters; one without a value counts as left out. Raises InvalidRequestError.

    Parameters that nobody here knows are ignored (RFC 6749 section 3.2).
    """
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAXIMUM)
    except ValueError:
        raise InvalidRequestError("Send the parameters as application/x-www-form-urlencoded in UTF-8.") from None
    return once(pairs)


def once(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Return parameters by name. Raises InvalidRequestError for one that comes twice, or that no text column takes."""
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise InvalidRequestError("A parameter was given more than once.")
    if any("\0" in text for pair in pairs for text in pair):
        raise InvalidRequestError("A parameter holds the character U+0000.")
    return {name: value for name, value in pairs if value}


def needed(given: Mapping[str, str], name: str) -> str:
    """Return a parameter. Raises InvalidRequestError when it was left out."""
    if name not in given:
        raise InvalidRequestError(f"The parameter {name} is missing.")
    return given[name]


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """With what a client says who it is."""

    client_id: UUID
    method: AuthMethod
    secret: str | None = field(default=None, repr=False)
    assertion: str | None = field(default=None, repr=False)


def wrong_client(method: AuthMethod | None = None) -> OAuth2Error:
    """The refusal of a client that is not itself; nothing says which part was wrong.

    A client that used a header is told of the header's scheme (RFC 6749 section 5.2).
    """
    status = 401 if method is AuthMethod.SECRET_BASIC else 400
    return InvalidClientError(status_code=status, description="There is no such client, or it did not show that it is itself.")


def client_credentials(given: Mapping[str, str], authorization: str | None) -> ClientCredentials:
    """Return who a client says it is, and how it shows it. Raises InvalidClientError, InvalidRequestError.

    A client uses one method in a request (RFC 6749 section 2.3).
    """
    by_header = authorization is not None and authorization.partition(" ")[0].lower() == "basic"
    by_assertion = "client_assertion" in given or "client_assertion_type" in given
    if by_header + by_assertion + ("client_secret" in given) > 1:
        raise InvalidRequestError("Authenticate in one way.")
    if by_header:
        name, secret = _basic(authorization or "")
        found = _client_id(name, AuthMethod.SECRET_BASIC)
        credentials = ClientCredentials(found, AuthMethod.SECRET_BASIC, secret=secret)
    elif by_assertion:
        if given.get("client_assertion_type") != ASSERTION_TYPE:
            raise InvalidRequestError(f"client_assertion_type must be {ASSERTION_TYPE}.")
        assertion = needed(given, "client_assertion")
        named = client_named_in(assertion)
        credentials = ClientCredentials(_client_id(named, None), AuthMethod.PRIVATE_KEY, assertion=assertion)
    else:
        name = given.get("client_id")
        if name is None:
            raise InvalidClientError(status_code=401, description="Say who you are: authenticate the client.")
        method = AuthMethod.SECRET_POST if "client_secret" in given else AuthMethod.NONE
        credentials = ClientCredentials(_client_id(name, method), method, secret=given.get("client_secret"))
    if given.get("client_id", str(credentials.client_id)) != str(credentials.client_id):
        raise InvalidRequestError("client_id is another than the client that authenticates.")
    return credentials


def _basic(header: str) -> tuple[str | None, str | None]:
    try:
        name, secret = extract_basic_authorization({"Authorization": header})
    except (ValueError, binascii.Error):
        return None, None
    return name, secret


def _client_id(name: str | None, method: AuthMethod | None) -> UUID:
    try:
        found = UUID(name or "")
    except ValueError:
        raise wrong_client(method) from None
    if str(found) != name:
        raise wrong_client(method)
    return found


def as_json(members: Mapping[str, Any] | None) -> bytes:
    """The bytes of an answer."""
    return b"" if members is None else json.dumps(members).encode()
