"""The event catalogue for people: what happened, who tells it, who listens, and what every field means."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from libs.common.events.asyncapi import INTERNAL, OPEN, PERSONAL
from libs.common.events.personal import PERSONAL_MARK

SCHEMAS = "#/components/schemas/"
AUDIENCES = {
    OPEN: "open to subscribers",
    PERSONAL: "holds sealed personal values: subscribers get it with `--personal` only",
    INTERNAL: "internal: never given to subscribers",
}
INTRODUCTION = """\
Every event travels as a CloudEvent 1.0 in structured JSON: the fields below stand in its `data`, and beside it `id` (the same
in every delivery), `type`, `source`, `subject` (the aggregate), `time`, `sequence`, `correlationid`, `dataschema` and, where
known, `causationid`, `actor`, `traceparent`. Events of one aggregate are numbered 1, 2, 3 without gaps in `sequence`: that is
their order. There is no order between aggregates. A field marked *sealed* holds `{"commitment", "sealed"}`: only notify can
open it.

Events grow by addition: ignore fields and attributes that you do not know. What would break you has the next major version and
stands beside the old one. How to subscribe from outside: [subscribers.md](subscribers.md). For machines: `/asyncapi.json`, and
the JSON Schema of each event at `/events/<type>/<version>`.
"""

Documents = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Listener:
    """One subscription of one service."""

    service: str
    queue: str
    ordered: bool
    handles: frozenset[str]

    def words(self, event_type: str) -> str:
        """How it listens to an event type."""
        if event_type in self.handles or "*" in self.handles:
            return f"{self.service} (`{self.queue}`, {'in order' if self.ordered else 'in any order'})"
        return f"{self.service} (`{self.queue}`, for the order only)"


def event_catalogue(documents: Documents, notice: str) -> str:
    """Markdown: one table of all types, then a section for each."""
    listeners = list(_listeners(documents))
    lines = ["# Events", "", notice, "", INTRODUCTION]
    for service, document in documents.items():
        messages = _sent(service, document)
        lines += [f"## {service}", "", "| event | what happened |", "|---|---|"]
        lines += [f"| [`{name}`](#{_anchor(name, message)}) | {message['summary']} |" for name, message in messages]
        lines.append("")
        for name, message in messages:
            lines += _section(service, name, message, document, listeners)
    return "\n".join(lines)


def _sent(service: str, document: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    messages = document["components"]["messages"].values()
    own = [(each["name"], each) for each in messages if each["name"].startswith(f"{service}.")]
    return sorted(own, key=lambda pair: (pair[0], pair[1]["x-version"]))


def _anchor(name: str, message: Mapping[str, Any]) -> str:
    """As Markdown renderers make it of the section's heading."""
    return f"{name} version {message['x-version']}".replace(".", "").replace(" ", "-")


def _listeners(documents: Documents) -> Iterator[Listener]:
    for service, document in documents.items():
        for operation in document["operations"].values():
            if operation["action"] == "receive" and "x-handles" in operation:
                queue = operation["channel"]["$ref"].removeprefix("#/channels/")
                yield Listener(service, queue, operation["x-ordered"], frozenset(operation["x-handles"]))


def _section(
    service: str, name: str, message: Mapping[str, Any], document: Mapping[str, Any], listeners: list[Listener]
) -> list[str]:
    aggregate = message["x-aggregate"]
    heard = [each.words(name) for each in listeners if _receives(each, aggregate, name)]
    told = (
        f"Told by **{service}** since {message['x-since']}, about one `{aggregate}` (`subject` is `{message['x-subject']}`), "
        f"ordered by `sequence` within it; {AUDIENCES[message['x-audience']]}."
    )
    return [
        f"### {name} version {message['x-version']}",
        "",
        message["description"],
        "",
        told,
        "",
        f"Subscribed: {'; '.join(heard)}." if heard else "Nobody inside subscribes.",
        "",
        *_fields(message, document["components"]["schemas"]),
        "",
        "```json",
        json.dumps(message["examples"][0]["payload"]["data"], indent=2, ensure_ascii=False),
        "```",
        "",
    ]


def _receives(listener: Listener, aggregate: str, name: str) -> bool:
    if "*" in listener.handles or name in listener.handles:
        return True
    return listener.ordered and any(each.rpartition(".")[0] == aggregate for each in listener.handles)


def _fields(message: Mapping[str, Any], schemas: Mapping[str, Any]) -> list[str]:
    lines = ["| field | type | meaning |", "|---|---|---|"]
    return lines + list(_rows("", schemas[f"{message['name']}.v{message['x-version']}"], schemas))


def _rows(place: str, schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[str]:
    for name, field in schema.get("properties", {}).items():
        optional = "" if name in schema.get("required", ()) else "may be absent"
        meaning = " ".join(part for part in (field.get("description", ""), optional) if part)
        yield f"| `{place}{name}` | {_kind(field, schemas)} | {meaning} |"
        for inner in (field, field.get("items", {}), *field.get("anyOf", ())):
            if "$ref" in inner and "properties" in schemas[inner["$ref"].removeprefix(SCHEMAS)]:
                step = "[]." if inner is field.get("items") else "."
                yield from _rows(f"{place}{name}{step}", schemas[inner["$ref"].removeprefix(SCHEMAS)], schemas)


def _kind(field: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    if field.get(PERSONAL_MARK):
        return "*sealed*"
    if "anyOf" in field:
        return " or ".join(_kind(each, schemas) for each in field["anyOf"])
    if "$ref" in field:
        found = schemas[field["$ref"].removeprefix(SCHEMAS)]
        return " or ".join(f"`{each}`" for each in found["enum"]) if "enum" in found else str(found.get("title", "object"))
    if field.get("type") == "array":
        return f"list of {_kind(field.get('items', {}), schemas)}"
    return str(field.get("format") or field.get("type") or "any")
