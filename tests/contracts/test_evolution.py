"""What every event of every service withstands: newer producers, and versions that nobody here knows."""

import json
from typing import Any

import orjson
import pytest

from libs.common import clock, ids
from libs.common.events import Envelope, Event, MalformedEvent
from libs.common.events.envelope import schema_address
from libs.common.events.golden import golden_path
from tests.architecture.declared import services
from tests.architecture.source import ROOT

EVENTS = [
    (event, ROOT / "services" / service.name / "tests" / "golden")
    for service in services()
    for event in service.declared_events
]
each_event = pytest.mark.parametrize(("event", "folder"), EVENTS, ids=[event.event_type for event, _ in EVENTS])


def envelope(event: type[Event], data: dict[str, Any], version: int) -> Envelope:
    """The event as a newer producer would send it, with an attribute that nobody here knows."""
    wire = Envelope(
        id=ids.new_id(),
        source=f"/services/{event.service()}",
        type=event.event_type,
        subject=str(data[event.aggregate_field]),
        time=clock.now(),
        dataschema=schema_address(event.event_type, version),
        sequence=1,
        correlation_id="test",
        data=data,
    ).encode()
    return Envelope.decode(orjson.dumps({**orjson.loads(wire), "partitionkey": "added"}))


def with_more(node: Any) -> Any:
    """The same with a further field in every object, however deep."""
    if isinstance(node, dict):
        return {**{key: with_more(value) for key, value in node.items()}, "added_by_a_newer_producer": {"anything": [1, None]}}
    return [with_more(each) for each in node] if isinstance(node, list) else node


@each_event
def test_fields_added_at_any_depth_are_ignored_by_older_consumers(event: type[Event], folder: Any) -> None:
    example = json.loads(golden_path(event, folder).read_bytes())["example"]

    newer = envelope(event, with_more(example), event.event_version).event(event)

    assert newer == envelope(event, example, event.event_version).event(event)


@each_event
def test_an_unknown_major_version_is_refused_with_what_to_do(event: type[Event], folder: Any) -> None:
    example = json.loads(golden_path(event, folder).read_bytes())["example"]

    with pytest.raises(MalformedEvent, match=rf"{event.event_version + 1}.*upgrade the consumer"):
        envelope(event, example, event.event_version + 1).event(event)
