"""From a handler's signature to its arguments: analysed once at the start, run on each request.

Faults are collected, never the values.
"""

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, Union, get_args, get_origin
from uuid import UUID

from flask import Request
from pydantic import BaseModel, TypeAdapter, ValidationError

from libs.common.auth.policy import Subject
from libs.common.auth.tokens import Admission
from libs.common.db import Database, Reader, Transaction
from libs.common.errors import BadRequest, ContentTooLarge, Fault, Invalid, LengthRequired, UnsupportedMediaType
from libs.common.http.cookies import Cookies, cookies_of
from libs.common.http.forms import model_of, read_form
from libs.common.http.models import IfMatch, RawBody, RequestInfo, parse_if_match
from libs.common.http.routes import Route
from libs.common.telemetry import context

_PATH_PARAMETER = re.compile(r"<(path:)?([a-z_]+)>")
_KINDS: dict[Any, str] = {UUID: "uuid", int: "int", str: "string"}
PATH_PATTERNS = {
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "int": r"[0-9]{1,18}",
    "string": r"[A-Za-z0-9._~-]{1,200}",
    "path": r"[A-Za-z0-9._~/-]{1,500}",
}


class Undeclarable(TypeError):
    """A handler asks for something that nobody provides."""


def parameter_kinds(route: Route) -> dict[str, str]:
    """Kinds of the path parameters: uuid, int, string (one segment) or path (several)."""
    hints = typing.get_type_hints(route.handler)
    kinds = {}
    for several, name in _PATH_PARAMETER.findall(route.path):
        if name not in hints or (hints[name] not in _KINDS and not several):
            raise Undeclarable(f"{route.source}: the path parameter <{name}> must be an argument of type UUID, int or str.")
        kinds[name] = "path" if several else _KINDS[hints[name]]
    return kinds


@dataclass(frozen=True)
class Signature:
    """What a handler asks for, by name."""

    path: Mapping[str, Callable[[str], Any]]
    body: TypeAdapter[Any] | None
    body_type: Any
    query: type | None
    raw: str | None
    form: type[BaseModel] | None = None
    injected: Mapping[str, Any] = field(default_factory=dict)
    resources: Mapping[str, type] = field(default_factory=dict)
    answer: Any = None

    def wants(self, kind: type) -> str | None:
        """The name of the argument of this kind, if the handler has one."""
        return next((name for name, each in self.injected.items() if each is kind), None)


_INJECTED = (Subject, Admission, Transaction, Reader, Database, IfMatch, RequestInfo, Cookies)


def analyse(route: Route) -> Signature:
    """Read a handler's signature. Raises Undeclarable when an argument has no source."""
    hints = typing.get_type_hints(route.handler)
    answer = hints.pop("return", None)
    kinds = parameter_kinds(route)
    path = {name: (UUID if kind == "uuid" else int if kind == "int" else str) for name, kind in kinds.items()}
    injected: dict[str, Any] = {}
    resources: dict[str, type] = {}
    raw = None
    for name in inspect.signature(route.handler).parameters:
        if name in path or name in {"body", "query", "form"}:
            continue
        if name not in hints:
            raise Undeclarable(f"{route.source}: the argument {name} needs a type.")
        kind = _without_none(hints[name])
        if kind in _INJECTED:
            injected[name] = kind
        elif kind is RawBody:
            raw = name
        else:
            resources[name] = kind
    body = hints.get("body")
    return Signature(
        path=path,
        body=TypeAdapter(body) if body is not None else None,
        body_type=body,
        query=hints.get("query"),
        raw=raw,
        form=_form(route, hints.get("form")),
        injected=injected,
        resources=resources,
        answer=answer,
    )


def _form(route: Route, annotation: Any) -> type[BaseModel] | None:
    try:
        return None if annotation is None else model_of(annotation)
    except TypeError as error:
        raise Undeclarable(f"{route.source}: {error}") from None


def _without_none(kind: Any) -> Any:
    if get_origin(kind) in {Union, UnionType}:
        members = [each for each in get_args(kind) if each is not type(None)]
        return members[0] if len(members) == 1 else kind
    return kind


def read_inputs(route: Route, signature: Signature, request: Request, path: Mapping[str, str]) -> dict[str, Any]:
    """Path, query and body, validated together. Raises Invalid with every fault at once."""
    values: dict[str, Any] = {name: convert(path[name]) for name, convert in signature.path.items()}
    data = _read_body(route, signature, request)
    faults: list[Fault] = []
    if signature.query is not None:
        _collect(faults, "/query", lambda: values.update(query=_query(signature.query, request)))
    elif request.args:
        faults += [Fault(f"/query/{name}", "is not a parameter of this resource; leave it out") for name in request.args]
    if signature.body is not None:
        adapter = signature.body
        _collect(faults, "", lambda: values.update(body=adapter.validate_json(data or b"null")))
    if faults:
        raise Invalid(faults)
    if signature.form is not None:
        values["form"] = read_form(signature.form, data, _told)
    if signature.raw:
        values[signature.raw] = RawBody(request.mimetype, data, request.stream, request.content_length)
    if name := signature.wants(IfMatch):
        values[name] = parse_if_match(request.headers.get("If-Match"))
    if name := signature.wants(RequestInfo):
        values[name] = request_info(request)
    if name := signature.wants(Cookies):
        values[name] = cookies_of(request)
    return values


def request_info(request: Request) -> RequestInfo:
    """What a handler may know of the request."""
    return RequestInfo(
        headers=dict(request.headers),
        user_agent=request.headers.get("User-Agent", "")[:256],
        origin=request.headers.get("Origin", ""),
        request_id=context.current().request_id or "",
    )


def _read_body(route: Route, signature: Signature, request: Request) -> bytes:
    if signature.body is None and signature.raw is None and signature.form is None:
        if request.content_length:
            _within(route, request)
        return b""
    if request.content_length is None and not route.stream:
        if request.headers.get("Transfer-Encoding"):
            raise LengthRequired("Send the body with a Content-Length.")
        if signature.raw is None:
            raise BadRequest("This request needs a body.")
    _within(route, request)
    if "*/*" not in route.consumes and request.mimetype not in route.consumes:
        raise UnsupportedMediaType(f"Send the body as {' or '.join(route.consumes)}.")
    if not route.stream:
        return request.get_data()
    # A body of unknown length is cut off while it is read. Werkzeug refuses to read on at its limit: ours is the byte before.
    request.max_content_length = route.body_limit + 1
    return b""


def _within(route: Route, request: Request) -> None:
    if (request.content_length or 0) > route.body_limit:
        raise ContentTooLarge(f"The body may have at most {route.body_limit} bytes.")


def _query(model: Any, request: Request) -> Any:
    values: dict[str, Any] = {}
    for name, given in request.args.lists():
        several = name in model.model_fields and get_origin(model.model_fields[name].annotation) in {tuple, list}
        if len(given) > 1 and not several:
            raise Invalid([Fault(f"/query/{name}", "was given more than once")])
        values[name] = given if several else given[0]
    return model.model_validate_strings(values)


def _collect(faults: list[Fault], base: str, read: Callable[[], None]) -> None:
    try:
        read()
    except Invalid as invalid:
        faults += invalid.faults
    except ValidationError as error:
        faults += _told(error, base)


def _told(error: ValidationError, base: str = "") -> list[Fault]:
    """What a model says of an input, without the values."""
    return [
        Fault(base + "".join(f"/{_escape(part)}" for part in item["loc"]) or "/", _sentence(item["msg"]))
        for item in error.errors(include_input=False, include_url=False, include_context=False)
    ]


def _escape(part: object) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")


def _sentence(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:]
