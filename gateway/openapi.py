"""One OpenAPI 3.1 document made of the services' own, with what the gateway itself may answer to any request."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gateway.limits import WINDOW_SECONDS, limits
from gateway.problems import KINDS
from libs.common.config import Environment
from libs.common.errors import PROBLEM_MEDIA_TYPE

REFERENCE = "#/components/"
_ANY_PROBLEM = {"$ref": f"{REFERENCE}responses/Problem"}
_INSTANCE, _REQUEST_ID = "/api/v1/films/le-voyage-dans-la-lune", "5f1c2d3e-8a41-4c57-9b0d-2f6a7c8e9d10"

HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-Id": {
        "description": "The request's id: the one sent, when it has 8 to 64 letters, digits, dots, dashes, underscores",
        "schema": {"type": "string"},
        "example": _REQUEST_ID,
    },
    "RateLimit-Policy": {
        "description": "The rate class with its quota `q` in a window of `w` seconds",
        "schema": {"type": "string"},
        "example": f'"read";q=600;w={WINDOW_SECONDS}',
    },
    "RateLimit": {
        "description": "What is left of it: `r` requests, for `t` seconds at most",
        "schema": {"type": "string"},
        "example": f'"read";r=599;t={WINDOW_SECONDS}',
    },
    "Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}, "example": WINDOW_SECONDS},
    "WWW-Authenticate": {
        "description": "How to authenticate (RFC 6750 section 3)",
        "schema": {"type": "string"},
        "example": 'Bearer realm="lumiere", error="invalid_token"',
    },
    "Allow": {"description": "The methods that this address takes", "schema": {"type": "string"}, "example": "GET, HEAD"},
}
ON_EVERY_ANSWER = ("X-Request-Id", "RateLimit-Policy", "RateLimit")
MORE: dict[int, tuple[str, ...]] = {
    401: ("WWW-Authenticate",),
    403: ("WWW-Authenticate",),
    405: ("Allow",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}
DETAILS: dict[int, str] = {
    400: "The path is not in canonical form; send it without encoded unreserved characters, dot segments or doubled slashes.",
    401: "The access token has expired or is not valid yet; refresh it.",
    403: "Your roles do not permit this.",
    404: "There is nothing at this address.",
    405: "This address does not take this method; see the Allow header.",
    408: "The request did not arrive whole in time.",
    411: "Send the body with a Content-Length.",
    413: "The body is over the limit of this route.",
    414: "The address is too long.",
    429: "Too many requests; wait before trying again.",
    431: "The request head is too long.",
    500: "The gateway could not handle the request.",
    502: "The service broke off its answer; send the request again if it is safe to repeat.",
    503: "The service is busy or away; try again shortly.",
    504: "The service did not answer in time.",
}
"""An example of each status that the gateway answers by itself, to any operation."""


def merged(origin: str, profile: Environment, documents: Iterable[Path]) -> dict[str, Any]:
    """Paths side by side; components of one name but different content get the service's name in front."""
    result: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Lumière",
            "version": "1",
            "summary": "The back end of a collaborative film studio.",
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": origin}],
        "tags": [],
        "paths": {},
        "components": {"headers": HEADERS, "responses": {_name(status): _response(status) for status in DETAILS}},
        "x-rate-classes": {
            str(rate): {"subject": limit.subject, "address": limit.address, "window": WINDOW_SECONDS}
            for rate, limit in limits(profile).items()
        },
    }
    for path in documents:
        _take(path.parent.name, json.loads(path.read_bytes()), result)
    for operation in (each for methods in result["paths"].values() for each in methods.values()):
        _add_own_answers(operation)
    for response in result["components"]["responses"].values():
        response.setdefault("headers", _references(ON_EVERY_ANSWER))
    return result


_DESCRIPTION = (
    "Every refusal is a problem document (RFC 9457). `x-roles` says who may call an operation, `x-rate-class` how often: "
    "the classes and their numbers stand under `x-rate-classes`, requests in a window of seconds, counted by subject and by "
    "keyed hash of the address. A request may bring an `X-Request-Id`, and a POST that takes one an `Idempotency-Key`."
)


def _take(service: str, document: dict[str, Any], result: dict[str, Any]) -> None:
    names = _fitting(service, document.get("components", {}), result["components"])
    renamed = _rename(document, {f"{REFERENCE}{old}": f"{REFERENCE}{new}" for old, new in names.items()})
    result["tags"] += [{"name": service}, *(tag for tag in renamed.get("tags", []) if tag not in result["tags"])]
    for name, operations in renamed.get("paths", {}).items():
        result["paths"].setdefault(name, {}).update(operations)
    for old, new in names.items():
        (kind, before), (_, after) = old.split("/", 1), new.split("/", 1)
        result["components"].setdefault(kind, {})[after] = renamed["components"][kind][before]


def _fitting(service: str, components: dict[str, dict[str, Any]], taken: dict[str, dict[str, Any]]) -> dict[str, str]:
    """`schemas/Page` → `schemas/Page`, or `schemas/TasksPage` when another service's differs."""
    names: dict[str, str] = {}
    for kind, entries in components.items():
        for name, content in entries.items():
            same = taken.get(kind, {}).get(name, content) == content
            names[f"{kind}/{name}"] = f"{kind}/{name if same else service.capitalize() + name}"
    return names


def _rename(node: Any, names: dict[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: names.get(value, value) if key == "$ref" else _rename(value, names) for key, value in node.items()}
    if isinstance(node, list):
        return [_rename(value, names) for value in node]
    return node


def _add_own_answers(operation: dict[str, Any]) -> None:
    """What a service says of one of these statuses stays, unless it says no more than that it is a problem."""
    responses = operation["responses"]
    for response in responses.values():
        if "$ref" not in response:
            response["headers"] = {**response.get("headers", {}), **_references(ON_EVERY_ANSWER)}
    for status in map(str, DETAILS):
        if responses.get(status, _ANY_PROBLEM) == _ANY_PROBLEM and (status != "401" or operation["security"]):
            responses[status] = {"$ref": f"{REFERENCE}responses/{_name(int(status))}"}


def _name(status: int) -> str:
    return f"Gateway{KINDS[status].__name__}"


def _response(status: int) -> dict[str, Any]:
    kind = KINDS[status]
    return {
        "description": kind.title,
        "headers": _references((*ON_EVERY_ANSWER, *MORE.get(status, ()))),
        "content": {
            PROBLEM_MEDIA_TYPE: {
                "schema": {"$ref": f"{REFERENCE}schemas/Problem"},
                "example": kind(DETAILS[status]).document(_INSTANCE, _REQUEST_ID),
            }
        },
    }


def _references(names: Iterable[str]) -> dict[str, Any]:
    return {name: {"$ref": f"{REFERENCE}headers/{name}"} for name in names}
