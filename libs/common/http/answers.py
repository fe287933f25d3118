"""From what a handler returns to a Flask response."""

from typing import Any

import orjson
from flask import Request, Response
from pydantic import BaseModel

from libs.common.errors import PROBLEM_MEDIA_TYPE, Problem
from libs.common.http.models import Accepted, Created, Document, NoContent, Redirect, Streaming, Tagged
from libs.common.http.routes import JSON, Route


def render(route: Route, answer: Any, request: Request) -> Response:
    """The response for a handler's answer. Raises TypeError for what no route may return."""
    match answer:
        case Response():
            return answer
        case NoContent():
            return Response(status=204)
        case Created(view=view, location=location):
            return _json(view, 201, Location=location)
        case Accepted(view=view):
            return _json(view, 202)
        case Tagged(view=view, version=version):
            return _tagged(route, view, version, request)
        case Redirect(location=location, status=status):
            return Response(status=status, headers={"Location": location})
        case Document(data=data, media_type=media_type, headers=headers, status=status):
            return Response(data, status=status, content_type=media_type, headers=dict(headers))
        case Streaming(chunks=chunks, media_type=media_type, headers=headers, status=status):
            return Response(chunks, status=status, content_type=media_type, headers=dict(headers), direct_passthrough=True)
        case BaseModel():
            return _json(answer, route.status)
    raise TypeError(f"{route.source} returned {type(answer).__name__}; return a View or one of the kernel's answers.")


def _json(view: BaseModel, status: int, **headers: str) -> Response:
    return Response(view.model_dump_json(by_alias=True), status=status, content_type=JSON, headers=headers)


def _tagged(route: Route, view: BaseModel, version: int, request: Request) -> Response:
    tag = f'"{version}"'
    given = {each.strip().removeprefix("W/") for each in request.headers.get("If-None-Match", "").split(",")}
    if request.method in {"GET", "HEAD"} and (tag in given or "*" in given):
        return Response(status=304, headers={"ETag": tag})
    return _json(view, route.status, ETag=tag)


def problem_response(problem: Problem, instance: str, request_id: str) -> Response:
    """A problem document (RFC 9457)."""
    return Response(
        orjson.dumps(problem.document(instance, request_id), default=str),
        status=problem.status,
        content_type=PROBLEM_MEDIA_TYPE,
        headers=problem.headers(),
    )
