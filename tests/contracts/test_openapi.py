"""Every operation of every service has examples, and each example is what its schema and the service itself would take."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from pydantic import TypeAdapter

from libs.common.auth.policy import Access
from libs.common.http.binding import analyse
from libs.common.http.examples import example, lacks_example
from libs.common.service import Service
from ops.declarations import services
from services.tasks.schemas.plan import SHEET_EXAMPLE
from services.tasks.schemas.production_sheet import read_sheet
from tests.architecture.source import ROOT

SERVICES = services()
BYTES = {"*/*", "application/octet-stream"}
"""What has no example, because it is no text."""
each_service = pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)


def document_of(service: Service) -> dict[str, Any]:
    """The committed document."""
    found: dict[str, Any] = json.loads((ROOT / "services" / service.name / "openapi.json").read_bytes())
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Id and content of every operation."""
    for methods in document["paths"].values():
        for operation in methods.values():
            yield operation["operationId"], operation


def contents(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Media types of the request and of each answer, but for problems."""
    bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
    yield from (each for body in bodies for each in body.get("content", {}).items())


@each_service
def test_the_document_is_openapi(service: Service) -> None:
    validate(document_of(service))


@each_service
def test_every_text_has_an_example_where_its_type_is_declared(service: Service) -> None:
    document = document_of(service)
    schemas = document["components"]["schemas"]
    missing = {
        f"{name}: {fault}"
        for name, operation in operations(document)
        for _, content in contents(operation)
        for fault in lacks_example(content.get("schema", {}), schemas)
        if "example" not in content or "$ref" in content["schema"]
    }

    assert sorted(missing) == [], "declare Annotated[str, Field(examples=[…])] on the field, or on its type"


@each_service
def test_every_body_has_an_example_that_fits_its_schema(service: Service) -> None:
    document = document_of(service)
    for name, operation in operations(document):
        for media_type, content in contents(operation):
            if media_type in BYTES or (name == "media.receive_upload" and "schema" not in content):
                continue
            assert "example" in content, f"{name}: {media_type} has no example"
            faults_in(content["schema"], content["example"], document, f"{name} {media_type}")
        for parameter in operation["parameters"]:
            if parameter["required"]:
                faults_in(parameter["schema"], parameter["example"], document, f"{name} {parameter['name']}")


def faults_in(schema: dict[str, Any], value: Any, document: dict[str, Any], where: str) -> None:
    """Fails with the faults of a value."""
    whole = {**schema, "components": document["components"]}
    validator = Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)
    found = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]
    assert found == [], where


@each_service
def test_the_service_itself_takes_each_example_of_a_request(service: Service) -> None:
    document = dict(operations(document_of(service)))
    for route in service.declared_routes:
        kind = route.body_type or analyse(route).body_type
        if route.allow.access is Access.SERVICE or kind is None:
            continue
        body = document[route.operation]["requestBody"]["content"][route.consumes[0]]["example"]
        TypeAdapter(kind).validate_json(json.dumps(body))


def test_the_example_of_a_production_sheet_is_one() -> None:
    (draft,) = read_sheet(SHEET_EXAMPLE.encode())

    assert draft.price.amount == 8_000


def test_one_id_has_one_value_in_every_example() -> None:
    uuid = {"type": "string", "format": "uuid"}
    schemas = {"Task": {"type": "object", "properties": {"task_id": uuid, "film_id": uuid}}}

    whole = example({"$ref": "#/components/schemas/Task"}, schemas)

    assert whole["task_id"] == example(uuid, {}, "task_id") != whole["film_id"]
    assert whole == example({"$ref": "#/components/schemas/Task"}, schemas)


def test_a_text_without_an_example_is_found_wherever_it_stands() -> None:
    text, schemas = {"type": "string"}, {"Named": {"type": "object", "properties": {"name": {"type": "string"}}}}
    nested = {
        "type": "object",
        "properties": {
            "told": {"type": "string", "examples": ["x"]},
            "kind": {"enum": ["A"], "type": "string"},
            "maybe": {"anyOf": [text, {"type": "null"}]},
            "several": {"type": "array", "items": text},
            "other": {"$ref": "#/components/schemas/Named"},
        },
    }

    assert lacks_example(nested, schemas) == [".maybe", ".several", ".other.name"]
