"""Declaring routes: the policy is said once, here."""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from libs.common.auth.policy import (
    STEP_UP_SECONDS_MAX,
    Access,
    Allow,
    Assurance,
    Idempotency,
    Rate,
    Role,
    Scope,
    UndeclaredPolicy,
    allow_of,
)
from libs.common.errors import Problem
from libs.common.http.forms import FORM

API_PREFIX = "/api/v1"
BODY_LIMIT_DEFAULT = 32_768
TIMEOUT_SECONDS_DEFAULT = 15
JSON = "application/json"

UNDECLARED: frozenset[Role] = frozenset()
"""Nobody: a route that says nothing about who may call it does not start."""

Handler = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Produced:
    """A media type that a route answers with and what such an answer looks like; None for what is no text."""

    media_type: str
    example: str | None = None


@dataclass(frozen=True)
class Route:
    """One route: where it is, who may call it, and its limits."""

    service: str
    method: str
    path: str
    handler: Handler
    allow: Allow
    rate: Rate
    idempotency: Idempotency
    status: int = 200
    body_limit: int = BODY_LIMIT_DEFAULT  # bytes
    timeout: int = TIMEOUT_SECONDS_DEFAULT  # seconds
    stream: bool = False
    consumes: tuple[str, ...] = (JSON,)
    body_type: Any = None  # what a raw JSON body holds; told in documents alone
    body_example: str | None = None  # of a raw body, in its last media type
    produces: tuple[Produced, ...] = ()  # of a Document or Streaming; () is any
    process: str = "web"
    page: bool = False  # for people in a browser: HTML, also where it refuses; what it writes comes from our own pages alone
    step_up: int | None = None  # seconds since the last authentication, at most
    scope: Scope | None = None  # what a token of another client must be given for; None: no such token may
    machines: bool = False  # with the scope, also clients that speak for themselves
    step_up_acr: Assurance | None = None  # and how surely the person was recognised then
    enrolment: bool = False  # also for a person whose role is withheld until they have a second factor
    during_maintenance: bool = False  # answered also while the platform is being maintained
    concealed: bool = False  # not there unless the service provides every resource of the handler
    refuses: tuple[type[Problem], ...] = ()  # what it raises that does not follow from the rest, for the document

    @property
    def operation(self) -> str:
        """The OpenAPI operation id."""
        return f"{self.service}.{self.handler.__name__}"

    @property
    def source(self) -> str:
        """Where the route is declared."""
        return f"{self.handler.__module__.replace('.', '/')}.py:{self.handler.__name__}"


@dataclass(frozen=True)
class Options:
    """The keyword arguments of a route decorator that are not the policy."""

    idempotency: Idempotency | None = None
    status: int = 200
    body_limit: int = BODY_LIMIT_DEFAULT
    timeout: int = TIMEOUT_SECONDS_DEFAULT
    stream: bool = False
    consumes: tuple[str, ...] = (JSON,)
    body_type: Any = None
    body_example: str | None = None
    produces: tuple[Produced, ...] = ()
    root: bool = False
    process: str = "web"
    page: bool = False
    step_up: int | None = None
    scope: Scope | None = None
    machines: bool = False
    step_up_acr: Assurance | None = None
    enrolment: bool = False
    during_maintenance: bool | None = None
    concealed: bool = False
    refuses: tuple[type[Problem], ...] = ()


@dataclass
class Routes:
    """The routes of one service."""

    service: str
    routes: list[Route] = field(default_factory=list)

    def get(
        self, path: str, *, allow: Access | Role | Iterable[Role] = UNDECLARED, rate: Rate = Rate.READ, **options: Any
    ) -> Callable[[Handler], Handler]:
        """Declare a GET route."""
        return self._declare("GET", path, allow, rate, Options(**options))

    def post(
        self, path: str, *, allow: Access | Role | Iterable[Role] = UNDECLARED, rate: Rate = Rate.WRITE, **options: Any
    ) -> Callable[[Handler], Handler]:
        """Declare a POST route."""
        return self._declare("POST", path, allow, rate, Options(**options))

    def put(
        self, path: str, *, allow: Access | Role | Iterable[Role] = UNDECLARED, rate: Rate = Rate.WRITE, **options: Any
    ) -> Callable[[Handler], Handler]:
        """Declare a PUT route."""
        return self._declare("PUT", path, allow, rate, Options(**options))

    def patch(
        self, path: str, *, allow: Access | Role | Iterable[Role] = UNDECLARED, rate: Rate = Rate.WRITE, **options: Any
    ) -> Callable[[Handler], Handler]:
        """Declare a PATCH route."""
        return self._declare("PATCH", path, allow, rate, Options(**options))

    def delete(
        self, path: str, *, allow: Access | Role | Iterable[Role] = UNDECLARED, rate: Rate = Rate.WRITE, **options: Any
    ) -> Callable[[Handler], Handler]:
        """Declare a DELETE route."""
        return self._declare("DELETE", path, allow, rate, Options(**options))

    def _declare(
        self, method: str, path: str, allow: Access | Role | Iterable[Role], rate: Rate, options: Options
    ) -> Callable[[Handler], Handler]:
        def declare(handler: Handler) -> Handler:
            try:
                permitted = allow_of(allow)
            except TypeError as error:
                raise UndeclaredPolicy(f"{place_of(handler)}: {method} {path}: {error}") from None
            _check_step_up(permitted, options, place_of(handler))
            _check_scope(permitted, options, place_of(handler))
            if not inspect.getdoc(handler):
                raise TypeError(
                    f"{handler.__module__}.{handler.__name__} needs a docstring: it is the summary in the API document."
                )
            resolved = {"root", "idempotency", "during_maintenance", "consumes"}
            values = {name: value for name, value in vars(options).items() if name not in resolved}
            self.routes.append(
                Route(
                    service=self.service,
                    method=method,
                    path=path if options.root else API_PREFIX + path,
                    handler=handler,
                    allow=permitted,
                    rate=rate,
                    idempotency=options.idempotency or _default_idempotency(method, permitted, handler),
                    during_maintenance=_default_in_maintenance(permitted, options),
                    consumes=(FORM,) if _takes(handler, "form") else options.consumes,
                    **values,
                )
            )
            return handler

        return declare


def _check_step_up(allow: Allow, options: Options, place: str) -> None:
    if options.enrolment and allow.access is not Access.SIGNED_IN:
        raise UndeclaredPolicy(f"{place}: enrolment is for routes that anybody who is signed in may call.")
    if options.step_up is None:
        if options.step_up_acr is not None:
            raise UndeclaredPolicy(f"{place}: step_up_acr comes with step_up: say within how many seconds.")
        return
    if allow.access not in {None, Access.SIGNED_IN}:
        raise UndeclaredPolicy(f"{place}: step_up is for routes that a person signs in for: here nobody has to.")
    if not 1 <= options.step_up <= STEP_UP_SECONDS_MAX:
        raise UndeclaredPolicy(f"{place}: step_up is 1 to {STEP_UP_SECONDS_MAX} seconds since the last authentication.")


def _check_scope(allow: Allow, options: Options, place: str) -> None:
    if options.scope is not None and allow.access not in {None, Access.SIGNED_IN}:
        raise UndeclaredPolicy(f"{place}: scope is for routes that a person signs in for: here nobody has to.")
    if options.machines and (options.scope is None or allow.access is not Access.SIGNED_IN):
        raise UndeclaredPolicy(f"{place}: machines is for routes for SIGNED_IN that name a scope: clients hold no role.")


def _default_idempotency(method: str, allow: Allow, handler: Handler) -> Idempotency:
    """A POST by a known caller in one transaction takes a key; nothing else can."""
    possible = (
        method == "POST"
        and allow.access not in {Access.PUBLIC, Access.SERVICE, Access.CRON}
        and _takes(handler, "tx")
        and not _takes(handler, "form")  # a browser sends no key with a form
    )
    return Idempotency.ACCEPTED if possible else Idempotency.REFUSED


def _takes(handler: Handler, name: str) -> bool:
    return name in inspect.signature(handler).parameters


def _default_in_maintenance(allow: Allow, options: Options) -> bool:
    """Who maintains the platform is an administrator: what nobody else may call goes on, the rest waits.

    A concealed route goes on too: refusing it would tell that it is there.
    """
    if options.during_maintenance is not None:
        return options.during_maintenance
    return options.concealed or allow.roles == {Role.ADMIN}


def place_of(handler: Handler) -> str:
    """File and line of a handler's declaration, for messages; the file is named from the folder that its package stands in."""
    code = handler.__code__
    file = Path(code.co_filename)
    return f"{Path(*file.parts[-len(handler.__module__.split('.')) :])}:{code.co_firstlineno}"
