"""The AsyncAPI documents are valid, complete, and say what is on the wire."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator, FormatChecker

from gateway.asyncapi import Catalogue
from gateway.manifest import ROOT
from libs.common.events.asyncapi import AMQPS_PORT, data_schemas
from tests.architecture.declared import services
from tests.architecture.source import ROOT as SOURCE

ORIGIN = "https://lumiere.film"
OFFICIAL: dict[str, Any] = json.loads((Path(__file__).parent / "asyncapi" / "3.0.0.json").read_text(encoding="utf-8"))
DOCUMENTS = {path.parent.name: json.loads(path.read_bytes()) for path in sorted((ROOT / "services").glob("*/asyncapi.json"))}
MERGED = Catalogue(ROOT).document(ORIGIN, None)
EXAMPLES = [
    (name, example["payload"])
    for name, message in MERGED["components"]["messages"].items()
    for example in message.get("examples", ())
]
DRAFT_7_AND_2020_12 = {
    *("type", "format", "title", "description", "properties", "required", "items", "enum", "const", "anyOf", "allOf", "$ref"),
    *(
        "examples",
        "default",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "pattern",
        "additionalProperties",
        "minItems",
        "maxItems",
    ),
    "x-personal",
}
"""What means the same in AsyncAPI's own dialect and in JSON Schema 2020-12."""


def faults(document: dict[str, Any]) -> list[str]:
    """What the official schema finds wrong."""
    return [
        f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"
        for error in Draft7Validator(OFFICIAL).iter_errors(document)
    ]


def references(node: Any) -> Iterator[str]:
    """Every `$ref` in a document."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for each in node:
            yield from references(each)


def target(document: dict[str, Any], reference: str) -> Any:
    """What a local reference leads to. Raises KeyError."""
    node: Any = document
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


def keywords(schema: dict[str, Any]) -> Iterator[str]:
    """The JSON Schema keywords that a schema uses, at any depth."""
    for key, value in schema.items():
        yield key
        if key == "properties":
            for each in value.values():
                yield from keywords(each)
        elif key in {"items", "additionalProperties"} and isinstance(value, dict):
            yield from keywords(value)
        elif key in {"anyOf", "allOf"}:
            for each in value:
                yield from keywords(each)


@pytest.mark.parametrize("document", [*DOCUMENTS.values(), MERGED], ids=[*DOCUMENTS, "merged"])
def test_a_document_is_valid_asyncapi_3(document: dict[str, Any]) -> None:
    assert faults(document) == []


@pytest.mark.parametrize("document", [*DOCUMENTS.values(), MERGED], ids=[*DOCUMENTS, "merged"])
def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for reference in references(document):
        assert target(document, reference)


def test_a_planted_fault_is_noticed() -> None:
    operation = {**next(iter(MERGED["operations"].values())), "action": "shout"}
    assert faults({**MERGED, "operations": {"x": operation}})
    with pytest.raises(KeyError):
        target(MERGED, "#/components/schemas/absent")


def test_every_declared_event_is_sent_by_its_producer_and_nobody_else() -> None:
    sent = {
        (name.partition(".send.")[0], name.partition(".send.")[2])
        for name, each in MERGED["operations"].items()
        if each["action"] == "send"
    }

    assert sent == {(service.name, event.event_type) for service in services() for event in service.declared_events}


def test_every_subscription_receives_from_its_own_queue() -> None:
    received = {
        target(MERGED, each["channel"]["$ref"])["address"]: each["x-ordered"]
        for each in MERGED["operations"].values()
        if each["action"] == "receive"
    }

    assert received == {queue.queue: queue.ordered for service in services() for queue in service.declared_subscriptions.queues}


def test_an_ordered_subscription_receives_every_event_of_its_aggregate() -> None:
    (payments,) = [service for service in services() if service.name == "payments"]
    ordered = payments.declared_subscriptions.queue("payments.tasks.task")

    names = set(MERGED["channels"][ordered.queue]["messages"])

    assert {"tasks.task.validated.v1", "tasks.task.opened.v1"} <= names
    assert all(name.startswith("tasks.task.") for name in names)


@pytest.mark.parametrize(("name", "payload"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_an_example_is_valid_against_its_own_schema_and_against_the_served_one(name: str, payload: dict[str, Any]) -> None:
    message = MERGED["components"]["messages"][name]
    whole = {**message["payload"], "components": MERGED["components"]}
    served = Catalogue(ROOT).schema(message["name"], message["x-version"])

    Draft202012Validator(whole, format_checker=FormatChecker()).validate(payload)
    Draft202012Validator.check_schema(served)
    Draft202012Validator(served, format_checker=FormatChecker()).validate(payload["data"])
    assert served["$id"] == payload["dataschema"]
    assert list(Draft202012Validator(served).iter_errors({**payload["data"], "added_later": 1})) == []
    assert list(Draft202012Validator(served).iter_errors({})) != []


def test_every_event_has_an_example_and_every_field_a_meaning() -> None:
    assert {name for name, _ in EXAMPLES} == {
        f"{e.event_type}.v{e.event_version}" for s in services() for e in s.declared_events
    }
    silent = [
        f"{name}: {field}"
        for name, schema in MERGED["components"]["schemas"].items()
        if name.count(".") == 3
        for field, content in schema["properties"].items()
        if not content.get("description")
    ]
    assert silent == []


def test_schemas_use_only_what_both_dialects_know() -> None:
    used = {word for schema in MERGED["components"]["schemas"].values() for word in keywords(schema)}

    assert used - DRAFT_7_AND_2020_12 == set()


def test_personal_fields_are_marked_and_say_who_may_have_the_event() -> None:
    messages = MERGED["components"]["messages"]

    assert messages["auth.user.registered.v1"]["x-personal-fields"] == ["email", "display_name"]
    assert messages["auth.user.updated.v1"]["x-personal-fields"] == ["display_name"]
    assert messages["auth.user.registered.v1"]["x-audience"] == "personal"
    assert messages["tasks.task.validated.v1"]["x-audience"] == "open"
    internal = {each["name"] for each in messages.values() if each.get("x-audience") == "internal"}
    assert internal == {
        "auth.email.requested",
        "auth.key.changed",
        "auth.maintenance.changed",
        "auth.session.revoked",
        *(f"{service.name}.audit.recorded" for service in services()),
    }


def test_the_server_is_where_the_listener_stands() -> None:
    assert MERGED["servers"]["events"]["host"] == f"lumiere.film:{AMQPS_PORT}"
    assert Catalogue(ROOT).document("http://127.0.0.1:8080", 5673)["servers"]["events"]["host"] == "127.0.0.1:5673"
    assert Catalogue(ROOT).document("http://[::1]:8080", 5673)["servers"]["events"]["host"] == "[::1]:5673"


def test_schema_names_belong_to_one_event_version() -> None:
    names = [name for service in services() for event in service.declared_events for name in data_schemas(event)]

    assert len(names) == len(set(names))


def test_an_event_appeared_in_a_release_that_there_was() -> None:
    project = (SOURCE / "pyproject.toml").read_text(encoding="utf-8")
    current = tuple(map(int, project.split('\nversion = "', 1)[1].split('"', 1)[0].split(".")))

    for service in services():
        for event in service.declared_events:
            assert tuple(map(int, event.event_since.split("."))) <= current
