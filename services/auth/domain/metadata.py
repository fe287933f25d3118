"""What this provider says of itself (RFC 8414, OpenID Connect Discovery), and of people to clients."""

from collections.abc import Mapping
from typing import Any

from libs.common.auth.policy import Scope
from libs.common.auth.profile import ALGORITHM
from libs.common.errors import DPOP_ALGORITHM
from services.auth.domain.assertions import ASSERTION_ALGORITHM
from services.auth.domain.authorization import CHALLENGE_METHOD, Provider
from services.auth.domain.clients import AuthMethod, GrantType


def server_metadata(provider: Provider) -> dict[str, Any]:
    """Return the authorization server's metadata (RFC 8414 section 2)."""
    issuer = provider.issuer
    confidential = [str(method) for method in AuthMethod if method is not AuthMethod.NONE]
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/oauth/authorize",
        "token_endpoint": f"{issuer}/oauth/token",
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "device_authorization_endpoint": f"{issuer}/oauth/device_authorization",
        "introspection_endpoint": f"{issuer}/oauth/introspect",
        "revocation_endpoint": f"{issuer}/oauth/revoke",
        "scopes_supported": [str(scope) for scope in Scope],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": [str(grant) for grant in GrantType],
        "code_challenge_methods_supported": [CHALLENGE_METHOD],
        "token_endpoint_auth_methods_supported": [str(method) for method in AuthMethod],
        "token_endpoint_auth_signing_alg_values_supported": [ASSERTION_ALGORITHM],
        "introspection_endpoint_auth_methods_supported": confidential,
        "introspection_endpoint_auth_signing_alg_values_supported": [ASSERTION_ALGORITHM],
        "revocation_endpoint_auth_methods_supported": [str(method) for method in AuthMethod],
        "revocation_endpoint_auth_signing_alg_values_supported": [ASSERTION_ALGORITHM],
        "authorization_response_iss_parameter_supported": True,
        "dpop_signing_alg_values_supported": [DPOP_ALGORITHM],
        "ui_locales_supported": ["en", "fr"],
        "service_documentation": f"{issuer}/docs",
    }


def provider_metadata(provider: Provider) -> dict[str, Any]:
    """Return the OpenID provider's metadata (OpenID Connect Discovery section 3)."""
    return {
        **server_metadata(provider),
        "userinfo_endpoint": f"{provider.issuer}/oauth/userinfo",
        "end_session_endpoint": f"{provider.issuer}/oauth/logout",
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "claims_supported": [
            "sub",
            "auth_time",
            "amr",
            "sid",
            "nonce",
            "at_hash",
            "name",
            "locale",
            "email",
            "email_verified",
        ],
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }


def user_claims(account: Any, scopes: frozenset[str] | None) -> Mapping[str, Any]:
    """Return what may be told of a person to who has these scopes; to our own clients (None) all of it.

    OpenID Connect Core section 5.4 says which scope is for which.
    """
    claims: dict[str, Any] = {"sub": str(account.id)}
    if scopes is None or Scope.PROFILE in scopes:
        claims |= {"name": account.display_name, "locale": account.locale}
    if scopes is None or Scope.EMAIL in scopes:
        claims |= {"email": account.email, "email_verified": account.verified_at is not None}
    return claims
