"""The doors at which clients learn how to speak with this provider."""

import json
from typing import Any

from libs.common.auth.policy import PUBLIC, Rate
from libs.common.http import Document, Produced, Routes
from services.auth.domain.authorization import Provider
from services.auth.domain.keys import KEY_SET_AGE
from services.auth.domain.metadata import provider_metadata, server_metadata

routes = Routes("auth")

JSON = "application/json"
EXAMPLE = '{"issuer": "https://lumiere.film", "token_endpoint": "https://lumiere.film/oauth/token"}'


@routes.get(
    "/.well-known/openid-configuration",
    allow=PUBLIC,
    rate=Rate.PUBLIC,
    root=True,
    during_maintenance=True,
    produces=(Produced(JSON, EXAMPLE),),
)
def openid_configuration(provider: Provider) -> Document:
    """Read what this OpenID provider supports and where (OpenID Connect Discovery)."""
    return _kept(provider_metadata(provider))


@routes.get(
    "/.well-known/oauth-authorization-server",
    allow=PUBLIC,
    rate=Rate.PUBLIC,
    root=True,
    during_maintenance=True,
    produces=(Produced(JSON, EXAMPLE),),
)
def authorization_server(provider: Provider) -> Document:
    """Read what this authorization server supports and where (RFC 8414)."""
    return _kept(server_metadata(provider))


def _kept(members: dict[str, Any]) -> Document:
    headers = {"Cache-Control": f"public, max-age={int(KEY_SET_AGE.total_seconds())}"}
    return Document(json.dumps(members).encode(), JSON, headers)
