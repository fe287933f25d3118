"""The policy manifest of a service: what the gateway compiles. Committed, and checked for drift."""

import re
from collections.abc import Iterable
from typing import Any

from libs.common.auth.policy import Access
from libs.common.http.binding import analyse, parameter_kinds
from libs.common.http.cookies import Cookies
from libs.common.http.routes import Route

_PARAMETER = re.compile(r"<(?:path:)?([a-z_]+)>")


def path_template(path: str) -> str:
    """The path with `{name}` for parameters, as OpenAPI writes it."""
    return _PARAMETER.sub(r"{\1}", path)


def manifest(service: str, routes: Iterable[Route], processes: Iterable[str]) -> dict[str, Any]:
    """Every route of a service with its policy."""
    entries = [_entry(route) for route in routes]
    return {
        "service": service,
        "processes": list(processes),
        "routes": sorted(entries, key=lambda each: (each["path"], each["method"])),
    }


def _entry(route: Route) -> dict[str, Any]:
    return {
        "method": route.method,
        "path": path_template(route.path),
        "parameters": parameter_kinds(route),
        "operation": route.operation,
        "allow": route.allow.manifest(),
        "rate": str(route.rate),
        "body_limit": route.body_limit,
        "timeout": route.timeout,
        "stream": route.stream,
        "page": route.page,
        "cookies": analyse(route).wants(Cookies) is not None,
        "step_up": route.step_up,
        "scope": None if route.scope is None else str(route.scope),
        "machines": route.machines,
        "step_up_acr": route.step_up_acr and str(route.step_up_acr),
        "enrolment": route.enrolment,
        "during_maintenance": route.during_maintenance,
        "concealed": route.concealed or route.allow.access is Access.CRON,
        "idempotency": str(route.idempotency),
        "consumes": list(route.consumes),
        "process": route.process,
        "source": route.source,
    }
