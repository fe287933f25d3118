"""Clients: programs that people let act for them, and services that act for themselves (RFC 6749 section 2, RFC 7591 names)."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from libs.common.auth.policy import Scope
from libs.common.errors import Conflict, NotFound

COMMAND_LINE: Final = UUID("0195561c-7800-7000-8000-6c756d696572")
"""The client of the `lumiere` command: public, by the device grant; every platform has it."""
CLIENT_NAME_MAXIMUM: Final = 80
"""Characters of a name, which people are shown when they are asked."""
ADDRESSES_MAXIMUM: Final = 10
"""Redirect addresses of a client, of either kind."""
ADDRESS_LENGTH_MAXIMUM: Final = 500
CLIENT_KEYS_MAXIMUM: Final = 5
SECRETS_MAXIMUM: Final = 2
"""Secrets of a client that count at once: the new one and the one that it replaces."""
SECRET_OVERLAP: Final = timedelta(hours=24)
"""An old secret counts for so long after a new one was made, unless it is told to end at once."""

LOOPBACK: Final = frozenset({"127.0.0.1", "[::1]"})
"""Hosts at which a native client's port is its own choice; `localhost` may be resolved elsewhere (RFC 8252 section 8.3)."""


class AuthMethod(StrEnum):
    """How a client shows that it is itself (RFC 7591 section 2, `token_endpoint_auth_method`)."""

    NONE = "none"
    SECRET_BASIC = "client_secret_basic"  # noqa: S105  the name of a method
    SECRET_POST = "client_secret_post"  # noqa: S105  the name of a method
    PRIVATE_KEY = "private_key_jwt"


SECRET_METHODS: Final = frozenset({AuthMethod.SECRET_BASIC, AuthMethod.SECRET_POST})


class GrantType(StrEnum):
    """What a client may exchange for tokens."""

    CODE = "authorization_code"
    REFRESH = "refresh_token"
    CLIENT = "client_credentials"
    DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


class ApplicationType(StrEnum):
    """Where a client runs (OpenID Connect Registration section 2)."""

    WEB = "web"
    NATIVE = "native"


class UnknownClient(NotFound):
    """No client has this identifier."""


class ClientChanged(Conflict):
    """Another administrator changed the client between reading and writing."""


class ClientWithoutSecret(Conflict):
    """The client shows itself by a key, or is public: it has no secret."""


class BuiltInClient(Conflict):
    """Every platform has this client as it is."""


@dataclass(frozen=True, slots=True)
class Client:
    """A client as it is registered."""

    id: UUID
    name: str
    method: AuthMethod
    application_type: ApplicationType
    grants: frozenset[str]
    scopes: frozenset[str]
    redirect_uris: tuple[str, ...]
    post_logout_redirect_uris: tuple[str, ...]
    keys: Mapping[str, Any] | None
    bound_tokens: bool
    address: str | None
    not_before: datetime | None
    """Tokens of the client itself count from this instant on."""

    @property
    def public(self) -> bool:
        """Whether it cannot keep a secret (RFC 6749 section 2.1)."""
        return self.method is AuthMethod.NONE

    def redirects_to(self, address: str) -> bool:
        """Whether people may be sent to this address with an answer for the client."""
        return any(same_address(known, address, self.application_type) for known in self.redirect_uris)


def same_address(registered: str, given: str, application_type: ApplicationType) -> bool:
    """Whether an address is the registered one, character by character (RFC 9700 section 4.1.3).

    A native client that listens on the loopback interface takes whatever port is free (RFC 8252 section 7.3).
    """
    if registered == given:
        return True
    if application_type is not ApplicationType.NATIVE:
        return False
    known, asked = _without_port(registered), _without_port(given)
    return known is not None and known == asked


def _without_port(address: str) -> str | None:
    """The address without its port, when it is `http` at a loopback literal and the port is a plain number."""
    scheme, separator, rest = address.partition("://")
    if scheme != "http" or not separator:
        return None
    authority, slash, path = rest.partition("/")
    host = next((each for each in LOOPBACK if authority == each or authority.startswith(f"{each}:")), None)
    if host is None:
        return None
    port = authority.removeprefix(host)
    if port and not (port[1:].isascii() and port[1:].isdigit() and 1 <= int(port[1:][:6]) <= 65_535):
        return None
    return f"{host}{slash}{path}"


def redirect_address(text: str, application_type: ApplicationType) -> str:
    """Return the address when a client may be registered with it; raises ValueError.

    A web client is reached by TLS; a native one also on the loopback interface, or by a scheme of its own that is a domain name
    turned around (RFC 8252 section 7).
    """
    if not text.isascii() or not text.isprintable() or " " in text or len(text) > ADDRESS_LENGTH_MAXIMUM:
        raise ValueError(f"must be an address of at most {ADDRESS_LENGTH_MAXIMUM} printable ASCII characters without spaces")
    parts = urlsplit(text)
    if parts.fragment or "#" in text or "*" in text:
        raise ValueError("must have no fragment and no wildcard")
    native = application_type is ApplicationType.NATIVE
    if parts.scheme == "https" and parts.hostname and "@" not in parts.netloc:
        return text
    if native and _without_port(text) is not None:
        return text
    if native and "." in parts.scheme and not parts.netloc:
        return text
    raise ValueError(
        "must begin with https://; a native client may also use http://127.0.0.1, http://[::1], or a scheme of its own such as"
        " org.example.app:/path"
    )


def page_address(text: str) -> str:
    """Return the address of a client's own page when people may be shown it; raises ValueError."""
    return redirect_address(text, ApplicationType.WEB)


def client_name(text: str) -> str:
    """Return the name when people may be shown it; raises ValueError."""
    if text != text.strip() or not text.isprintable():
        raise ValueError("must be one line without spaces around it")
    if not 1 <= len(text) <= CLIENT_NAME_MAXIMUM:
        raise ValueError(f"must have 1 to {CLIENT_NAME_MAXIMUM} characters")
    return text


def public_keys(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a client's key set with public P-256 keys, each named (RFC 7517); raises ValueError."""
    keys = document.get("keys")
    if not isinstance(keys, list) or not 1 <= len(keys) <= CLIENT_KEYS_MAXIMUM:
        raise ValueError(f"must be a JSON Web Key Set of 1 to {CLIENT_KEYS_MAXIMUM} keys")
    return {"keys": [_public_key(each) for each in keys]}


def _public_key(jwk: Any) -> dict[str, Any]:
    if (
        not isinstance(jwk, Mapping)
        or jwk.get("kty") != "EC"
        or jwk.get("crv") != "P-256"
        or not isinstance(jwk.get("kid"), str)
    ):
        raise ValueError("must hold P-256 keys, each with a kid")
    if "d" in jwk:
        raise ValueError("must hold public keys alone; keep the private part to yourself")
    try:
        ECKey.import_key({name: jwk[name] for name in ("kty", "crv", "x", "y")})
    except (JoseError, KeyError, ValueError, TypeError):
        raise ValueError("holds a key that is none") from None
    return {name: jwk[name] for name in ("kty", "crv", "x", "y", "kid")}


def refuse_registration(
    method: AuthMethod, grants: Iterable[str], scopes: Iterable[str], addresses: int, keys: bool
) -> str | None:
    """Say what contradicts itself in a registration, or None."""
    granted, wanted = set(grants), set(scopes)
    if GrantType.CODE in granted and not addresses:
        return "a client of the authorization code needs at least one redirect address"
    if GrantType.REFRESH in granted and not granted & {GrantType.CODE, GrantType.DEVICE}:
        return "refresh tokens come with an authorization code or a device code alone"
    if GrantType.CLIENT in granted and method is AuthMethod.NONE:
        return "a client that speaks for itself must authenticate: by a secret or by private_key_jwt"
    if keys != (method is AuthMethod.PRIVATE_KEY):
        return "give keys with private_key_jwt, and with nothing else"
    if Scope.OFFLINE_ACCESS in wanted and GrantType.REFRESH not in granted:
        return "the scope offline_access goes with the grant refresh_token"
    return None


def secret_hash(secret: str) -> bytes:
    """Return the form in which a client's secret is stored: it has 256 random bits, so a fast hash is enough."""
    return hashlib.sha256(secret.encode()).digest()


def secret_matches(secret: str, hashes: Iterable[bytes]) -> bool:
    """Whether it is one of the client's secrets, in constant time for each."""
    given = secret_hash(secret)
    matching = [known for known in hashes if hmac.compare_digest(given, known)]
    return bool(matching)
