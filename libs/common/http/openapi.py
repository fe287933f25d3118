"""The OpenAPI 3.1 document of a service, generated from its routes and models."""

import inspect
import json
import typing
from collections.abc import Iterable
from copy import deepcopy
from typing import Any, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from libs.common.auth.policy import CRON_HEADER, Access, Idempotency, Rate, Subject
from libs.common.errors import PROBLEM_MEDIA_TYPE, NotFound
from libs.common.http.binding import PATH_PATTERNS, Signature, analyse, parameter_kinds
from libs.common.http.examples import illustrate
from libs.common.http.forms import FORM
from libs.common.http.idempotency import HEADER
from libs.common.http.manifest import path_template
from libs.common.http.models import Accepted, Created, Document, IfMatch, NoContent, Redirect, Streaming, Tagged
from libs.common.http.routes import JSON, Produced, Route

_TOKEN: list[dict[str, list[str]]] = [{"bearer": []}, {"dpop": []}]
_SECURITY: dict[Access | None, list[dict[str, list[str]]]] = {Access.PUBLIC: [], Access.CRON: [{"cron": []}]}
_REFERENCE = "#/components/schemas/{model}"
_PROBLEM = {
    "type": "object",
    "description": "A problem document (RFC 9457).",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "description": "Every fault of the request, when its shape was wrong",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
    "examples": [
        NotFound("There is no such film.").document(
            "/api/v1/films/le-voyage-dans-la-lune", "5f1c2d3e-8a41-4c57-9b0d-2f6a7c8e9d10"
        )
    ],
}
_PROBLEM_RESPONSE = {
    "description": "A problem",
    "content": {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_PROBLEM_ANSWER = {"$ref": "#/components/responses/Problem"}


def openapi(service: str, version: str, routes: Iterable[Route]) -> dict[str, Any]:
    """The document of one service; the gateway merges those of all. Pages for people are no interface of programs."""
    listed = [(route, analyse(route)) for route in routes if route.allow.access is not Access.SERVICE and not route.page]
    schemas, names = _schemas(listed)
    paths: dict[str, dict[str, Any]] = {}
    for route, signature in sorted(listed, key=lambda each: (each[0].path, each[0].method)):
        paths.setdefault(path_template(route.path), {})[route.method.lower()] = _operation(route, signature, names)
    document = {
        "openapi": "3.1.0",
        "info": {"title": f"Lumière {service}", "version": version},
        "paths": paths,
        "components": {
            "schemas": {"Problem": _PROBLEM, **schemas},
            "responses": {"Problem": deepcopy(_PROBLEM_RESPONSE)},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT (RFC 9068)"},
                "dpop": {"type": "http", "scheme": "DPoP", "description": "A token bound to a key, with its proof (RFC 9449)"},
                "cron": {"type": "apiKey", "in": "header", "name": CRON_HEADER},
            },
        },
    }
    illustrate(document)
    return document


_Names = dict[tuple[type[BaseModel], JsonSchemaMode], dict[str, Any]]


def _schemas(listed: Iterable[tuple[Route, Signature]]) -> tuple[dict[str, Any], _Names]:
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = []
    shared: dict[str, Any] = {}
    for route, signature in listed:
        models += [
            (model, "validation")
            for kind in (signature.body_type, signature.form, route.body_type)
            for model in _models_in(kind)
        ]
        models += [(model, "serialization") for model in _models_in(_view_of(signature.answer))]
        queried = TypeAdapter(signature.query).json_schema(ref_template=_REFERENCE) if signature.query else {}
        shared |= queried.get("$defs", {})
    mapping, definitions = models_json_schema(sorted(set(models), key=str), ref_template=_REFERENCE)
    return {**shared, **definitions.get("$defs", {})}, typing.cast(_Names, mapping)


def _models_in(kind: Any) -> list[type[BaseModel]]:
    if inspect.isclass(kind) and issubclass(kind, BaseModel):
        return [kind]
    return [model for argument in get_args(kind) for model in _models_in(argument)]


def _view_of(answer: Any) -> Any:
    return get_args(answer)[0] if get_origin(answer) in {Created, Accepted, Tagged} else answer


def _operation(route: Route, signature: Signature, names: _Names) -> dict[str, Any]:
    summary, _, description = (inspect.getdoc(route.handler) or "").partition("\n")
    operation: dict[str, Any] = {
        "operationId": route.operation,
        "tags": [route.service],
        "summary": summary,
        "parameters": _parameters(route, signature),
        "responses": _responses(route, signature, names),
        "security": _SECURITY.get(route.allow.access, _TOKEN),
        **_policy(route),
    }
    if description.strip():
        operation["description"] = description.strip()
    if body := _request_body(route, signature, names):
        operation["requestBody"] = body
    return operation


def _policy(route: Route) -> dict[str, Any]:
    """What the gateway and the service hold a caller to, as it was declared: bytes, seconds."""
    policy: dict[str, Any] = {
        "x-roles": route.allow.manifest(),
        "x-rate-class": str(route.rate),
        "x-body-limit": route.body_limit,
        "x-timeout": route.timeout,
        "x-idempotency": str(route.idempotency),
    }
    if route.stream:
        policy["x-stream"] = True
    if route.step_up is not None:
        policy["x-step-up"] = route.step_up
    if route.scope is not None:
        policy["x-scope"] = str(route.scope)
    if route.step_up_acr is not None:
        policy["x-step-up-acr"] = str(route.step_up_acr)
    if route.enrolment:
        policy["x-enrolment"] = True
    if route.during_maintenance:
        policy["x-during-maintenance"] = True
    return policy


def _request_body(route: Route, signature: Signature, names: _Names) -> dict[str, Any] | None:
    if signature.body is not None:
        return {"required": True, "content": {JSON: {"schema": _schema(signature.body_type, "validation", names)}}}
    if signature.form is not None:
        return {"required": True, "content": {FORM: {"schema": _schema(signature.form, "validation", names)}}}
    if signature.raw:
        content: dict[str, dict[str, Any]] = {media_type: {} for media_type in route.consumes}
        if route.body_type is not None:
            content[JSON] = {"schema": _schema(route.body_type, "validation", names)}
        if route.body_example is not None:
            content[route.consumes[-1]] = {"schema": {"type": "string"}, "example": route.body_example}
        return {"required": True, "content": content}
    return None


def _schema(kind: Any, mode: JsonSchemaMode, names: _Names) -> dict[str, Any]:
    if inspect.isclass(kind) and issubclass(kind, BaseModel):
        return names[kind, mode]
    schema = TypeAdapter(kind).json_schema(mode=mode, ref_template=_REFERENCE)
    schema.pop("$defs", None)
    return schema


def _parameters(route: Route, signature: Signature) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": _path_schema(kind)}
        for name, kind in parameter_kinds(route).items()
    ]
    if signature.query is not None:
        schema = TypeAdapter(signature.query).json_schema(ref_template=_REFERENCE)
        required = schema.get("required", [])
        for name, each in schema.get("properties", {}).items():
            parameters.append({"name": name, "in": "query", "required": name in required, "schema": each})
    if route.idempotency is not Idempotency.REFUSED:
        required = route.idempotency is Idempotency.REQUIRED
        key = {"type": "string", "minLength": 8, "maxLength": 255}
        parameters.append({"name": HEADER, "in": "header", "required": required, "schema": key})
    if signature.wants(IfMatch):
        parameters.append({"name": "If-Match", "in": "header", "required": False, "schema": {"type": "string"}})
    return parameters


def _path_schema(kind: str) -> dict[str, Any]:
    if kind == "uuid":
        return {"type": "string", "format": "uuid"}
    if kind == "int":
        return {"type": "integer"}
    return {"type": "string", "pattern": f"^{PATH_PATTERNS[kind]}$"}


def _responses(route: Route, signature: Signature, names: _Names) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    members = get_args(signature.answer) if get_origin(signature.answer) is typing.Union else (signature.answer,)
    for answer in members:
        status, body = _success(route, answer, names)
        responses[status] = body
    return {**responses, **{str(status): _PROBLEM_ANSWER for status in _refusals(route, signature)}}


def _refusals(route: Route, signature: Signature) -> list[int]:
    """The statuses of this route's refusals: those that follow from its declaration, and those that it declares itself."""
    follows = {
        400: True,
        401: route.allow.access is not Access.PUBLIC or signature.wants(Subject),
        403: route.allow.access is not Access.PUBLIC or route.rate is Rate.STREAM,
        404: bool(signature.path) or route.concealed or route.allow.access is Access.CRON,
        409: route.method != "GET",
        411: bool(signature.body or signature.raw or signature.form),
        412: signature.wants(IfMatch),
        413: True,
        415: bool(signature.body or signature.raw or signature.form),
        422: True,
        429: True,
        500: True,
        503: True,
    }
    return sorted({status for status, possible in follows.items() if possible} | {each.status for each in route.refuses})


def _success(route: Route, answer: Any, names: _Names) -> tuple[str, dict[str, Any]]:
    origin = get_origin(answer) or answer
    if origin is NoContent:
        return "204", {"description": "Done"}
    if origin is Redirect:
        return "3XX", {"description": "See the Location header"}
    if origin in {Document, Streaming}:
        return str(route.status), {"description": "The document", "content": _produced(route)}
    status = {Created: 201, Accepted: 202}.get(origin, route.status)
    view = _view_of(answer)
    if view is None or not _models_in(view):
        return str(status), {"description": "OK"}
    return str(status), {"description": "OK", "content": {JSON: {"schema": _schema(view, "serialization", names)}}}


def _produced(route: Route) -> dict[str, Any]:
    """What a document may be. A text or a JSON value has an example, bytes have none."""
    content = {each.media_type.partition(";")[0]: _illustrated(each) for each in route.produces}
    return content or {"*/*": {}}


def _illustrated(produced: Produced) -> dict[str, Any]:
    if produced.example is None:
        return {}
    if produced.media_type.endswith("json"):
        return {"schema": {"type": "object"}, "example": json.loads(produced.example)}
    return {"schema": {"type": "string"}, "example": produced.example}
