"""One OpenAPI 3.1 document made of the services' own."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gateway.problems import KINDS

REFERENCE = "#/components/"
OWN_STATUSES = sorted(set(KINDS) - {401})
"""What the gateway may answer to any request. Whoever needs no token is never asked for one."""
_OWN_ANSWER = {"$ref": f"{REFERENCE}responses/Problem"}


def merged(origin: str, documents: Iterable[Path]) -> dict[str, Any]:
    """Paths side by side; components of one name but different content get the service's name in front."""
    result: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "Lumière", "version": "1", "description": "The back end of a collaborative film studio."},
        "servers": [{"url": origin}],
        "tags": [],
        "paths": {},
        "components": {},
    }
    for path in documents:
        document = json.loads(path.read_bytes())
        names = _fitting(path.parent.name, document.get("components", {}), result["components"])
        renamed = _rename(document, {f"{REFERENCE}{old}": f"{REFERENCE}{new}" for old, new in names.items()})
        result["tags"] += [tag for tag in renamed.get("tags", []) if tag not in result["tags"]]
        for name, operations in renamed.get("paths", {}).items():
            result["paths"].setdefault(name, {}).update(operations)
        for old, new in names.items():
            kind, name = new.split("/", 1)
            result["components"].setdefault(kind, {})[name] = renamed["components"][old.split("/", 1)[0]][old.split("/", 1)[1]]
    for operation in (each for operations in result["paths"].values() for each in operations.values()):
        for status in OWN_STATUSES:
            operation["responses"].setdefault(str(status), _OWN_ANSWER)
    return result


def _fitting(service: str, components: dict[str, dict[str, Any]], taken: dict[str, dict[str, Any]]) -> dict[str, str]:
    """`schemas/Page` → `schemas/Page`, or `schemas/TasksPage` when another service's differs."""
    names: dict[str, str] = {}
    for kind, entries in components.items():
        for name, content in entries.items():
            same = taken.get(kind, {}).get(name, content) == content
            names[f"{kind}/{name}"] = f"{kind}/{name if same else service.capitalize() + name}"
    return names


def _rename(node: Any, names: dict[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: names.get(value, value) if key == "$ref" else _rename(value, names) for key, value in node.items()}
    if isinstance(node, list):
        return [_rename(value, names) for value in node]
    return node
