"""The gateway's own few pages, on a socket that only HAProxy can reach.

`/health` for administrators, what the platform publishes about itself (the OpenAPI and AsyncAPI documents, schemas of events),
and what people read in a browser (`gateway/site`).
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

from flask import Flask, Response, request

from gateway import challenges
from gateway.asyncapi import Catalogue
from gateway.containment import Containment
from gateway.haproxy import HaproxyAway
from gateway.keys import trusted
from gateway.manifest import ROOT
from gateway.openapi import merged
from gateway.settings import GatewaySettings
from gateway.site import documents
from gateway.site.published import Published
from gateway.site.security_txt import security_txt
from gateway.telling import STATUS, ControlAway, ask
from libs.common import clock
from libs.common.auth.policy import Role
from libs.common.auth.tokens import StaticKeys, TokenVerifier
from libs.common.errors import Forbidden, MethodNotAllowed, NotFound, Problem, Unauthenticated, Unavailable
from libs.common.http.answers import problem_response
from libs.common.pages import HTML, PAGE_POLICY, error_page, preferred, wants_page

DOCUMENT_CACHE = "public, max-age=3600"
"""How long anybody may keep a published document before asking again."""
JSON_MEDIA_TYPE = "application/json"
SCHEMA_MEDIA_TYPE = "application/schema+json"
TEXT_MEDIA_TYPE = "text/plain; charset=utf-8"


class Pages:
    """A small WSGI application."""

    def __init__(self, gateway: Containment, settings: GatewaySettings, root: Path = ROOT) -> None:
        self._gateway = gateway
        self._settings = settings
        self._root = root
        self._events = Catalogue(root)
        self._operator = settings.operator()
        self._openapi: tuple[object, Published] | None = None
        self.app = Flask("gateway", static_folder=None)
        self.app.add_url_rule("/health", view_func=self.health)
        self.app.add_url_rule("/", view_func=self.home)
        self.app.add_url_rule("/docs", view_func=self.docs)
        self.app.add_url_rule("/assets/<name>", view_func=self.asset)
        self.app.add_url_rule("/legal/<page>", view_func=self.legal)
        self.app.add_url_rule("/.well-known/security.txt", view_func=self.security_txt)
        self.app.add_url_rule("/openapi.json", view_func=self.openapi)
        self.app.add_url_rule("/asyncapi.json", view_func=self.asyncapi)
        self.app.add_url_rule("/events", view_func=self.events)
        self.app.add_url_rule("/events/<event_type>/<int:version>", view_func=self.event_schema)
        if settings.gateway_acme_challenges is not None:
            shown = partial(challenges.answer, settings.gateway_acme_challenges)
            self.app.add_url_rule(f"{challenges.PREFIX}<token>", "acme_challenge", shown)
        self.app.register_error_handler(Problem, self._problem)
        self.app.register_error_handler(404, lambda _: self._problem(NotFound("There is no page at this address.")))
        self.app.register_error_handler(405, lambda _: self._problem(MethodNotAllowed("This page is only read.")))

    def health(self) -> Response:
        """Every replica as HAProxy sees it, and the control process as it sees itself. Administrators only."""
        self._require_admin()
        try:
            status = json.loads(ask(self._gateway.folder, STATUS))
        except ControlAway:
            raise Unavailable("The gateway's control process does not answer; try again.") from None
        try:
            replicas = self._gateway.haproxy.replicas()
        except HaproxyAway:
            replicas = {}
        return self._json({**status, "replicas": replicas})

    def home(self) -> Response:
        """What this is, and where to go from here."""
        return documents.home(self._language()).answer(request)

    def docs(self) -> Response:
        """The API document in a reader."""
        return documents.docs(self._language()).answer(request)

    def asset(self, name: str) -> Response:
        """What the reader loads."""
        if name not in documents.ASSETS:
            raise NotFound("There is no such file.")
        return documents.asset(name).answer(request)

    def legal(self, page: str) -> Response:
        """A legal text in the reader's language."""
        if page not in documents.LEGAL:
            raise NotFound("There is no such page.")
        return documents.legal(page, self._language(), self._operator).answer(request)

    def security_txt(self) -> Response:
        """Where to report a vulnerability (RFC 9116)."""
        text = security_txt(self._operator, self._settings.lumiere_origin, clock.now().date())
        if text is None:
            raise NotFound("The operator has named no contact for security reports.")
        return Published.of(text.encode(), TEXT_MEDIA_TYPE, DOCUMENT_CACHE).answer(request)

    def openapi(self) -> Response:
        """All services in one OpenAPI 3.1 document: made once, and again when one of theirs was."""
        sources = sorted((self._root / "services").glob("*/openapi.json"))
        seen = [(path, path.stat().st_mtime_ns) for path in sources]
        if self._openapi is None or self._openapi[0] != seen:
            document = merged(self._settings.lumiere_origin, self._settings.lumiere_env, sources)
            self._openapi = seen, self._prepared(document, JSON_MEDIA_TYPE)
        return self._openapi[1].answer(request)

    def asyncapi(self) -> Response:
        """All services in one AsyncAPI 3.0 document."""
        return self._published(self._events.document(self._settings.lumiere_origin, self._settings.gateway_amqps_port))

    def events(self) -> Response:
        """Every published event type and where its schema stands."""
        return self._published(self._events.index(self._settings.lumiere_origin))

    def event_schema(self, event_type: str, version: int) -> Response:
        """The JSON Schema of one event's data; its `$id` is the event's `dataschema`."""
        return self._published(self._events.schema(event_type, version), SCHEMA_MEDIA_TYPE)

    def _published(self, document: dict[str, Any], media_type: str = JSON_MEDIA_TYPE) -> Response:
        """A document that anybody may keep for a while, and ask for again by its tag."""
        return self._prepared(document, media_type).answer(request)

    def _prepared(self, document: dict[str, Any], media_type: str) -> Published:
        return Published.of(self.app.json.dumps(document).encode(), media_type, DOCUMENT_CACHE)

    def _language(self) -> str:
        return preferred(request.accept_languages, request.args.get("lang"))

    def _require_admin(self) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthenticated("This needs an access token; sign in first.", code=None)
        self._gateway.read_anew()
        keys = StaticKeys(trusted(self._gateway.key_set))
        verifier = TokenVerifier(self._settings.lumiere_origin, self._settings.audience, keys, self._gateway)
        if not verifier.verify(token).has(Role.ADMIN):
            raise Forbidden("Your roles do not permit this.")

    def _json(self, document: dict[str, Any]) -> Response:
        return Response(self.app.json.dumps(document), content_type="application/json")

    def _problem(self, problem: Problem) -> Response:
        """The same two forms as HAProxy's own refusals: a page for who asks for HTML and not for JSON (gateway/answers.py)."""
        request_id = request.headers.get("X-Request-Id", "")
        if not wants_page(request.headers.get("Accept", "")):
            return problem_response(problem, request.path, request_id)
        language = self._language()
        page = error_page(problem.status, language, request.path, request_id)
        headers = {**problem.headers(), "Content-Security-Policy": PAGE_POLICY, "Content-Language": language}
        return Response(page, status=problem.status, content_type=HTML, headers=headers)
