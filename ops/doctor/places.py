"""The platforms that can be examined: the one on this machine, and the one in whose network this container is."""

import socket
from collections.abc import Callable
from pathlib import Path

from pydantic import SecretStr

from libs.common.tls import calling, database_with, redis_with
from ops.doctor.box import Target
from ops.doctor.engine import Engine
from ops.doctor.examined import Addresses, Examined
from ops.doctor.processes import Address
from ops.doctor.settings import DoctorSettings
from ops.errors import OperationError
from ops.layout import Layout
from ops.lifecycle import Platform
from ops.plan import Plan
from ops.settings import ROOT, platform_settings

CONTAINER_PORT = 8000


def here(settings: DoctorSettings, *, production: bool) -> Examined:
    """What is to be examined from here. Raises OperationError when no platform runs."""
    return beside(settings, production=production) if settings.monitoring_database_url else local(production=production)


def local(*, production: bool, layout: Layout | None = None) -> Examined:
    """The platform on this machine. Raises OperationError when it does not run."""
    chosen = layout or Layout(platform_settings())
    operations = Platform(chosen)
    plan = operations.running_plan()
    backing = plan.backing
    return Examined(
        target=Target.LOCAL,
        production=production or chosen.settings.lumiere_env == "production",
        services=chosen.services,
        addresses=Addresses(
            origin=chosen.origin,
            gateway=chosen.origin,
            gateway_plain=None,
            gateway_metrics=f"http://127.0.0.1:{chosen.metrics_port}/metrics",
            database=backing.monitoring_url(),
            management=backing.management_url(),
            redis=_text(chosen.settings.redis_url),
            processes=lambda: _local_processes(plan),
        ),
        root=chosen.root,
        secrets=chosen.secrets,
        state=chosen.state,
        backups=chosen.backups,
        folders=(chosen.state, plan.postgres.home) if backing.private_database else (chosen.state,),
        operations=operations,
    )


def _local_processes(plan: Plan) -> list[Address]:
    layout = plan.layout
    services = [
        Address(each.name, f"http://127.0.0.1:{layout.replica_port(each)}/metrics", each.service, each.kind)
        for each in plan.replicas
    ]
    return [*services, Address("gateway-control", f"http://127.0.0.1:{layout.metrics_port}/metrics", "gateway", "control")]


def beside(settings: DoctorSettings, *, production: bool, resolve: Callable[[str], list[str]] | None = None) -> Examined:
    """The platform in whose network this container is."""
    services = _declared()
    return Examined(
        target=Target.COMPOSE,
        production=production or settings.lumiere_env == "production",
        services=services,
        addresses=Addresses(
            origin=settings.lumiere_origin,
            gateway=settings.gateway_url,
            gateway_plain=settings.gateway_plain_url,
            gateway_metrics=settings.gateway_metrics_url,
            database=_completed(settings.monitoring_database_url, lambda url: database_with(url, settings.tls_authority)),
            management=_text(settings.amqp_management_url),
            redis=_completed(settings.redis_url, lambda url: redis_with(url, settings.tls_authority, settings.tls_certificate)),
            processes=lambda: _named_processes(services, settings, resolve or addresses_of),
        ),
        trust=None if settings.tls_certificate is None else calling(settings.tls_authority, settings.tls_certificate),
        root=ROOT,
        folders=(Path("/"),),
    )


def _declared() -> dict[str, tuple[str, ...]]:
    """Every service that the code here knows. Raises OperationError: where none is, every question would be answered well."""
    services = Layout(platform_settings(), ROOT).services
    if not services:
        raise OperationError("This image does not hold what the services declare. Run the doctor in the operator's image.")
    return services


def outside(engine: Engine, settings: DoctorSettings, *, production: bool) -> Examined:
    """The containers of a compose project, from the machine that runs its engine. Raises OperationError."""
    configuration = engine.configuration["services"].get("gateway", {}).get("environment", {})
    environment = str(configuration.get("LUMIERE_ENV", settings.lumiere_env))
    origin = str(configuration.get("LUMIERE_ORIGIN", settings.lumiere_origin))
    layout, services = Layout(platform_settings()), _declared()
    return Examined(
        target=Target.ENGINE,
        production=production or environment == "production",
        services=services,
        addresses=Addresses(
            origin=origin,
            gateway=origin,
            gateway_plain=None,
            gateway_metrics="",
            database=None,
            management=None,
            redis=None,
            processes=list,
        ),
        root=ROOT,
        secrets=engine.secrets(),
        backups=layout.backups,
        engine=engine,
    )


def _named_processes(
    services: dict[str, tuple[str, ...]], settings: DoctorSettings, resolve: Callable[[str], list[str]]
) -> list[Address]:
    """Every address behind the names of compose.yml; a name without one is a process that is missing."""
    scheme = "http" if settings.tls_certificate is None else "https"
    found = []
    for service, kinds in services.items():
        for kind in kinds:
            name = service if kind == "web" else f"{service}-{kind}"
            for number, host in enumerate(resolve(name) or [name], 1):
                found.append(Address(f"{name}-{number}", f"{scheme}://{host}:{CONTAINER_PORT}/metrics", service, kind, name))
    return [*found, Address("gateway-control", settings.gateway_metrics_url, "gateway", "control")]


def addresses_of(name: str) -> list[str]:
    """The IPv4 addresses of a name, sorted; none when nobody knows it."""
    try:
        answers = socket.getaddrinfo(name, CONTAINER_PORT, socket.AF_INET, socket.SOCK_STREAM)
    except socket.gaierror:
        return []
    return sorted({str(answer[4][0]) for answer in answers})


def _completed(secret: SecretStr | None, complete: Callable[[str], str]) -> str | None:
    return None if (text := _text(secret)) is None else complete(text)


def _text(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret and secret.get_secret_value() else None
