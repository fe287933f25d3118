"""Other OpenID providers over the network: discovery, keys, the exchange of a code (OpenID Connect Core 1.0, Discovery 1.0).

Nothing is asked in a transaction. Redirects are not followed, answers are bounded, and whatever is odd about an answer is a
refusal or an outage, never a trace.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

import httpx
import orjson

from libs.common import clock
from libs.common.telemetry import logger
from services.auth.domain.federation import (
    Identity,
    Provider,
    ProviderAnswerRefused,
    ProviderUnavailable,
    Request,
    UnknownProvider,
    protected,
)
from services.auth.domain.foreign_tokens import Expected, IdTokenRefused, UnknownKey, verify

log = logger(__name__)

TIMEOUT_SECONDS = 5
ANSWER_BYTES_MAXIMUM = 262_144
METADATA_SECONDS = 3_600
"""How long a provider's description and keys are believed before they are read again."""
KEYS_INTERVAL_SECONDS = 30
"""An unknown key costs the provider one request, at most so often."""
RETRY_AFTER_SECONDS = 10


@dataclass(frozen=True, slots=True)
class _Metadata:
    """What a provider says of itself (OpenID Connect Discovery 1.0, section 3), as far as it matters here."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    names_itself: bool
    post_secret: bool


@dataclass(slots=True)
class _Known:
    metadata: _Metadata | None = None
    metadata_at: float = float("-inf")
    keys: Mapping[str, Any] | None = None
    keys_at: float = float("-inf")


class HttpOpenIdProviders:
    """The configured providers, each asked for its own description."""

    def __init__(self, providers: Sequence[Provider], *, plain_http: bool = False) -> None:
        """Take the providers; `plain_http` permits them on this machine without TLS, for development and tests."""
        self._providers = {each.name: each for each in providers}
        self._known = {each.name: _Known() for each in providers}
        self._plain_http = plain_http
        self._lock = Lock()

    def listed(self) -> Sequence[Provider]:
        """Return them all, in the operator's order."""
        return tuple(self._providers.values())

    def named(self, name: str) -> Provider:
        """Return one. Raises UnknownProvider."""
        if name not in self._providers:
            raise UnknownProvider("There is no such provider; GET /auth/providers lists them.")
        return self._providers[name]

    def address(self, provider: Provider, request: Request) -> str:
        """Return where the browser goes to sign in (RFC 6749 section 4.1.1, RFC 7636). Raises ProviderUnavailable."""
        endpoint = self._metadata(provider).authorization_endpoint
        query = urlencode(
            {
                "response_type": "code",
                "client_id": provider.client_id,
                "redirect_uri": provider.redirect_uri,
                "scope": provider.scope,
                "state": request.state,
                "nonce": request.nonce,
                "code_challenge": request.challenge,
                "code_challenge_method": "S256",
            }
        )
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{query}"

    def identity(self, provider: Provider, request: Request, code: str, issuer: str | None) -> Identity:
        """Exchange the code and return whom the provider vouches for. Raises ProviderAnswerRefused, ProviderUnavailable."""
        metadata = self._metadata(provider)
        if issuer != provider.issuer and (issuer is not None or metadata.names_itself):
            raise self._refused(provider, "response_issuer")
        id_token, access_token = self._redeemed(provider, metadata, request, code)
        try:
            identity = self._verified(provider, request, id_token, access_token)
        except IdTokenRefused as refusal:
            raise self._refused(provider, f"id_token_{refusal.reason}") from None
        if identity.email is not None or metadata.userinfo_endpoint is None or access_token is None:
            return identity
        return self._completed(provider, metadata.userinfo_endpoint, access_token, identity)

    def _redeemed(self, provider: Provider, metadata: _Metadata, request: Request, code: str) -> tuple[str, str | None]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": provider.redirect_uri,
            "code_verifier": request.verifier,
        }
        auth: tuple[str, str] | None = None
        if provider.client_secret is None:
            form["client_id"] = provider.client_id
        elif metadata.post_secret:
            form |= {"client_id": provider.client_id, "client_secret": provider.client_secret}
        else:  # each is form-encoded before it becomes a user name or a password (RFC 6749 section 2.3.1)
            auth = quote_plus(provider.client_id), quote_plus(provider.client_secret)
        status, answer = self._ask(provider, "POST", metadata.token_endpoint, data=form, auth=auth)
        if status in {400, 401, 403}:
            error = answer.get("error")
            raise self._refused(provider, "code", error=error if isinstance(error, str) else None)
        id_token, access_token = answer.get("id_token"), answer.get("access_token")
        if status != 200 or not isinstance(id_token, str):
            raise self._unavailable(provider, "token_endpoint", status=status)
        return id_token, access_token if isinstance(access_token, str) else None

    def _verified(self, provider: Provider, request: Request, id_token: str, access_token: str | None) -> Identity:
        expected = Expected(provider, request.nonce, clock.now(), access_token)
        try:
            return verify(id_token, self._keys(provider), expected)
        except UnknownKey:
            return verify(id_token, self._keys(provider, again=True), expected)

    def _completed(self, provider: Provider, endpoint: str, access_token: str, identity: Identity) -> Identity:
        """The address from the userinfo endpoint (section 5.3), where the ID token has none: of the same subject only."""
        status, answer = self._ask(provider, "GET", endpoint, headers={"Authorization": f"Bearer {access_token}"})
        if status != 200:
            raise self._unavailable(provider, "userinfo_endpoint", status=status)
        if answer.get("sub") != identity.subject:
            raise self._refused(provider, "userinfo_subject")
        return replace(
            identity,
            email=_text(answer, "email"),
            email_verified=answer.get("email_verified") is True,
            name=identity.name or _text(answer, "name"),
            locale=identity.locale or _text(answer, "locale"),
        )

    def _metadata(self, provider: Provider) -> _Metadata:
        known, now = self._known[provider.name], clock.monotonic()
        if known.metadata is not None and now - known.metadata_at < METADATA_SECONDS:
            return known.metadata
        address = f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration"
        status, document = self._ask(provider, "GET", address)
        if status != 200 or document.get("issuer") != provider.issuer:
            raise self._unavailable(provider, "discovery", status=status)
        methods = document.get("token_endpoint_auth_methods_supported")
        metadata = _Metadata(
            self._endpoint(provider, document, "authorization_endpoint"),
            self._endpoint(provider, document, "token_endpoint"),
            self._endpoint(provider, document, "jwks_uri"),
            self._endpoint(provider, document, "userinfo_endpoint") if "userinfo_endpoint" in document else None,
            document.get("authorization_response_iss_parameter_supported") is True,
            isinstance(methods, list) and "client_secret_basic" not in methods and "client_secret_post" in methods,
        )
        known.metadata, known.metadata_at = metadata, now
        return metadata

    def _keys(self, provider: Provider, *, again: bool = False) -> Mapping[str, Any]:
        """The provider's key set; `again` reads it anew unless that was done a moment ago."""
        jwks_uri = self._metadata(provider).jwks_uri
        known = self._known[provider.name]
        with self._lock:
            age = clock.monotonic() - known.keys_at
            if known.keys is not None and age < (KEYS_INTERVAL_SECONDS if again else METADATA_SECONDS):
                return known.keys
            known.keys_at = clock.monotonic()
        status, document = self._ask(provider, "GET", jwks_uri)
        if status != 200 or not isinstance(document.get("keys"), list):
            raise self._unavailable(provider, "keys", status=status)
        known.keys = document
        return document

    def _endpoint(self, provider: Provider, document: Mapping[str, Any], name: str) -> str:
        address = _text(document, name) or ""
        parts = urlsplit(address)
        if not protected(address, plain_http=self._plain_http) or not parts.hostname or parts.fragment:
            raise self._unavailable(provider, name)
        return address

    def _ask(self, provider: Provider, method: str, address: str, **options: Any) -> tuple[int, Mapping[str, Any]]:
        """Status and JSON object of an answer; an empty object where it is none. Raises ProviderUnavailable."""
        try:
            with (
                httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False, trust_env=False) as client,
                client.stream(method, address, **_without_nothing(options)) as response,
            ):
                body = bytearray()
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > ANSWER_BYTES_MAXIMUM:
                        raise self._unavailable(provider, "answer_too_long")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unavailable(provider, type(error).__name__) from None
        try:
            document = orjson.loads(bytes(body))
        except orjson.JSONDecodeError:
            document = None
        return response.status_code, document if isinstance(document, dict) else {}

    @staticmethod
    def _refused(provider: Provider, reason: str, **members: Any) -> ProviderAnswerRefused:
        log.warning("auth.federation.refused", provider=provider.name, reason=reason, **members)
        return ProviderAnswerRefused("This sign-in cannot be completed; begin again.", code=None)

    @staticmethod
    def _unavailable(provider: Provider, reason: str, **members: Any) -> ProviderUnavailable:
        log.warning("auth.federation.unavailable", provider=provider.name, reason=reason, **members)
        return ProviderUnavailable(
            f"{provider.label} does not answer as it should; try again, or sign in another way.",
            retry_after=RETRY_AFTER_SECONDS,
        )


def _text(document: Mapping[str, Any], name: str) -> str | None:
    value = document.get(name)
    return value if isinstance(value, str) else None


def _without_nothing(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
