"""The gateway's own few pages, on a socket that only HAProxy can reach: `/health` for administrators, and what the platform
publishes about itself: the OpenAPI and AsyncAPI documents and the schemas of events."""

import socket
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

from flask import Flask, Response, request
from prometheus_client import CONTENT_TYPE_LATEST

from gateway.asyncapi import Catalogue
from gateway.compiler import PAGES_SOCKET
from gateway.haproxy import HaproxyAway, short_path
from gateway.manifest import ROOT
from gateway.openapi import merged
from gateway.settings import GatewaySettings
from gateway.state import Gateway
from libs.common.auth.policy import Role
from libs.common.auth.tokens import StaticKeys, TokenVerifier, parse_key_set
from libs.common.errors import Forbidden, MethodNotAllowed, NotFound, Problem, Unauthenticated
from libs.common.http.answers import problem_response

BACKLOG = 128
POLL_SECONDS = 0.5
DOCUMENT_SECONDS = 3_600
"""How long anybody may keep a published document before asking again."""
SCHEMA_MEDIA_TYPE = "application/schema+json"


class Pages:
    """A small WSGI application and its server."""

    def __init__(
        self,
        gateway: Gateway,
        settings: GatewaySettings,
        status: Callable[[], dict[str, Any]],
        root: Path = ROOT,
        *,
        metrics: Callable[[], bytes],
    ) -> None:
        self._gateway = gateway
        self._settings = settings
        self._status = status
        self._root = root
        self._events = Catalogue(root)
        self.app = Flask("gateway", static_folder=None)
        self.app.add_url_rule("/health", view_func=self.health)
        # Not in the policy, so the public door does not know it: HAProxy asks for it on the port for metrics alone.
        self.app.add_url_rule("/metrics", view_func=lambda: Response(metrics(), content_type=CONTENT_TYPE_LATEST))
        self.app.add_url_rule("/openapi.json", view_func=self.openapi)
        self.app.add_url_rule("/asyncapi.json", view_func=self.asyncapi)
        self.app.add_url_rule("/events", view_func=self.events)
        self.app.add_url_rule("/events/<event_type>/<int:version>", view_func=self.event_schema)
        self.app.register_error_handler(Problem, self._problem)
        self.app.register_error_handler(404, lambda _: self._problem(NotFound("There is no page at this address.")))
        self.app.register_error_handler(405, lambda _: self._problem(MethodNotAllowed("This page is only read.")))

    def run(self, stopped: Event) -> None:
        """Serve until told to stop."""
        from gevent import sleep
        from gevent.pywsgi import WSGIServer

        server = WSGIServer(self._listener(), self.app, log=None, error_log=None)
        server.start()
        while not stopped.is_set():
            sleep(POLL_SECONDS)
        server.stop()

    def health(self) -> Response:
        """Every replica as HAProxy sees it, and this process itself. Administrators only."""
        self._require_admin()
        try:
            replicas = self._gateway.haproxy.replicas()
        except HaproxyAway:
            replicas = {}
        return self._json({**self._status(), "replicas": replicas})

    def openapi(self) -> Response:
        """All services in one OpenAPI 3.1 document."""
        documents = sorted((self._root / "services").glob("*/openapi.json"))
        return self._json(merged(self._settings.lumiere_origin, documents))

    def asyncapi(self) -> Response:
        """All services in one AsyncAPI 3.0 document."""
        return self._published(self._events.document(self._settings.lumiere_origin, self._settings.gateway_amqps_port))

    def events(self) -> Response:
        """Every published event type and where its schema stands."""
        return self._published(self._events.index(self._settings.lumiere_origin))

    def event_schema(self, event_type: str, version: int) -> Response:
        """The JSON Schema of one event's data; its `$id` is the event's `dataschema`."""
        return self._published(self._events.schema(event_type, version), SCHEMA_MEDIA_TYPE)

    def _published(self, document: dict[str, Any], media_type: str = "application/json") -> Response:
        """A document that anybody may keep for a while, and ask for again by its tag."""
        answer = Response(self.app.json.dumps(document), content_type=media_type)
        answer.cache_control.public = True
        answer.cache_control.max_age = DOCUMENT_SECONDS
        answer.add_etag()
        answer.make_conditional(request)
        return answer

    def _require_admin(self) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthenticated("This needs an access token; sign in first.", code=None)
        keys = StaticKeys(parse_key_set(self._gateway.key_set))
        verifier = TokenVerifier(self._settings.lumiere_origin, self._settings.audience, keys, self._gateway)
        if not verifier.verify(token).has(Role.ADMIN):
            raise Forbidden("Your roles do not permit this.")

    def _json(self, document: dict[str, Any]) -> Response:
        return Response(self.app.json.dumps(document), content_type="application/json")

    def _problem(self, problem: Problem) -> Response:
        return problem_response(problem, request.path, request.headers.get("X-Request-Id", ""))

    def _listener(self) -> Any:
        from gevent.socket import socket as gevent_socket

        path = self._gateway.folder.run / PAGES_SOCKET
        path.unlink(missing_ok=True)
        listener = gevent_socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with short_path(path) as name:
            listener.bind(name)
        path.chmod(0o600)
        listener.listen(BACKLOG)
        return listener
