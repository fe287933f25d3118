"""The events of all services, from their committed documents: one AsyncAPI 3.0 document, and a JSON Schema for each event."""

import json
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from libs.common.errors import NotFound
from libs.common.events.asyncapi import AMQPS_PORT, SERVER, VERSION, server
from libs.common.events.envelope import MEDIA_TYPE, schema_address

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_SCHEMAS: Final = "#/components/schemas/"


class UnknownEvent(NotFound):
    """No event of this type and version is published."""


class Catalogue:
    """What the services below `root` publish."""

    def __init__(self, root: Path) -> None:
        self._parts: dict[str, dict[str, Any]] = {"channels": {}, "operations": {}}
        self._components: dict[str, dict[str, Any]] = {}
        for path in sorted((root / "services").glob("*/asyncapi.json")):
            document = json.loads(path.read_bytes())
            for part, found in self._parts.items():
                found.update(document[part])
            # Names hold the event type and version, so two services never mean different things by one.
            for kind, entries in document["components"].items():
                self._components.setdefault(kind, {}).update(entries)

    def document(self, origin: str, port: int | None) -> dict[str, Any]:
        """All services in one document; `port` is the AMQPS listener's, none when it is off."""
        host = urlsplit(origin).netloc.rpartition("@")[2]
        name = host.rsplit(":", 1)[0] if urlsplit(origin).port else host
        return {
            "asyncapi": VERSION,
            "info": {
                "title": "Lumière",
                "version": "1",
                "description": "The events of a collaborative film studio.",
                "license": {"name": "Apache-2.0"},
            },
            "defaultContentType": MEDIA_TYPE,
            "servers": {SERVER: server(f"{name}:{port or AMQPS_PORT}")},
            **self._parts,
            "components": self._components,
        }

    def index(self, origin: str) -> dict[str, Any]:
        """Every event type with where its schema stands."""
        events = [
            {
                "type": each["name"],
                "version": each["x-version"],
                "summary": each["summary"],
                "audience": each["x-audience"],
                "dataschema": schema_address(each["name"], each["x-version"]),
                "schema": f"{origin}/events/{each['name']}/{each['x-version']}",
            }
            for each in self._components.get("messages", {}).values()
            if "x-version" in each
        ]
        return {"events": sorted(events, key=lambda each: (each["type"], each["version"]))}

    def schema(self, event_type: str, version: int) -> dict[str, Any]:
        """JSON Schema 2020-12 of an event's data. Raises UnknownEvent."""
        schemas = self._components.get("schemas", {})
        name = f"{event_type}.v{version}"
        if f"{name}" not in self._components.get("messages", {}):
            raise UnknownEvent(
                f"No event {event_type[:100]} of version {version} is published; see /events for those that are."
            )
        nested = {each: _local(content, name) for each, content in schemas.items() if each.startswith(f"{name}.")}
        definitions = {"$defs": {each.removeprefix(f"{name}."): content for each, content in nested.items()}} if nested else {}
        return {"$schema": DIALECT, "$id": schema_address(event_type, version), **_local(schemas[name], name), **definitions}


def _local(node: Any, name: str) -> Any:
    if isinstance(node, dict):
        return {
            key: value.replace(f"{_SCHEMAS}{name}.", "#/$defs/") if key == "$ref" else _local(value, name)
            for key, value in node.items()
        }
    return [_local(each, name) for each in node] if isinstance(node, list) else node
