"""The form of a leaf: `docs/proofs.md` promises it for good."""

import json
from hashlib import sha256
from typing import Any

import pytest

from services.ledger.domain import leaves
from services.ledger.domain.tiles import ENTRY_BYTES_MAX


def event(**changes: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": "01980000-0000-7000-8000-000000000001",
        "source": "/services/tasks",
        "type": "tasks.task.validated",
        "subject": "01980000-0000-7000-8000-000000000002",
        "time": "2026-01-02T03:04:05.678901Z",
        "datacontenttype": "application/json",
        "dataschema": "https://lumiere.film/events/tasks.task.validated/1",
        "sequence": "00000000000000000007",
        "correlationid": "request-1",
        "causationid": "01980000-0000-7000-8000-000000000003",
        "actor": "01980000-0000-7000-8000-000000000004",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "data": {"task_title": "Décor « lune »", "price": {"amount": 5000, "currency": "EUR"}, "email": {"commitment": "abc"}},
        **changes,
    }


def test_a_leaf_is_written_exactly_so() -> None:
    assert leaves.leaf_of(event()).decode() == (
        '{"actor":"01980000-0000-7000-8000-000000000004","causationid":"01980000-0000-7000-8000-000000000003",'
        '"correlationid":"request-1",'
        '"data":{"email":{"commitment":"abc"},"price":{"amount":5000,"currency":"EUR"},"task_title":"Décor « lune »"},'
        '"datacontenttype":"application/json","dataschema":"https://lumiere.film/events/tasks.task.validated/1",'
        '"id":"01980000-0000-7000-8000-000000000001","sequence":"00000000000000000007","source":"/services/tasks",'
        '"specversion":"1.0","subject":"01980000-0000-7000-8000-000000000002","time":"2026-01-02T03:04:05.678901Z",'
        '"type":"tasks.task.validated"}'
    )


def test_the_way_through_the_machines_is_no_part_of_a_leaf() -> None:
    assert leaves.leaf_of(event(traceparent="00-other", tracestate="vendor=1")) == leaves.leaf_of(event())


def test_an_event_of_the_longest_length_stands_whole_and_one_byte_more_as_its_digest() -> None:
    room = ENTRY_BYTES_MAX - len(leaves.leaf_of(event(data={"text": ""})))
    whole = leaves.leaf_of(event(data={"text": "a" * room}))
    digest = leaves.leaf_of(event(data={"text": "a" * (room + 1)}))

    assert len(whole) == ENTRY_BYTES_MAX
    assert json.loads(whole)["data"] == {"text": "a" * room}
    data = b'{"text":"' + b"a" * (room + 1) + b'"}'
    assert json.loads(digest) == {
        **{name: value for name, value in event().items() if name not in {"data", "traceparent"}},
        "datasha256": sha256(data).hexdigest(),
        "datasize": len(data),
    }


def test_an_event_whose_attributes_alone_are_too_long_is_refused() -> None:
    with pytest.raises(leaves.LeafError, match="65535 bytes"):
        leaves.leaf_of(event(subject="a" * ENTRY_BYTES_MAX))


@pytest.mark.parametrize("value", [2**53, -(2**53), float("nan"), float("inf"), "\ud800"])
def test_a_value_without_a_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(leaves.LeafError, match="no canonical JSON form"):
        leaves.leaf_of(event(data={"value": value}))


def test_what_is_sealed_for_one_reader_is_no_part_of_a_leaf_wherever_it_stands() -> None:
    sealed = {"commitment": "abc", "sealed": "only notify can open this"}
    arrived = event(data={"email": sealed, "people": [{"name": sealed}], "note": {"sealed": "kept"}})

    kept = {"email": {"commitment": "abc"}, "people": [{"name": {"commitment": "abc"}}], "note": {"sealed": "kept"}}
    assert leaves.archive_form(arrived) == event(data=kept)


def test_the_log_does_not_log_itself() -> None:
    assert leaves.is_logged("/services/tasks")
    assert not leaves.is_logged("/services/ledger")
    assert not leaves.is_logged("/services/ledger", "ledger.audit.recorded")
    assert leaves.is_logged("/services/ledger", "ledger.log.resumed")
