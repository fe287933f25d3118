"""Authorization: what a client may ask of a person, and what the person is asked (OAuth 2.1, OpenID Connect Core)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from libs.common.auth.policy import Scope
from libs.common.errors import BadRequest, NotFound
from services.auth.domain.clients import Client, GrantType

CODE_LIFE: Final = timedelta(seconds=60)
REQUEST_LIFE: Final = timedelta(minutes=10)
"""How long a person may take to sign in and to decide."""
STATE_MAXIMUM: Final = 1_024
"""Characters of `state`, and of `nonce`: they come back as they were."""
MAX_AGE_MAXIMUM: Final = 366 * 24 * 3_600
CHALLENGE_METHOD: Final = "S256"

_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
"""base64url of a SHA-256 (RFC 7636 section 4.2); so is a thumbprint (RFC 7638)."""
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")
_TEXT: Final = re.compile(rf"[\x20-\x7e]{{0,{STATE_MAXIMUM}}}")
_UNSUPPORTED: Final = {"request": "request_not_supported", "request_uri": "request_uri_not_supported"}
_PROMPTS: Final = frozenset({"none", "login", "consent", "select_account"})


class AuthorizationRefused(BadRequest):
    """The request does not say truly for whom it is: nobody is sent anywhere with it (RFC 6749 section 4.1.2.1)."""


class RequestGone(NotFound):
    """The question was answered, is too old, or was put to somebody else."""


class SignOutRefused(BadRequest):
    """The request does not say truly whose session is to end, or where to go then."""


class UnknownConsent(NotFound):
    """This person let no such client do anything."""


@dataclass(frozen=True, slots=True)
class Provider:
    """This authorization server's name: its issuer identifier."""

    issuer: str


class AskedWrongly(Exception):
    """An error that goes back to the client by redirection: its code, and a sentence for its developer."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code
        self.description = description


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that may be put to a person."""

    scope: str
    state: str | None
    nonce: str | None
    challenge: str
    key_thumbprint: str | None
    prompts: frozenset[str]
    max_age: int | None

    @property
    def silent(self) -> bool:
        """Whether the person must see nothing."""
        return "none" in self.prompts

    @property
    def asks_to_sign_in(self) -> bool:
        """Whether the person must sign in anew whatever session there is."""
        return bool(self.prompts & {"login", "select_account"}) or self.max_age == 0


def asked(client: Client, given: Mapping[str, str]) -> Asked:
    """Return what a client asks, from its parameters. Raises AskedWrongly, for the client to be told."""
    for name, code in _UNSUPPORTED.items():
        if name in given:
            raise AskedWrongly(code, f"The parameter {name} is not supported.")
    if given.get("response_type") != "code":
        missing = "response_type" not in given
        raise AskedWrongly("invalid_request" if missing else "unsupported_response_type", "Ask for response_type=code.")
    if given.get("response_mode", "query") != "query":
        raise AskedWrongly("invalid_request", "Answers are given in the query: leave response_mode out.")
    if GrantType.CODE not in client.grants:
        raise AskedWrongly("unauthorized_client", "This client may not ask for an authorization code.")
    return Asked(
        scope=granted_scope(client, given.get("scope")),
        state=given.get("state"),
        nonce=_text(given, "nonce"),
        challenge=_challenge(given),
        key_thumbprint=_thumbprint(given),
        prompts=_prompts(given),
        max_age=_max_age(given),
    )


def state_of(given: Mapping[str, str]) -> str | None:
    """Return the client's state when it can be given back. Raises AskedWrongly."""
    return _text(given, "state")


def granted_scope(client: Client, wanted: str | None) -> str:
    """Return the scope in one order, each once. Raises AskedWrongly for one that this client may not ask for.

    Without `scope` a client asks for nothing, and a token that may do nothing is of no use.
    """
    if not wanted:
        raise AskedWrongly("invalid_scope", "Say which scope is asked for.")
    names = set(wanted.split()) if _SCOPE.fullmatch(wanted) else {""}
    if not names <= client.scopes:
        raise AskedWrongly("invalid_scope", "The scope is malformed, or holds what this client may not ask for.")
    return ordered(names)


def ordered(names: Iterable[str]) -> str:
    """Return scopes as one text, in the order of their declaration."""
    known = set(names)
    return " ".join(scope for scope in Scope if scope in known)


def _challenge(given: Mapping[str, str]) -> str:
    challenge = given.get("code_challenge", "")
    if given.get("code_challenge_method") != CHALLENGE_METHOD or not _CHALLENGE.fullmatch(challenge):
        raise AskedWrongly("invalid_request", "PKCE is required: send code_challenge with code_challenge_method=S256.")
    return challenge


def _thumbprint(given: Mapping[str, str]) -> str | None:
    thumbprint = given.get("dpop_jkt")
    if thumbprint is not None and not _CHALLENGE.fullmatch(thumbprint):
        raise AskedWrongly("invalid_request", "dpop_jkt must be the SHA-256 thumbprint of a key.")
    return thumbprint


def _prompts(given: Mapping[str, str]) -> frozenset[str]:
    prompts = frozenset(given.get("prompt", "").split())
    if not prompts <= _PROMPTS or ("none" in prompts and len(prompts) > 1):
        raise AskedWrongly("invalid_request", "prompt is none alone, or any of login, consent and select_account.")
    return prompts


def _max_age(given: Mapping[str, str]) -> int | None:
    text = given.get("max_age")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) <= MAX_AGE_MAXIMUM):
        raise AskedWrongly("invalid_request", f"max_age is 0 to {MAX_AGE_MAXIMUM} seconds.")
    return int(text)


def _text(given: Mapping[str, str], name: str) -> str | None:
    value = given.get(name)
    if value is not None and not _TEXT.fullmatch(value):
        raise AskedWrongly("invalid_request", f"{name} may have at most {STATE_MAXIMUM} printable ASCII characters.")
    return value


def answer_address(redirect_uri: str, provider: Provider, state: str | None, **members: str) -> str:
    """Return where a person is sent with an answer, which names us (RFC 9207 section 2)."""
    given = {**members, **({"state": state} if state is not None else {}), "iss": provider.issuer}
    return with_query(redirect_uri, given)


def with_query(address: str, members: Mapping[str, str]) -> str:
    """Return an address with parameters added to those that it has (RFC 6749 section 3.1.2)."""
    parts = urlsplit(address)
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *members.items()])
    return urlunsplit(parts._replace(query=query))
