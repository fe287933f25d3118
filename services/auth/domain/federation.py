"""Signing in with an account elsewhere: what another OpenID provider may say, and what it may never decide.

A provider answers for an identity, never for an account: an e-mail address that is equal somewhere else links nothing. Links
are made by whoever is signed in to the account, or with an account that comes to be by it.
"""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol
from urllib.parse import urlsplit

from libs.common.errors import BadRequest, Conflict, Forbidden, NotFound, Unauthenticated, Unavailable
from services.auth.domain.accounts import DISPLAY_NAME_MAXIMUM, DISPLAY_NAME_MINIMUM, Address, Locale, normal_address
from services.auth.domain.secrets import derive

ATTEMPT_LIFE = timedelta(minutes=10)
"""From leaving for the provider to coming back."""
LINK_LIFE = timedelta(minutes=10)
"""From coming back to confirming the link."""
SUBJECT_MAXIMUM = 255
"""Characters of a subject at a provider (OpenID Connect Core 1.0, section 2)."""
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
"""Hosts that a provider may have without TLS, outside production."""
RETURN_TO_MAXIMUM = 512
FEDERATED_METHOD = ("fed",)
"""Authentication method of who was vouched for by another provider; RFC 8176 has no name for it."""
SIGNATURE_ALGORITHMS = ("ES256", "RS256", "PS256", "Ed25519", "EdDSA")
"""What an ID token may be signed with: public keys only, so that no secret of ours could be mistaken for one."""


class UnknownProvider(NotFound):
    """No provider of this name is configured."""


class ProviderAnswerRefused(Unauthenticated):
    """What came back from the provider is not the answer to what this browser began, or does not hold."""


class ProviderUnavailable(Unavailable):
    """The provider does not answer as it should."""


class AddressNotVouchedFor(Forbidden):
    """The provider does not say that the person's e-mail address is verified."""


class LinkRequired(Conflict):
    """An account is there already: its owner signs in to it and confirms the link."""


class LinkRefused(BadRequest):
    """The link token is unknown, used, too old, or for another account."""


class IdentityTaken(Conflict):
    """The identity at the provider opens another account."""


class AlreadyLinked(Conflict):
    """The account has an identity at this provider."""


class UnknownIdentity(NotFound):
    """No identity of this person has this identifier."""


class LastWayIn(Conflict):
    """Nothing else would be left to sign in with."""


@dataclass(frozen=True, slots=True)
class Provider:
    """An OpenID provider that people may sign in with, as the operator configured it."""

    name: str
    label: str
    issuer: str
    client_id: str
    client_secret: str | None = field(repr=False)
    redirect_uri: str
    algorithms: tuple[str, ...] = SIGNATURE_ALGORITHMS
    scope: str = "openid email profile"


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent to a provider with the browser, and must come back in its answer."""

    state: str
    binding: str = field(repr=False)

    @property
    def nonce(self) -> str:
        """What the ID token must repeat."""
        return _spelled(derive(self.binding.encode(), "federation nonce"))

    @property
    def verifier(self) -> str:
        """The PKCE code verifier (RFC 7636): from what the browser keeps to itself, never from what travels in addresses."""
        return _spelled(derive(self.binding.encode(), "federation verifier"))

    @property
    def challenge(self) -> str:
        """The S256 code challenge."""
        return _spelled(hashlib.sha256(self.verifier.encode()).digest())


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a provider vouches for."""

    issuer: str
    subject: str
    email: str | None
    email_verified: bool
    name: str | None = None
    locale: str | None = None


class OpenIdProviders(Protocol):
    """The providers that are configured, and what can be asked of them over the network. None is called in a transaction."""

    def listed(self) -> Sequence[Provider]:
        """Return them all, in the operator's order."""
        ...

    def named(self, name: str) -> Provider:
        """Return one. Raises UnknownProvider."""
        ...

    def address(self, provider: Provider, request: Request) -> str:
        """Return where the browser goes to sign in. Raises ProviderUnavailable."""
        ...

    def identity(self, provider: Provider, request: Request, code: str, issuer: str | None) -> Identity:
        """Exchange the code and return whom the provider vouches for. Raises ProviderAnswerRefused, ProviderUnavailable."""
        ...


def protected(address: str, *, plain_http: bool) -> bool:
    """Whether what is sent to an address is read by nobody else: TLS, or with `plain_http` this very machine."""
    parts = urlsplit(address)
    return parts.scheme == "https" or (plain_http and parts.scheme == "http" and parts.hostname in LOOPBACK)


def subject_hash(identity: Identity) -> bytes:
    """Return the form in which an identity is stored: other people's identifiers are not kept."""
    return hashlib.sha256(f"{identity.issuer}\n{identity.subject}".encode()).digest()


def vouched_address(identity: Identity) -> Address | None:
    """Return the address that the provider says it verified, in the one form that accounts have; None when there is none."""
    if identity.email is None or not identity.email_verified:
        return None
    try:
        return normal_address(identity.email)
    except ValueError:
        return None


def suggested_name(identity: Identity) -> str:
    """Return a name for a new account: the one at the provider as far as it may be shown here."""
    printable = "".join(character if character.isprintable() else " " for character in identity.name or "")
    name = " ".join(printable.split())[:DISPLAY_NAME_MAXIMUM].strip()
    return name if len(name) >= DISPLAY_NAME_MINIMUM else "Lumière"


def suggested_locale(identity: Identity) -> Locale:
    """Return the language for a new account: the one at the provider when the platform speaks it."""
    language = (identity.locale or "").replace("_", "-").split("-")[0].lower()
    return Locale(language) if language in set(Locale) else Locale.FR


def _spelled(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()
