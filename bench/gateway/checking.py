"""The same check in Flask: asked by nginx and Caddy before they forward (`verifier`), and as a whole gateway (`gateway`).

Run by gunicorn with green threads. It verifies with the kernel's own verifier; told to remember, it keeps what that found of a
token by its hash, as the platform's services do.
"""

import json
import re
from collections.abc import Iterator
from typing import Final

import urllib3
from flask import Flask, Request, Response, request

from bench.gateway import SETTINGS
from libs.common.auth import Role, StaticKeys, TokenVerifier
from libs.common.auth.tokens import Claims, parse_key_set
from libs.common.config import process_environment
from libs.common.errors import Unauthenticated

UUID: Final = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
ROUTES: Final = (
    (re.compile(f"/api/v1/admin/users/{UUID}"), frozenset({Role.ADMIN})),
    (re.compile("/api/v1/notifications/count"), frozenset[Role]()),
)
"""What the benchmark asks for, and who may; without roles everybody who is signed in."""
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
CONNECTIONS: Final = 64
_OF_ONE_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "host"})


class NothingRevoked:
    """It keeps no list of sessions that were ended: one thing that the platform's gateway does more."""

    def revoked(self, _claims: Claims) -> bool:
        """Never."""
        return False


def _new_verifier() -> TokenVerifier:
    """One that remembers nothing yet."""
    return TokenVerifier(_settings["issuer"], _settings["audience"], _keys, NothingRevoked())


_settings = json.loads(process_environment()[SETTINGS])
_keys = StaticKeys(parse_key_set({"keys": [_settings["key"]]}))
_remembering = _new_verifier() if _settings["remember"] else None
_host, _, _port = _settings["service"].rpartition(":")
_service = urllib3.HTTPConnectionPool(_host, int(_port), maxsize=CONNECTIONS, block=True)

verifier = Flask("verifier")
gateway = Flask("gateway")


def _refusal(asked: Request, path: str) -> int | None:
    """The status to refuse with, if any."""
    scheme, _, token = asked.headers.get("Authorization", "").partition(" ")
    allowed = next((roles for pattern, roles in ROUTES if pattern.fullmatch(path)), None)
    if allowed is None:
        return 404
    if scheme != "Bearer":
        return 401
    try:
        subject = (_remembering or _new_verifier()).verify(token)
    except Unauthenticated:
        return 401
    return 403 if allowed and not allowed & subject.roles else None


@verifier.get("/verify")
def verify() -> Response:
    """An empty answer: 200 when the request that is asked for may pass."""
    return Response(status=_refusal(request, request.headers.get("X-Forwarded-Uri", "")) or 200)


@gateway.route("/<path:_path>", methods=METHODS)
def forward(_path: str) -> Response:
    """The service's answer."""
    refused = _refusal(request, request.path)
    if refused:
        return Response(status=refused)
    answer = _service.urlopen(
        request.method,
        request.full_path.rstrip("?"),
        body=request.get_data() or None,
        headers=dict(_passed_on(request.headers.items())),
        retries=False,
        redirect=False,
        decode_content=False,
    )
    return Response(answer.data, answer.status, list(_passed_on(answer.headers.items())))


def _passed_on(headers: object) -> Iterator[tuple[str, str]]:
    yield from ((name, value) for name, value in headers if name.lower() not in _OF_ONE_HOP)  # type: ignore[attr-defined]
