"""The Flask application of a service: one way through for every request.

route → token (401) → role, scope (403) → age of the sign-in (401) → length and type (411/413/415) → shape (422) → idempotency
→ handler → one commit → answer
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

from flask import Flask, Response, request
from opentelemetry.trace import SpanKind
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter

from libs.common import clock
from libs.common.auth.policy import Access, Rate, Subject
from libs.common.auth.tokens import Admission, TokenVerifier
from libs.common.db import Database, Reader, Transaction, kernel_tables
from libs.common.errors import NOTHING_HERE, InternalError, MethodNotAllowed, NotFound, Problem, Unavailable
from libs.common.http.answers import problem_response, refusal_page, render
from libs.common.http.authentication import authenticate, credentials, require_recent, require_role, require_scope
from libs.common.http.binding import PATH_PATTERNS, Signature, analyse, parameter_kinds, read_inputs
from libs.common.http.health import Health
from libs.common.http.idempotency import attempt_of, once
from libs.common.http.origins import require_own_origin, require_own_page
from libs.common.http.routes import Route
from libs.common.ids import new_id
from libs.common.pages import wants_page
from libs.common.telemetry import context, logger, new_traceparent, span

log = logger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_PARAMETER = re.compile(r"<(path:)?([a-z_]+)>")

SAFE_METHODS = frozenset({"GET", "HEAD"})
REQUESTS = Counter("lumiere_http_requests_total", "Requests by operation and status", ["operation", "status"])
DURATIONS = Histogram(
    "lumiere_http_request_seconds",
    "Time to answer",
    ["operation"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)


@dataclass(frozen=True)
class Runtime:
    """What requests need of their service."""

    service: str
    database: Database
    verifier: TokenVerifier
    service_token: str
    resources: Mapping[type, object]
    health: Health
    trace_sample_ratio: float = 0.0
    cron_secret: str | None = None


def create_application(runtime: Runtime, routes: Iterable[Route]) -> Flask:
    """The WSGI application. Raises Undeclarable when a handler asks for what nobody provides."""
    app = Flask(runtime.service, static_folder=None)
    app.url_map.strict_slashes = True
    app.url_map.merge_slashes = False
    for kind, pattern in PATH_PATTERNS.items():
        app.url_map.converters[kind] = type(
            f"{kind.title()}Converter", (BaseConverter,), {"regex": pattern, "part_isolating": kind != "path"}
        )
    for route in routes:
        if _is_open(runtime, route):
            _mount(app, runtime, route)
    _mount_kernel(app, runtime)
    app.register_error_handler(HTTPException, _on_http_exception)
    app.before_request(partial(_begin, runtime.trace_sample_ratio))
    return app


def _is_open(runtime: Runtime, route: Route) -> bool:
    """Whether a door for machines has what opens it. A route that is not mounted is as if it never was."""
    if route.allow.access is Access.CRON:
        return runtime.cron_secret is not None
    return not route.concealed or all(kind in runtime.resources for kind in analyse(route).resources.values())


def _mount(app: Flask, runtime: Runtime, route: Route) -> None:
    signature = analyse(route)
    missing = [kind.__name__ for kind in signature.resources.values() if kind not in runtime.resources]
    if missing:
        raise TypeError(f"{route.source} asks for {', '.join(missing)}, which the service does not provide.")
    kinds = parameter_kinds(route)
    rule = _PARAMETER.sub(lambda match: f"<{kinds[match[2]]}:{match[2]}>", route.path)

    def view(**path: str) -> Response:
        return _observed(route, lambda: _answer(runtime, route, signature, path))

    app.add_url_rule(
        rule,
        endpoint=f"{route.operation}:{route.method}",
        view_func=view,
        methods=[route.method],
        provide_automatic_options=False,
    )


def _mount_kernel(app: Flask, runtime: Runtime) -> None:
    health = runtime.health
    app.add_url_rule("/health/live", "live", health.live, provide_automatic_options=False)
    app.add_url_rule("/health/ready", "ready", health.ready, provide_automatic_options=False)
    app.add_url_rule(
        "/metrics",
        "metrics",
        lambda: Response(generate_latest(), content_type=CONTENT_TYPE_LATEST),
        provide_automatic_options=False,
    )


def _begin(trace_sample_ratio: float) -> None:
    given = request.headers.get("X-Request-Id", "")
    request_id = given if _REQUEST_ID.fullmatch(given) else new_id().hex
    traceparent = request.headers.get("traceparent", "")
    if not _TRACEPARENT.fullmatch(traceparent):
        traceparent = new_traceparent(sampled=hash(request_id) % 10_000 < trace_sample_ratio * 10_000)
    context.set_current(context.Context(request_id=request_id, correlation_id=request_id, traceparent=traceparent))


def _observed(route: Route, answer: Callable[[], Response]) -> Response:
    started = clock.monotonic()
    traceparent = context.current().traceparent
    with span(f"{route.method} {route.path}", traceparent, SpanKind.SERVER, operation=route.operation):
        response = _guarded(route, answer)
        elapsed = clock.monotonic() - started
        REQUESTS.labels(route.operation, response.status_code).inc()
        DURATIONS.labels(route.operation).observe(elapsed)
        level = log.warning if response.status_code >= 500 else log.info
        level(
            "http.request",
            operation=route.operation,
            method=route.method,
            status=response.status_code,
            milliseconds=round(elapsed * 1000, 1),
        )
    return _finish(response)


def _finish(response: Response) -> Response:
    response.headers["X-Request-Id"] = context.current().request_id or ""
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    return response


def _guarded(route: Route, answer: Callable[[], Response]) -> Response:
    try:
        return answer()
    except Problem as problem:
        return _problem(problem, route)
    except (PoolTimeout, OperationalError) as error:
        log.warning("database.unavailable", operation=route.operation, reason=type(error).__name__)
        return _problem(Unavailable("The service is busy; try again in a moment."), route)
    except HTTPException as error:
        return _on_http_exception(error)
    except Exception as error:
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            return _problem(Unavailable("The service lost its database for a moment; try again."), route)
        log.exception("http.unforeseen", operation=route.operation)
        return _problem(InternalError("Something unforeseen happened; report the request id."), route)


def _problem(problem: Problem, route: Route | None = None) -> Response:
    """A document; of a page that a person's browser asked for, a page."""
    request_id = context.current().request_id or ""
    if route is not None and route.page and wants_page(request.headers.get("Accept", "")):
        return _finish(refusal_page(problem, request, request_id))
    return _finish(problem_response(problem, request.path, request_id))


def _on_http_exception(error: HTTPException) -> Response:
    if error.code == 404:
        return _problem(NotFound(NOTHING_HERE))
    if error.code == 405:
        response = _problem(MethodNotAllowed("Use one of the methods in the Allow header."))
        response.headers["Allow"] = ", ".join(sorted(set(getattr(error, "valid_methods", None) or []) - {"OPTIONS"}))
        return response
    kinds: dict[int, type[Problem]] = {kind.status: kind for kind in Problem.__subclasses__()}
    return _problem(kinds.get(error.code or 500, InternalError)(error.description or ""))


def _answer(runtime: Runtime, route: Route, signature: Signature, path: Mapping[str, str]) -> Response:
    if route.rate is Rate.STREAM:
        require_own_origin(request, runtime.verifier.issuer)
    subject = authenticate(runtime, route, request, wanted=signature.wants(Subject) is not None)
    if subject:
        require_role(route, subject)
        require_scope(route, subject, request)
        require_recent(route, subject, request)
    if route.page and route.method not in SAFE_METHODS:
        require_own_page(request, runtime.verifier.issuer)
    with context.bound(**_actor(route, subject)):
        arguments = read_inputs(route, signature, request, path)
        if name := signature.wants(Subject):
            arguments[name] = subject
        if name := signature.wants(Admission):
            arguments[name] = Admission(runtime.verifier, credentials(request)[1])
        arguments.update({name: runtime.resources[kind] for name, kind in signature.resources.items()})
        return _call(runtime, route, signature, arguments, subject)


def _actor(route: Route, subject: Subject | None) -> dict[str, str | None]:
    if subject is None:
        return {"actor": str(route.allow.access)} if route.allow.access in {Access.SERVICE, Access.CRON} else {}
    name = f"{'client' if subject.machine else 'user'}:{subject.id}"
    return {"actor": name, "session_id": str(subject.session_id), "roles": " ".join(sorted(subject.roles))}


def _call(runtime: Runtime, route: Route, signature: Signature, arguments: dict[str, Any], subject: Subject | None) -> Response:
    if name := signature.wants(Database):
        arguments[name] = runtime.database
    with _unit_of_work(runtime.database, signature, arguments) as work:

        def run() -> Response:
            return render(route, route.handler(**arguments), request)

        if isinstance(work, Transaction) and not route.stream:
            attempt = attempt_of(route.idempotency, request, subject, request.get_data())
            if attempt:
                return once(work, kernel_tables(runtime.database.metadata), attempt, run)
        return run()


def _unit_of_work(database: Database, signature: Signature, arguments: dict[str, Any]) -> AbstractContextManager[Reader | None]:
    if name := signature.wants(Transaction):
        return _bound_to(arguments, name, database.transaction())
    if name := signature.wants(Reader):
        return _bound_to(arguments, name, database.reader())
    return nullcontext()


@contextmanager
def _bound_to(arguments: dict[str, Any], name: str, manager: AbstractContextManager[Reader]) -> Iterator[Reader]:
    """Enter a transaction or reader and put it among the arguments."""
    with manager as work:
        arguments[name] = work
        yield work
