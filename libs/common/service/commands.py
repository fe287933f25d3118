"""What `python -m services.<name> …` can do."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from libs.common.config import ConfigurationError, ServiceSettings, load
from libs.common.db import migrate
from libs.common.events.broker import subscribe
from libs.common.events.envelope import schema_address
from libs.common.http.manifest import manifest
from libs.common.http.openapi import openapi
from libs.common.service.assembly import Assembled, Service
from libs.common.service.replaying import archive_command, replay_command
from libs.common.telemetry import configure_logs, configure_reports, configure_traces, logger
from libs.common.telemetry.introduction import introduce

API_VERSION = "1"
KERNEL_COMMANDS: Mapping[str, Callable[[Service, Assembled, Sequence[str]], int]] = {
    "archive": archive_command,
    "replay": replay_command,
}
USAGE_ERROR = 2

log = logger(__name__)


def main(service: Service) -> None:
    """Run the command given on the command line, and exit with its code."""
    raise SystemExit(run(service, None))


def run(service: Service, argv: Sequence[str] | None) -> int:
    """Run one command; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    documents: dict[str, Callable[[Service], Any]] = {"manifest": manifest_of, "openapi": openapi_of, "events": events_of}
    name = arguments.pop(0) if arguments else ""
    if name in documents:
        _write(documents[name](service), arguments)
        return 0
    known = ["migrate", *service.processes, *documents, *KERNEL_COMMANDS, *service.commands]
    if name not in known:
        sys.stderr.write(f"usage: python -m services.{service.name} {' | '.join(known)}\n")
        return USAGE_ERROR
    try:
        return _start(service, name, arguments)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return USAGE_ERROR


def _start(service: Service, name: str, arguments: Sequence[str]) -> int:
    settings = load(service.settings)
    configure_logs(service.name, name, settings.log_level)
    if name == "migrate":
        url = settings.migration_database_url or settings.database_url
        migrate(service.name, url.get_secret_value(), service.metadata)
        # Before any service starts: a first event must not find nobody listening.
        subscribe(settings.amqp_url.get_secret_value(), service.declared_subscriptions)
        log.info("migrate.done")
        return 0
    configure_traces(service.name, settings.otel_exporter_otlp_endpoint)
    dsn = settings.sentry_dsn
    configure_reports(service.name, settings.lumiere_env, dsn.get_secret_value() if dsn else None)
    if name in KERNEL_COMMANDS:
        return KERNEL_COMMANDS[name](service, service.assemble(settings, name), arguments)
    if name in service.commands:
        return service.commands[name](service.assemble(settings, name), arguments)
    introduce(service.name, name, settings)
    return _process(name)(lambda: service.assemble(settings, name), settings)


def _process(name: str) -> Callable[[Callable[[], Assembled], ServiceSettings], int]:
    if name == "worker":
        from libs.common.service.worker import run_worker

        return run_worker
    from libs.common.service.web import run_web

    return run_web


def manifest_of(service: Service) -> Mapping[str, Any]:
    """The policy manifest."""
    return manifest(service.name, service.declared_routes, service.processes)


def openapi_of(service: Service) -> Mapping[str, Any]:
    """The OpenAPI document."""
    return openapi(service.name, API_VERSION, service.declared_routes)


def events_of(service: Service) -> Mapping[str, Any]:
    """The published events with their schemas, for the catalogue."""
    return {
        "service": service.name,
        "events": [
            {
                "type": each.event_type,
                "version": each.event_version,
                "aggregate": each.aggregate_type(),
                "subject": each.aggregate_field,
                "summary": (each.__doc__ or "").strip().splitlines()[0],
                "dataschema": schema_address(each.event_type, each.event_version),
                "schema": each.model_json_schema(mode="serialization"),
            }
            for each in sorted(service.declared_events, key=lambda each: each.event_type)
        ],
    }


def document_bytes(document: Mapping[str, Any]) -> bytes:
    """A generated document as it is committed."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"


def _write(document: Mapping[str, Any], arguments: Sequence[str]) -> None:
    if arguments and not arguments[0].startswith("-"):
        Path(arguments[0]).write_bytes(document_bytes(document))
    else:
        sys.stdout.buffer.write(document_bytes(document))
