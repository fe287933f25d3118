"""From what a handler returns to a Flask response."""

from collections.abc import Iterable
from typing import Any

import orjson
from flask import Request, Response
from pydantic import BaseModel

from libs.common.errors import PROBLEM_MEDIA_TYPE, Problem
from libs.common.http.cookies import Cookie
from libs.common.http.models import Accepted, Created, Document, Html, NoContent, Redirect, Streaming, Tagged
from libs.common.http.routes import JSON, Route
from libs.common.pages import HTML, PAGE_POLICY, error_page, preferred


def render(route: Route, answer: Any, request: Request) -> Response:
    """The response for a handler's answer. Raises TypeError for what no route may return."""
    match answer:
        case Response():
            return answer
        case NoContent():
            return Response(status=204)
        case Html():
            return _page(answer)
        case Created(view=view, location=location):
            return _json(view, 201, Location=location)
        case Accepted(view=view):
            return _json(view, 202)
        case Tagged():
            return _tagged(route, answer, request)
        case Redirect(location=location, status=status, cookies=cookies, headers=headers):
            return _with(cookies, Response(status=status, headers={**headers, "Location": location}))
        case Document() | Streaming():
            return _bytes(answer)
        case BaseModel():
            return _json(answer, route.status)
    raise TypeError(f"{route.source} returned {type(answer).__name__}; return a View or one of the kernel's answers.")


def _bytes(answer: Document | Streaming) -> Response:
    streamed = isinstance(answer, Streaming)
    content = answer.chunks if isinstance(answer, Streaming) else answer.data
    return Response(
        content,
        status=answer.status,
        content_type=answer.media_type,
        headers=dict(answer.headers),
        direct_passthrough=streamed,
    )


def _page(page: Html) -> Response:
    headers = {
        "Content-Security-Policy": page.policy,
        "Content-Language": page.language,
        # A form of a page without a referrer would say `Origin: null` (Fetch section 3.1); the path is told to nobody.
        "Referrer-Policy": "strict-origin",
        **page.headers,
    }
    return _with(page.cookies, Response(page.text, status=page.status, content_type=HTML, headers=headers))


def _with(cookies: Iterable[Cookie], response: Response) -> Response:
    for cookie in cookies:
        response.headers.add("Set-Cookie", cookie.header)
    return response


def _json(view: BaseModel, status: int, **headers: str) -> Response:
    return Response(view.model_dump_json(by_alias=True), status=status, content_type=JSON, headers=headers)


def _tagged(route: Route, answer: Tagged[Any], request: Request) -> Response:
    tag = f'"{answer.version}"'
    given = {each.strip().removeprefix("W/") for each in request.headers.get("If-None-Match", "").split(",")}
    if request.method in {"GET", "HEAD"} and (tag in given or "*" in given):
        return Response(status=304, headers={"ETag": tag})
    return _json(answer.view, route.status, ETag=tag)


def refusal_page(problem: Problem, request: Request, request_id: str) -> Response:
    """The page that tells a person of a problem, in their language, with the problem's own status and headers."""
    language = preferred(request.accept_languages, request.args.get("lang"))
    text = error_page(problem.status, language, request.path, request_id, problem.detail)
    response = _page(Html(text, language, problem.status, PAGE_POLICY))
    response.headers.update(problem.headers())
    return response


def problem_response(problem: Problem, instance: str, request_id: str) -> Response:
    """A problem document (RFC 9457)."""
    return Response(
        orjson.dumps(problem.document(instance, request_id), default=str),
        status=problem.status,
        content_type=PROBLEM_MEDIA_TYPE,
        headers=problem.headers(),
    )
