"""Who is calling: the one place where a service judges credentials, proof of possession and the age of a sign-in."""

import hmac
import re
from hashlib import sha256
from typing import TYPE_CHECKING

from flask import Request

from libs.common import clock
from libs.common.auth import dpop
from libs.common.auth.browser import origin_of
from libs.common.auth.dpop import BoundRequest, ProofRefused
from libs.common.auth.policy import CRON_HEADER, Access, RoleWithheld, ScopeRequired, StepUpRequired, Subject, refuse_scope
from libs.common.db import kernel_tables
from libs.common.errors import NOTHING_HERE, NotFound, Unauthenticated
from libs.common.http import proofs
from libs.common.http.routes import Route

if TYPE_CHECKING:
    from libs.common.http.application import Runtime

_CREDENTIALS = re.compile(r"(?i:(bearer)|(dpop)) ([A-Za-z0-9._~+/=-]+)")


def authenticate(runtime: "Runtime", route: Route, incoming: Request, *, wanted: bool) -> Subject | None:
    """The caller of a route; None where the route is for services or schedulers, or public and nobody asks who calls.

    `wanted`: whether the handler of a public route asks. Raises Unauthenticated, NotFound.
    """
    if route.allow.access is Access.SERVICE:
        _require_service(runtime, incoming)
        return None
    if route.allow.access is Access.CRON:
        _require_cron_secret(runtime, incoming)
        return None
    if route.allow.access is Access.PUBLIC and (not wanted or "Authorization" not in incoming.headers):
        return None
    subject = _presented(runtime, incoming)
    if route.allow.access is Access.PUBLIC and subject.scopes is not None:
        return None  # who hands on less than everything is nobody where no scope is asked for
    return subject


def _presented(runtime: "Runtime", incoming: Request) -> Subject:
    scheme, token = credentials(incoming)
    if scheme != dpop.SCHEME:
        return runtime.verifier.verify(token)
    subject, thumbprint = runtime.verifier.verify_bound(token)
    _require_proof(runtime, incoming, token, thumbprint)
    return subject


def require_scope(route: Route, subject: Subject, incoming: Request) -> None:
    """Raise ScopeRequired when the token was given for less than the route."""
    refusal = refuse_scope(route.scope, subject, machines=route.machines)
    if refusal and route.allow.access is not Access.PUBLIC:
        raise ScopeRequired(refusal, route.scope, credentials(incoming)[0])


def require_role(route: Route, subject: Subject) -> None:
    """Raise RoleWithheld for a token without any role where that is not enough, RoleRequired for one of other roles."""
    if not (subject.roles or subject.machine or route.enrolment) and route.allow.access is not Access.PUBLIC:
        raise RoleWithheld("This token holds no role: set up a second factor or sign in with it, then use new tokens.")
    route.allow.require(subject)


def require_recent(route: Route, subject: Subject, incoming: Request) -> None:
    """Raise StepUpRequired when the sign-in is older than the route permits, or less sure than it demands."""
    if route.step_up is None:
        return
    recent = clock.epoch() - subject.authenticated_at.timestamp() <= route.step_up
    if not recent or (route.step_up_acr is not None and route.step_up_acr not in subject.methods):
        raise StepUpRequired(route.step_up, credentials(incoming)[0], route.step_up_acr)


def credentials(incoming: Request) -> tuple[str, str]:
    """Scheme (`Bearer` or `DPoP`) and access token of a request (RFC 6750 section 2.1, RFC 9449 section 7.1).

    Raises Unauthenticated.
    """
    given = incoming.headers.getlist("Authorization")
    if not given:
        raise Unauthenticated("Sign in and send the access token as a bearer token.", code=None)
    match = _CREDENTIALS.fullmatch(given[0]) if len(given) == 1 else None
    if match is None:
        raise Unauthenticated("Send exactly one bearer or DPoP token in the Authorization header.")
    return dpop.SCHEME if match[2] else "Bearer", match[3]


def _require_service(runtime: "Runtime", incoming: Request) -> None:
    scheme, token = credentials(incoming)
    if scheme != "Bearer" or not hmac.compare_digest(token.encode(), runtime.service_token.encode()):
        raise Unauthenticated("This address is for the platform's own services.")


def _require_cron_secret(runtime: "Runtime", incoming: Request) -> None:
    """Raises NotFound: who does not know the secret finds nothing here."""
    # WSGI hands on header bytes as Latin-1 (PEP 3333).
    given = sha256(incoming.headers.get(CRON_HEADER, "").encode("latin-1")).digest()
    if not runtime.cron_secret or not hmac.compare_digest(given, sha256(runtime.cron_secret.encode()).digest()):
        raise NotFound(NOTHING_HERE)


def _require_proof(runtime: "Runtime", incoming: Request, token: str, thumbprint: str) -> None:
    """Before the transaction of the act: a proof is spent whatever comes of the request."""
    given = incoming.headers.getlist("DPoP")
    request = BoundRequest(incoming.method, origin_of(runtime.verifier.issuer), incoming.path, token, thumbprint)
    proof = dpop.verify_proof(given[0] if len(given) == 1 else None, request)
    if not proofs.spend(runtime.database, kernel_tables(runtime.database.metadata), proof):
        raise ProofRefused("The proof was used before; make one for each request.")
