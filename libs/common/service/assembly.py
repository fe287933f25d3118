"""A service is its parts, named once: settings, tables, routes, subscriptions, jobs, events and resources."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from ssl import SSLContext
from types import ModuleType
from typing import Any, Protocol, cast

import httpx
from sqlalchemy import MetaData, text

from libs.common import tls
from libs.common.audit import Auditor
from libs.common.auth.revocations import Revocations
from libs.common.auth.tokens import KeySource, PublishedKeys, TokenVerifier
from libs.common.companions import Companions
from libs.common.config import ServiceSettings, door_secret
from libs.common.db import Database, KernelTables, kernel_tables
from libs.common.events import Event, Recipient
from libs.common.events.audited import AuditEvent
from libs.common.events.outbox import Outbox
from libs.common.events.retention import Retention
from libs.common.events.subscriptions import Subscriptions, collect
from libs.common.http.application import Runtime, create_application
from libs.common.http.health import Check, Health
from libs.common.http.routes import Route, Routes
from libs.common.jobs import Job, collect_jobs
from libs.common.measures import Measure, collect_measures
from libs.common.service import upkeep
from libs.common.service.cron import cron_routes

FETCH_TIMEOUT_SECONDS = 3

Resources = Mapping[type, object]
Command = Callable[["Assembled", Sequence[str]], int]


class RevocationSource(Protocol):
    """Where the revocation list comes from, when not from auth over HTTP (auth itself has it in its own schema)."""

    def fetch(self) -> Mapping[str, Any]:
        """The list as `GET /internal/revocations` answers it."""


def no_resources(_settings: Any, _database: Database) -> Resources:
    """For a service that needs none."""
    return {}


@dataclass
class Service:
    """One service. `python -m services.<name>` alone names its commands."""

    name: str
    settings: type[ServiceSettings]
    metadata: MetaData
    routes: Sequence[ModuleType] = ()
    subscriptions: Sequence[ModuleType] = ()
    jobs: Sequence[ModuleType] = ()
    measures: Sequence[ModuleType] = ()
    events: Sequence[ModuleType] = ()
    resources: Callable[[Any, Database], Resources] = no_resources
    processes: Sequence[str] = ("web", "worker")
    commands: Mapping[str, Command] = field(default_factory=dict)

    @cached_property
    def declared_routes(self) -> list[Route]:
        """Every route of the service; its own jobs have one each, the kernel's, which every service has, none."""
        found = [value for module in self.routes for value in vars(module).values() if isinstance(value, Routes)]
        written = [route for routes in {id(each): each for each in found}.values() for route in routes.routes]
        return [*written, *cron_routes(self.name, collect_jobs(self.jobs))]

    @cached_property
    def declared_subscriptions(self) -> Subscriptions:
        """Everything the service listens to."""
        return collect(self.name, self.subscriptions)

    @cached_property
    def declared_jobs(self) -> tuple[Job, ...]:
        """The service's due work, and the kernel's own."""
        return collect_jobs([*self.jobs, upkeep])

    @cached_property
    def declared_measures(self) -> tuple[Measure, ...]:
        """What the service measures of its own tables."""
        return collect_measures(self.measures)

    @cached_property
    def declared_events(self) -> list[type[Event]]:
        """The facts that the service publishes."""
        classes = [value for module in self.events for value in vars(module).values() if isinstance(value, type)]
        return [each for each in classes if issubclass(each, Event) and each.event_type.startswith(f"{self.name}.")]

    @property
    def audit_event(self) -> type[AuditEvent]:
        """The service's own audit event. Raises TypeError when it declares none."""
        for each in self.declared_events:
            if issubclass(each, AuditEvent):
                return each
        raise TypeError(f"services.{self.name}.events must declare its AuditEvent ({self.name}.audit.recorded).")

    def assemble(self, settings: ServiceSettings, process: str, keys: KeySource | None = None) -> "Assembled":
        """The service with its settings, for one process; `keys` replaces where verification keys come from."""
        return Assembled(self, settings, process, keys)


class Assembled:
    """A service in one process: its database, its resources, and what verifies tokens."""

    def __init__(self, service: Service, settings: ServiceSettings, process: str, keys: KeySource | None = None) -> None:
        tables = kernel_tables(service.metadata)
        self.service = service
        self.settings = settings
        self.process = process
        self.database = Database(
            settings.database_url.get_secret_value(),
            service.metadata,
            outbox=Outbox(service.metadata, Recipient(settings.notify_public_key)),
            audit_trail=Auditor(tables, service.audit_event),
            application_name=f"lumiere-{service.name}-{process}",
        )
        self.revocations = Revocations()
        self.resources: Resources = {
            Database: self.database,
            KernelTables: tables,
            Retention: Retention(settings.event_retention_days),
            Revocations: self.revocations,
            Companions: Companions(),
            **service.resources(settings, self.database),
        }
        self.own_keys = cast(KeySource, self.resources.get(KeySource) or PublishedKeys(self._fetch_keys))
        self.keys = keys or self.own_keys
        service.declared_subscriptions.require(self.resources)

    def application(self, health: Health) -> Any:
        """The WSGI application with the routes of this process."""
        settings = self.settings
        runtime = Runtime(
            service=self.service.name,
            database=self.database,
            verifier=TokenVerifier(settings.lumiere_origin, settings.audience, self.keys, self.revocations),
            service_token=settings.revocation_list_token.get_secret_value(),
            cron_secret=door_secret(settings.cron_secret),
            resources={**self.resources, Health: health},
            health=health,
            trace_sample_ratio=settings.trace_sample_ratio,
        )
        return create_application(runtime, self._routes())

    def _routes(self) -> Iterable[Route]:
        return [route for route in self.service.declared_routes if route.process == self.process]

    def checks(self) -> dict[str, Check]:
        """What a web process needs to be ready, and what stands beside it."""
        return {"database": self._database_answers, "revocations": self._revocations_known, **self.beside()}

    def beside(self) -> dict[str, Check]:
        """What may be away without making a process unready."""
        return {name: each.check for name, each in cast(Companions, self.resources[Companions]).items()}

    def _database_answers(self) -> str:
        with self.database.reader() as db:
            db.scalar(text("SELECT 1"))
        return "ok"

    def _revocations_known(self) -> str:
        if not self.revocations.synchronised:
            raise LookupError("the revocation list was not read yet")
        return "ok"

    def fetch_revocations(self) -> Mapping[str, Any]:
        """Auth's revocation list. Raises httpx.HTTPError."""
        own = self.resources.get(RevocationSource)
        if own is not None:
            return cast(RevocationSource, own).fetch()
        token = self.settings.revocation_list_token.get_secret_value()
        return self._fetch("/internal/revocations", {"Authorization": f"Bearer {token}"})

    @cached_property
    def _trust(self) -> SSLContext | bool:
        """How auth is recognised, and what it is shown, where it speaks TLS."""
        settings = self.settings
        return tls.calling(settings.tls_authority, settings.tls_certificate) if settings.auth_url.startswith("https:") else True

    def _fetch_keys(self) -> Mapping[str, Any]:
        return self._fetch("/.well-known/jwks.json", {})

    def _fetch(self, path: str, headers: Mapping[str, str]) -> Mapping[str, Any]:
        response = httpx.get(
            self.settings.auth_url + path,
            headers=dict(headers),
            timeout=FETCH_TIMEOUT_SECONDS,
            trust_env=False,
            verify=self._trust,
        )
        response.raise_for_status()
        document: Mapping[str, Any] = response.json()
        return document
