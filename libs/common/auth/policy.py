"""Who may call what: declared once on the route, read by gateway, service, OpenAPI, documents and tests. Default deny."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from libs.common.errors import CHALLENGES, Forbidden, Unauthenticated

STEP_UP_SECONDS_MAX = 24 * 3_600
"""The longest step-up: a sign-in of yesterday is recent for nothing."""


class Role(StrEnum):
    """What a person may be on the platform."""

    ADMIN = "ADMIN"
    CONTRIBUTOR = "CONTRIBUTOR"
    ARTIST = "ARTIST"
    STUNT_PERFORMER = "STUNT_PERFORMER"
    VIEWER = "VIEWER"
    SCREENWRITER = "SCREENWRITER"
    CREATOR = "CREATOR"


class Access(StrEnum):
    """Permission without a particular role."""

    PUBLIC = "public"
    SIGNED_IN = "signed_in"
    SERVICE = "service"
    CRON = "cron"


PUBLIC, SIGNED_IN, SERVICE, CRON = Access.PUBLIC, Access.SIGNED_IN, Access.SERVICE, Access.CRON
CRON_HEADER = "X-Cron-Secret"
"""Carries the secret that opens routes for CRON."""


OWN_CLIENT = "lumiere"
"""Client of the platform's own pages and apps: its tokens may do what the person may. Every other client's do what they say."""


class Scope(StrEnum):
    """What a person may hand on to a client (RFC 6749 section 3.3): of oneself, and of the platform."""

    OPENID = "openid"
    PROFILE = "profile"
    EMAIL = "email"
    OFFLINE_ACCESS = "offline_access"
    TASKS_READ = "tasks:read"
    TASKS_WRITE = "tasks:write"
    MEDIA_READ = "media:read"
    MEDIA_WRITE = "media:write"
    PAYMENTS_READ = "payments:read"
    NOTIFICATIONS_READ = "notifications:read"
    NOTIFICATIONS_WRITE = "notifications:write"


class Assurance(StrEnum):
    """How surely a caller was recognised, as challenges ask for it (RFC 9470, `acr_values`).

    Each is named like the authentication method (RFC 8176) that a token then lists in `amr`.
    """

    SECOND_FACTOR = "mfa"


class Rate(StrEnum):
    """Rate class of a route; the gateway holds the numbers."""

    CREDENTIALS = "credentials"
    WRITE = "write"
    READ = "read"
    STREAM = "stream"
    UPLOAD = "upload"
    PUBLIC = "public"


class Idempotency(StrEnum):
    """Whether a POST takes an Idempotency-Key."""

    REFUSED = "refused"
    ACCEPTED = "accepted"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class Subject:
    """A verified caller. Only token verification makes one."""

    id: UUID
    session_id: UUID
    roles: frozenset[Role]
    client_id: str
    authenticated_at: datetime
    methods: tuple[str, ...]
    expires_at: datetime
    token_id: UUID
    scopes: frozenset[str] | None = None
    """What the token is limited to; None: nothing, it is of the platform's own client."""

    @property
    def machine(self) -> bool:
        """Whether a client speaks for itself (RFC 6749 section 4.4), and no person through it."""
        return str(self.id) == self.client_id

    def has(self, *roles: Role) -> bool:
        """Whether the caller holds one of the roles."""
        return not self.roles.isdisjoint(roles)


class RoleRequired(Forbidden):
    """The caller's roles do not permit this."""


class ScopeRequired(Forbidden):
    """The access token was given for less than this (RFC 6750 section 3.1)."""

    def __init__(self, detail: str, scope: str | None, scheme: str = "Bearer") -> None:
        super().__init__(detail)
        self._scope = scope
        self._scheme = scheme

    def headers(self) -> dict[str, str]:
        """A challenge with the scope that would do, where one would."""
        needed = f', scope="{self._scope}"' if self._scope else ""
        return {"WWW-Authenticate": f'{CHALLENGES[self._scheme]}, error="insufficient_scope"{needed}'}


def refuse_scope(scope: Scope | None, subject: Subject, *, machines: bool) -> str | None:
    """Say why a token is for less than a route that takes this scope, or None. A route that names none takes none but our own.

    `machines`: whether clients that speak for themselves may call it too.
    """
    if subject.scopes is None:
        return None
    if scope is None:
        return "This is not for tokens that were given for less than everything; use the platform itself."
    if scope not in subject.scopes:
        return f"This access token was not given for {scope}; ask for that scope."
    if subject.machine and not machines:
        return "This is for people, and for clients that act for one."
    return None


class RoleWithheld(Forbidden):
    """The caller's role counts once a second factor was shown: until then they may set one up and nothing else."""


class StepUpRequired(Unauthenticated):
    """The sign-in is too old for this act, or was not sure enough (RFC 9470)."""

    def __init__(self, max_age: int, scheme: str = "Bearer", acr: Assurance | None = None) -> None:
        wanted = {"max_age": str(max_age), **({"acr_values": str(acr)} if acr else {})}
        super().__init__(
            f"This needs a recent sign-in{' with a second factor' if acr else ''}: authenticate again, then repeat it.",
            code="insufficient_user_authentication",
            scheme=scheme,
            max_age=max_age,
            **({"acr_values": str(acr)} if acr else {}),
        )
        self._wanted = wanted

    def challenge(self) -> str:
        """With the seconds since the last authentication that are permitted, and how sure it must be (RFC 9470 section 3)."""
        return "".join((super().challenge(), *(f', {name}="{value}"' for name, value in self._wanted.items())))


@dataclass(frozen=True, slots=True)
class Allow:
    """Who may call a route: public, any signed-in person, other services, who knows the cron secret, or the listed roles."""

    access: Access | None
    roles: frozenset[Role]

    def require(self, subject: Subject) -> None:
        """Raise RoleRequired unless the caller may."""
        if self.access is None and not subject.has(*self.roles):
            raise RoleRequired("Your roles do not permit this.")

    def manifest(self) -> str | list[str]:
        """How a policy manifest writes it."""
        return str(self.access) if self.access else sorted(self.roles)


class UndeclaredPolicy(TypeError):
    """A route was written without saying who may call it."""


def allow_of(declared: Access | Role | Iterable[Role]) -> Allow:
    """The declaration on a route, checked. Raises UndeclaredPolicy when it permits nobody."""
    if isinstance(declared, Access):
        return Allow(declared, frozenset())
    roles = frozenset({declared} if isinstance(declared, Role) else declared)
    if not roles or not all(isinstance(role, Role) for role in roles):
        raise UndeclaredPolicy("Say who may call this route: PUBLIC, SIGNED_IN, SERVICE, CRON, a role or a set of roles.")
    return Allow(None, roles)
