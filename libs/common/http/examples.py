"""Whole examples, put together from those of the fields.

A text says its example where its type is declared, `Annotated[str, Field(examples=["…"])]`, once; everything else follows from
the schema. The same schema gives the same example, and one id has one value in every example that names it.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

MOMENT: Final = "2026-03-02T09:30:00Z"
BY_FORMAT: Final[Mapping[str, str]] = {
    "date-time": MOMENT,
    "date": MOMENT[:10],
    "email": "ada@example.org",
    "password": "a long pass phrase",
    "uri": "https://lumiere.film/",
}
_REFERENCE = "#/components/schemas/"
_IDS: Final = "0195561c-7800-7000-8000-"
"""UUIDv7 of MOMENT, without its last twelve digits."""


def example(schema: Mapping[str, Any], schemas: Mapping[str, Any], name: str = "id") -> Any:
    """A value that fits a JSON Schema; references lead into `schemas`, and `name` is the member that it is for."""
    if "$ref" in schema:
        return example({**schemas[schema["$ref"].removeprefix(_REFERENCE)], **_siblings(schema)}, schemas, name)
    if schema.get("examples"):
        return schema["examples"][0]
    if "const" in schema:
        return schema["const"]
    if schema.get("default") not in (None, "", []):
        return schema["default"]
    if "enum" in schema:
        return schema["enum"][0]
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            chosen = next((each for each in schema[several] if each.get("type") != "null"), {"type": "null"})
            return example(chosen, schemas, name)
    return _of_type(schema, schemas, name)


def _siblings(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key in {"default", "examples"}}


def _of_type(schema: Mapping[str, Any], schemas: Mapping[str, Any], name: str) -> Any:
    match schema.get("type"):
        case "object":
            return {key: example(each, schemas, key) for key, each in schema.get("properties", {}).items()}
        case "array":
            return [example(schema["items"], schemas, name.removesuffix("s"))] if "items" in schema else []
        case "integer" | "number":
            return max(1, schema.get("minimum", 1))
        case "boolean":
            return True
        case "null":
            return None
    return _text(schema, name)


def _text(schema: Mapping[str, Any], name: str) -> str:
    form = schema.get("format")
    if form == "uuid":
        return _IDS + sha256(name.encode()).hexdigest()[:12]
    return BY_FORMAT.get(form or "", name)


def lacks_example(schema: Mapping[str, Any], schemas: Mapping[str, Any], name: str = "") -> list[str]:
    """The members whose text nobody gave an example for: a path of names each."""
    if schema.get("examples") or {"const", "enum"} & set(schema) or schema.get("default"):
        return []
    if "$ref" in schema:
        target = schema["$ref"].removeprefix(_REFERENCE)
        return lacks_example(schemas[target], schemas, name)
    nested = [each for several in ("anyOf", "oneOf", "allOf") for each in schema.get(several, [])]
    found = [fault for each in nested for fault in lacks_example(each, schemas, name)]
    for key, each in schema.get("properties", {}).items():
        found += lacks_example(each, schemas, f"{name}.{key}")
    if isinstance(schema.get("items"), Mapping):
        found += lacks_example(schema["items"], schemas, name)
    bare = schema.get("type") == "string" and schema.get("format") not in {*BY_FORMAT, "uuid"}
    return [*found, *([name] if bare else [])]


def illustrate(document: Mapping[str, Any]) -> None:
    """Give every JSON body and every parameter that a call needs its example, where an OpenAPI document has none yet."""
    schemas = document["components"]["schemas"]
    for operation in (each for methods in document["paths"].values() for each in methods.values()):
        for parameter in operation.get("parameters", ()):
            if parameter["required"]:
                parameter.setdefault("example", example(parameter["schema"], schemas, parameter["name"]))
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for content in (each for body in bodies for each in body.get("content", {}).values() if "schema" in each):
            content.setdefault("example", example(content["schema"], schemas))
    for response in document["components"].get("responses", {}).values():
        for content in response["content"].values():
            content.setdefault("example", example(content["schema"], schemas))
