"""Golden files: the committed shape of each event, which may grow and never shrink."""

from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from libs.common.events.envelope import Event, MalformedEvent, describe_faults, schema_address


class GoldenMismatch(AssertionError):
    """An event differs from its golden file, or would break those who consume it."""


def golden_path(cls: type[Event], folder: Path) -> Path:
    """`<folder>/<event type>.v<version>.json`."""
    return folder / f"{cls.event_type}.v{cls.event_version}.json"


def golden_document(event: Event) -> dict[str, Any]:
    """What is committed: the declaration, an example, and the JSON Schema."""
    cls = type(event)
    return {
        "type": cls.event_type,
        "version": cls.event_version,
        "aggregate": cls.aggregate_field,
        "dataschema": schema_address(cls.event_type, cls.event_version),
        "example": event.golden_data(),
        "schema": cls.model_json_schema(mode="serialization"),
    }


def additive_faults(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Why a consumer of the old document would stumble over the new one; empty when it would not."""
    faults = [f"{key} changed" for key in ("type", "version", "aggregate") if old.get(key) != new.get(key)]
    return faults + _object_faults("", old["schema"], new["schema"], (old["schema"], new["schema"]))


def _object_faults(place: str, old: Any, new: Any, roots: tuple[Any, Any]) -> list[str]:
    old, new = _resolved(old, roots[0]), _resolved(new, roots[1])
    faults = [f"{place or 'event'}: {key} changed" for key in _FIXED if old.get(key) != new.get(key)]
    faults += _choice_faults(place, old, new, roots)
    faults += _inner_faults(place, old, new, roots)
    for name, schema in old.get("properties", {}).items():
        inner = f"{place}.{name}".lstrip(".")
        if name not in new.get("properties", {}):
            faults.append(f"{inner}: removed")
        else:
            faults += _object_faults(inner, schema, new["properties"][name], roots)
    return faults + [f"{place}.{name}".lstrip(".") + ": no longer always present" for name in _no_longer_required(old, new)]


_FIXED = (
    *("type", "format", "const", "pattern", "multipleOf", "uniqueItems"),
    # A consumer may have relied on a bound that is wider now; an archived event may lie outside one that is narrower.
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "minItems", "maxItems"),
)


def _inner_faults(place: str, old: dict[str, Any], new: dict[str, Any], roots: tuple[Any, Any]) -> list[str]:
    """What lists and maps hold."""
    faults = []
    for key, step in (("items", "[]"), ("additionalProperties", "{}")):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            faults += _object_faults(place + step, before, after, roots)
        elif isinstance(before, dict) or isinstance(after, dict):
            faults.append(f"{place}{step}: kinds changed")
    return faults


def _choice_faults(place: str, old: dict[str, Any], new: dict[str, Any], roots: tuple[Any, Any]) -> list[str]:
    """A consumer may have listed the values or kinds that it knows: a set of them is closed."""
    if set(map(str, old.get("enum", ()))) != set(map(str, new.get("enum", ()))):
        return [f"{place}: values changed"]
    if any(len(old.get(key, ())) != len(new.get(key, ())) for key in _CHOICES):
        return [f"{place}: kinds changed"]
    pairs = [pair for key in _CHOICES for pair in zip(old.get(key, ()), new.get(key, ()), strict=True)]
    return [fault for before, after in pairs for fault in _object_faults(place, before, after, roots)]


_CHOICES = ("anyOf", "oneOf", "allOf", "prefixItems")


def _no_longer_required(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return sorted(set(old.get("required", ())) - set(new.get("required", ())))


def _resolved(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    resolved: dict[str, Any] = root["$defs"][reference.rsplit("/", 1)[1]]
    return resolved


def check(event: Event, folder: Path, *, update: bool = False) -> None:
    """Compare an example with its golden file; `update` writes it when the change is additive.

    Raises GoldenMismatch with what to do.
    """
    path = golden_path(type(event), folder)
    document = golden_document(event)
    known = orjson.loads(path.read_bytes()) if path.exists() else None
    if known is not None:
        _require_additive(path, known, document)
        _require_readable(path, known, type(event))
    if update:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n")
    elif known is None:
        raise GoldenMismatch(f"{path.name} is missing: run the test once with UPDATE_GOLDEN=1 and commit the file")
    elif known != document:
        raise GoldenMismatch(f"{path.name} differs: when the addition is meant, run with UPDATE_GOLDEN=1 and commit it")


def _require_additive(path: Path, known: dict[str, Any], document: dict[str, Any]) -> None:
    faults = additive_faults(known, document)
    if faults:
        raise GoldenMismatch(f"{path.name} breaks its consumers, declare the next version instead: {'; '.join(faults)}")


def _require_readable(path: Path, known: dict[str, Any], cls: type[Event]) -> None:
    try:
        cls.model_validate_json(orjson.dumps(known["example"]), extra="ignore")
    except ValidationError as error:
        raise GoldenMismatch(f"{path.name}: archived events could not be read any more: {describe_faults(error)}") from None
    except MalformedEvent as error:
        raise GoldenMismatch(f"{path.name}: {error}") from None
