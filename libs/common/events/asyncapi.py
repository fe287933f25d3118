"""The AsyncAPI 3.0 document of a service: what it sends, what it receives, and how both look on the wire.

Written for those who subscribe, so schemas leave unknown fields open: events grow by addition, and consumers ignore what they
do not know. Payload schemas use what JSON Schema 2020-12 and AsyncAPI's own dialect have in common.
"""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, Final

from libs.common.events.envelope import (
    ATTRIBUTE_LENGTH_MAX,
    MEDIA_TYPE,
    SEQUENCE_DIGITS,
    SUBJECT_LENGTH_MAX,
    Event,
    event_classes,
    schema_address,
)
from libs.common.events.personal import PERSONAL_MARK
from libs.common.events.subscriptions import EVERY_EVENT, Handler, Subscription, Subscriptions
from libs.common.events.topology import EVENTS_EXCHANGE

VERSION: Final = "3.0.0"
AMQP_BINDING: Final = "0.3.0"
AMQPS_PORT: Final = 5671
"""As registered for AMQP over TLS."""
SERVER: Final = "events"
ENVELOPE: Final = "CloudEvent"
OPEN, PERSONAL, INTERNAL = "open", "personal", "internal"
"""Who outside may subscribe: anybody an operator lets in, whoever may hold sealed personal values, nobody."""

_SCHEMAS: Final = "#/components/schemas/"
_LOCAL: Final = "#/$defs/"
_EXAMPLE_ID: Final = "01980000-0000-7000-8000-0000000000e1"
_EXAMPLE_TIME: Final = "2026-01-02T03:04:05.678901Z"

Examples = Mapping[tuple[str, int], Mapping[str, Any]]
"""(event type, version) → an example of its data."""


def asyncapi(
    service: str, version: str, published: Iterable[type[Event]], listened: Subscriptions, examples: Examples
) -> dict[str, Any]:
    """The document of one service; the gateway merges those of all."""
    own = sorted(published, key=_key)
    queues = {each.name: _received(each) for each in listened.queues}
    broadcasts = [handler.event for handler in listened.broadcasts if handler.event is not None]
    spoken = sorted({*own, *(event for events in queues.values() for event in events), *broadcasts}, key=_key)
    schemas: dict[str, Any] = {ENVELOPE: _envelope_schema()}
    for event in spoken:
        schemas |= data_schemas(event)
    return {
        "asyncapi": VERSION,
        "info": {"title": f"Lumière {service}", "version": version, "license": {"name": "Apache-2.0"}},
        "defaultContentType": MEDIA_TYPE,
        "servers": {SERVER: server("{host}:{port}") | {"variables": _HOST}},
        "channels": {
            **{event.event_type: _fact_channel(event) for event in spoken},
            **{each.queue: _queue_channel(each, queues[each.name]) for each in listened.queues},
        },
        "operations": {
            **{f"{service}.send.{event.event_type}": _send(event) for event in own},
            **{f"{service}.receive.{each.source}": _receive(each, queues[each.name]) for each in listened.queues},
            **{f"{service}.hear.{each.topic}": _hear(each) for each in listened.broadcasts},
        },
        "components": {
            "schemas": schemas,
            "messages": {
                **{_message_name(event): _message(event, examples.get(_key(event))) for event in spoken},
                **({_ANY: _any_message()} if any(each.source == EVERY_EVENT for each in listened.queues) else {}),
            },
            "securitySchemes": {"broker": _SECURITY},
        },
    }


def server(host: str) -> dict[str, Any]:
    """Where subscribers outside connect: the gateway's AMQPS listener, which an operator opens."""
    return {
        "host": host,
        "protocol": "amqps",
        "protocolVersion": "0-9-1",
        "description": "The gateway's AMQPS listener. It is off unless an operator opens it; TLS 1.2 or newer.",
        "security": [{"$ref": "#/components/securitySchemes/broker"}],
    }


_HOST: Final = {
    "host": {"default": "lumiere.film", "description": "Where the platform stands."},
    "port": {"default": str(AMQPS_PORT), "description": "The port of the AMQPS listener."},
}
_SECURITY: Final = {
    "type": "userPassword",
    "description": "A broker user that reads its own queue and nothing else; `lumiere events subscribe` makes it.",
}
_ANY: Final = "every.event"


def audience(event: type[Event]) -> str:
    """Who outside the platform may be given an event."""
    if event.event_internal:
        return INTERNAL
    return PERSONAL if personal_fields(data_schemas(event), _data_name(event)) else OPEN


def personal_fields(schemas: Mapping[str, Any], name: str) -> list[str]:
    """The fields of a schema whose values are sealed, nested ones as `a.b`."""
    found: list[str] = []
    for field, schema in schemas[name].get("properties", {}).items():
        parts = [schema, *schema.get("anyOf", ()), schema.get("items", {})]
        if any(part.get(PERSONAL_MARK) for part in parts):
            found.append(field)
        for reference in (part["$ref"] for part in parts if "$ref" in part):
            found += [f"{field}.{each}" for each in personal_fields(schemas, reference.removeprefix(_SCHEMAS))]
    return found


def data_schemas(event: type[Event]) -> dict[str, Any]:
    """The schema of an event's data and of what is nested in it, by name in `components/schemas`."""
    schema = _opened(event.model_json_schema(mode="serialization"))
    name = _data_name(event)
    nested = schema.pop("$defs", {})
    return {
        each: _renamed(content, name)
        for each, content in {name: schema, **{f"{name}.{key}": nested[key] for key in nested}}.items()
    }


def _opened(node: Any) -> Any:
    """Without a ban on further fields: the producer may add some, and older consumers must go on."""
    if isinstance(node, dict):
        return {key: _opened(value) for key, value in node.items() if not (key == "additionalProperties" and value is False)}
    return [_opened(each) for each in node] if isinstance(node, list) else node


def _renamed(node: Any, name: str) -> Any:
    if isinstance(node, dict):
        return {
            key: value.replace(_LOCAL, f"{_SCHEMAS}{name}.") if key == "$ref" else _renamed(value, name)
            for key, value in node.items()
        }
    return [_renamed(each, name) for each in node] if isinstance(node, list) else node


def _key(event: type[Event]) -> tuple[str, int]:
    return event.event_type, event.event_version


def _data_name(event: type[Event]) -> str:
    return f"{event.event_type}.v{event.event_version}"


_message_name = _data_name


def _received(subscription: Subscription) -> list[type[Event]]:
    """The events that a subscription's queue holds: ordered ones see every event of the aggregate."""
    handled = [handler.event for handler in subscription.handlers.values() if handler.event is not None]
    if not subscription.ordered:
        return sorted(handled, key=_key)
    producer = subscription.source.split(".", 1)[0]
    return [each for each in event_classes(producer) if each.aggregate_type() == subscription.source]


def _fact_channel(event: type[Event]) -> dict[str, Any]:
    exchange = {"name": EVENTS_EXCHANGE, "type": "topic", "durable": True, "autoDelete": False, "vhost": "/"}
    return {
        "address": event.event_type,
        "messages": {_message_name(event): {"$ref": f"#/components/messages/{_message_name(event)}"}},
        "summary": _summary(event),
        "servers": [{"$ref": f"#/servers/{SERVER}"}],
        "bindings": {"amqp": {"is": "routingKey", "exchange": exchange, "bindingVersion": AMQP_BINDING}},
    }


def _queue_channel(subscription: Subscription, events: list[type[Event]]) -> dict[str, Any]:
    queue = {"name": subscription.queue, "durable": True, "exclusive": False, "autoDelete": False, "vhost": "/"}
    names = [_message_name(event) for event in events] or [_ANY]
    return {
        "address": subscription.queue,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "bindings": {"amqp": {"is": "queue", "queue": queue, "bindingVersion": AMQP_BINDING}},
        "x-routing-keys": subscription.bindings,
    }


def _send(event: type[Event]) -> dict[str, Any]:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{event.event_type}"},
        "messages": [{"$ref": f"#/channels/{event.event_type}/messages/{_message_name(event)}"}],
        "summary": _summary(event),
        "bindings": {
            "amqp": {"deliveryMode": 2, "mandatory": False, "userId": event.service(), "bindingVersion": AMQP_BINDING}
        },
    }


def _receive(subscription: Subscription, events: list[type[Event]]) -> dict[str, Any]:
    names = [_message_name(event) for event in events] or [_ANY]
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{subscription.queue}"},
        "messages": [{"$ref": f"#/channels/{subscription.queue}/messages/{name}"} for name in names],
        "bindings": {"amqp": {"ack": True, "bindingVersion": AMQP_BINDING}},
        "x-ordered": subscription.ordered,
        "x-handles": sorted(subscription.handlers),
    }


def _hear(handler: Handler) -> dict[str, Any]:
    """A broadcast: every process has a queue of its own that ends with it."""
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{handler.topic}"},
        "summary": "Heard by every running process.",
        "bindings": {"amqp": {"ack": True, "bindingVersion": AMQP_BINDING}},
        "x-broadcast": True,
    }


def _message(event: type[Event], example: Mapping[str, Any] | None) -> dict[str, Any]:
    own = {
        "type": {"const": event.event_type},
        "source": {"const": f"/services/{event.service()}"},
        "dataschema": {"const": schema_address(*_key(event))},
        "data": {"$ref": _SCHEMAS + _data_name(event)},
    }
    payload = {"allOf": [{"$ref": _SCHEMAS + ENVELOPE}, {"type": "object", "properties": own}]}
    described = inspect.getdoc(event) or ""
    shown = {"examples": [{"name": "golden", "payload": _example(event, example)}]} if example is not None else {}
    return {
        "name": event.event_type,
        "title": event.__name__,
        "summary": _summary(event),
        "description": described,
        "contentType": MEDIA_TYPE,
        "headers": _HEADERS,
        "payload": payload,
        "correlationId": {"location": "$message.payload#/correlationid"},
        "bindings": {"amqp": {"contentEncoding": "utf-8", "messageType": event.event_type, "bindingVersion": AMQP_BINDING}},
        "x-version": event.event_version,
        "x-since": event.event_since,
        "x-aggregate": event.aggregate_type(),
        "x-subject": event.aggregate_field,
        "x-audience": audience(event),
        "x-personal-fields": personal_fields(data_schemas(event), _data_name(event)),
        **shown,
    }


_HEADERS: Final = {
    "type": "object",
    "description": "The context attributes travel in the payload (CloudEvents structured mode); further headers mean nothing.",
}


def _any_message() -> dict[str, Any]:
    return {
        "name": _ANY,
        "title": "Any event",
        "contentType": MEDIA_TYPE,
        "headers": _HEADERS,
        "payload": {"$ref": _SCHEMAS + ENVELOPE},
        "correlationId": {"location": "$message.payload#/correlationid"},
        "bindings": {"amqp": {"contentEncoding": "utf-8", "bindingVersion": AMQP_BINDING}},
    }


def _example(event: type[Event], data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": _EXAMPLE_ID,
        "source": f"/services/{event.service()}",
        "type": event.event_type,
        "subject": str(data[event.aggregate_field]),
        "time": _EXAMPLE_TIME,
        "datacontenttype": "application/json",
        "dataschema": schema_address(*_key(event)),
        "sequence": f"{1:0{SEQUENCE_DIGITS}d}",
        "correlationid": "01980000-0000-7000-8000-0000000000c1",
        "data": dict(data),
    }


def _summary(event: type[Event]) -> str:
    return (inspect.getdoc(event) or "").splitlines()[0]


def _envelope_schema() -> dict[str, Any]:
    text: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": ATTRIBUTE_LENGTH_MAX}
    attributes: dict[str, dict[str, Any]] = {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "format": "uuid", "description": "The event's own id: the same in every delivery of it."},
        "source": {"type": "string", "pattern": "^/services/[a-z][a-z0-9_]*$", "description": "Who tells it."},
        "type": {"type": "string", "pattern": r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$"},
        "subject": {**text, "maxLength": SUBJECT_LENGTH_MAX, "description": "The aggregate that it is about."},
        "time": {"type": "string", "format": "date-time"},
        "datacontenttype": {"const": "application/json"},
        "dataschema": {
            "type": "string",
            "format": "uri",
            "description": "Where the schema of `data` stands; ends in the major version.",
        },
        "sequence": {
            "type": "string",
            "pattern": f"^[0-9]{{{SEQUENCE_DIGITS}}}$",
            "description": "The event's number within its aggregate: 1, 2, 3 without gaps, with leading zeros.",
        },
        "correlationid": {**text, "description": "What one request from outside set off has one correlation id."},
        "causationid": {**text, "description": "The event or command that directly caused it."},
        "actor": {**text, "description": "The user or service that acted."},
        "traceparent": {**text, "description": "W3C Trace Context."},
        "data": {"type": "object"},
    }
    optional = {"causationid", "actor", "traceparent"}
    return {
        "type": "object",
        "title": "CloudEvent",
        "description": "CloudEvents 1.0, structured JSON. Ignore attributes and fields that you do not know.",
        "properties": attributes,
        "required": [name for name in attributes if name not in optional],
    }
