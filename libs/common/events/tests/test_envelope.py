"""Events and their wire format."""

import types
from datetime import UTC, datetime
from uuid import UUID, uuid4

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from libs.common.events import Envelope, Event, MalformedEvent, event_class, event_classes
from libs.common.events.envelope import SEQUENCE_DIGITS, schema_address
from libs.common.events.tests.samples import Reel, ReelBurnt, ReelCut

REEL = UUID("01890000-0000-7000-8000-000000000001")


def envelope(**changes: object) -> Envelope:
    fields: dict[str, object] = {
        "id": uuid4(),
        "source": "/services/studio",
        "type": "studio.reel.cut",
        "subject": str(REEL),
        "time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "dataschema": schema_address("studio.reel.cut", 1),
        "sequence": 1,
        "correlation_id": "request",
        "data": ReelCut(reel_id=REEL, number=1, parts=(Reel(reel_id=REEL, metres=3),)).wire_data(None),
    }
    return Envelope.model_validate(fields | changes)


def on_the_wire(**changes: object) -> bytes:
    return orjson.dumps(orjson.loads(envelope().encode()) | changes)


words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=255)


@given(
    sequence=st.integers(1, 2**63 - 1),
    subject=words,
    correlation=words,
    optional=st.fixed_dictionaries({}, optional={"causation_id": words, "actor": words, "traceparent": words}),
    time=st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis wants naive bounds
)
def test_an_envelope_survives_the_wire(
    sequence: int, subject: str, correlation: str, optional: dict[str, str], time: datetime
) -> None:
    sent = envelope(sequence=sequence, subject=subject, correlation_id=correlation, time=time, **optional)

    assert Envelope.decode(sent.encode()) == sent


def test_the_wire_is_structured_cloudevents_json() -> None:
    wire = orjson.loads(envelope(sequence=42).encode())

    assert wire["specversion"] == "1.0"
    assert wire["source"] == "/services/studio"
    assert wire["datacontenttype"] == "application/json"
    assert wire["dataschema"] == "https://lumiere.film/events/studio.reel.cut/1"
    assert wire["sequence"] == "00000000000000000042"
    assert wire["time"] == "2026-01-02T03:04:05Z"
    assert "actor" not in wire


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("specversion", "0.3"),
        ("id", "not-a-uuid"),
        ("id", 7),
        ("source", "/services/payments"),
        ("source", "studio"),
        ("type", "studio.reel"),
        ("type", "Studio.Reel.Cut"),
        ("subject", ""),
        ("subject", "x" * 256),
        ("time", "2026-01-02T03:04:05"),
        ("time", 1767323045),
        ("datacontenttype", "text/plain"),
        ("dataschema", "https://lumiere.film/events/studio.reel.burnt/1"),
        ("dataschema", "https://lumiere.film/events/studio.reel.cut/0"),
        ("sequence", "1"),
        ("sequence", "0" * SEQUENCE_DIGITS),
        ("sequence", "٠" * SEQUENCE_DIGITS),
        ("correlationid", ""),
        ("data", "text"),
    ],
)
def test_a_malformed_attribute_is_refused(attribute: str, value: object) -> None:
    with pytest.raises(MalformedEvent):
        Envelope.decode(on_the_wire(**{attribute: value}))


def test_every_fault_is_named_at_once_and_no_value() -> None:
    with pytest.raises(MalformedEvent) as refusal:
        Envelope.decode(b'{"id": "ada@example.org", "sequence": "12", "time": "yesterday"}')

    message = str(refusal.value)
    assert all(name in message for name in ("id:", "sequence:", "time:", "type:", "data:"))
    assert "ada@example.org" not in message
    assert "yesterday" not in message


def test_unknown_attributes_and_additive_fields_are_ignored_at_every_depth() -> None:
    data = envelope().data
    data = data | {"colour": "blue", "parts": [data["parts"][0] | {"weight": 3}]}

    received = Envelope.decode(on_the_wire(data=data, partitionkey="x")).event(ReelCut)

    assert received == ReelCut(reel_id=REEL, number=1, parts=(Reel(reel_id=REEL, metres=3),))


def test_an_unknown_major_version_is_refused_with_what_to_do() -> None:
    newer = Envelope.decode(on_the_wire(dataschema=schema_address("studio.reel.cut", 2)))

    with pytest.raises(MalformedEvent, match=r"major version 2.*upgrade the consumer"):
        newer.event(ReelCut)


def test_another_type_is_refused() -> None:
    with pytest.raises(MalformedEvent, match=r"is a studio\.reel\.cut"):
        envelope().event(ReelBurnt)


def test_values_are_not_coerced() -> None:
    with pytest.raises(MalformedEvent, match="number"):
        Envelope.decode(on_the_wire(data=envelope().data | {"number": "1"})).event(ReelCut)


def test_events_are_strict_and_frozen_where_they_are_produced() -> None:
    with pytest.raises(ValidationError):
        ReelCut(reel_id=str(REEL), number=1)  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        ReelCut(reel_id=REEL, number=1, colour="blue")  # type: ignore[call-arg]
    with pytest.raises(ValidationError):
        ReelCut(reel_id=REEL, number=1).number = 2  # type: ignore[misc]


def test_an_instant_without_a_time_zone_is_refused() -> None:
    class ReelDated(Event, type="studio.reel.dated", version=1, aggregate="reel_id"):
        """A reel got its date."""

        reel_id: UUID
        at: datetime

    with pytest.raises(ValidationError, match="at needs a time zone"):
        ReelDated(reel_id=REEL, at=datetime(2026, 1, 1))  # noqa: DTZ001 - the point of the test


@pytest.mark.parametrize(
    ("declaration", "complaint"),
    [
        ({"type": "studio.lost", "version": 1, "aggregate": "reel_id"}, "type must be"),
        ({"type": "studio.reel.lost", "version": 0, "aggregate": "reel_id"}, "version must be"),
        ({"type": "studio.reel.lost", "version": 1, "aggregate": "film_id"}, "aggregate must name"),
        ({"type": "studio.reel.lost", "version": 1, "aggregate": "note"}, "must be required"),
        ({"type": "studio.reel.cut", "version": 1, "aggregate": "reel_id"}, "is already"),
    ],
)
def test_a_wrong_declaration_is_refused_at_import(declaration: dict[str, object], complaint: str) -> None:
    namespace = {"__doc__": "Lost.", "__module__": __name__, "__annotations__": {"reel_id": UUID, "note": str}, "note": ""}

    with pytest.raises(TypeError, match=complaint):
        types.new_class("ReelLost", (Event,), declaration, lambda body: body.update(namespace))


def test_an_event_without_a_docstring_is_refused() -> None:
    with pytest.raises(TypeError, match="docstring"):

        class ReelSilent(Event, type="studio.reel.silent", version=1, aggregate="reel_id"):
            reel_id: UUID


def test_a_declared_event_is_found_by_type_and_version() -> None:
    assert event_class("studio.reel.cut", 1) is ReelCut
    assert event_class("studio.reel.cut", 2) is None
    assert ReelCut in list(event_classes("studio"))
    assert list(event_classes("nobody")) == []
