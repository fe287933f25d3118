"""Golden files guard what consumers rely on."""

from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from libs.common.events import Personal
from libs.common.events.golden import GoldenMismatch, additive_faults, check, golden_document, golden_path
from libs.common.events.tests.samples import PersonHired, Reel, ReelCut

REEL = UUID("01890000-0000-7000-8000-000000000001")
CUT = ReelCut(reel_id=REEL, number=1, parts=(Reel(reel_id=REEL, metres=3),))


def altered(path: Path, change: Any) -> None:
    document = orjson.loads(path.read_bytes())
    change(document)
    path.write_bytes(orjson.dumps(document))


def part(document: dict[str, Any]) -> dict[str, Any]:
    """The properties of what is nested."""
    properties: dict[str, Any] = document["schema"]["$defs"]["Reel"]["properties"]
    return properties


def nullable(properties: dict[str, Any], name: str) -> None:
    """What a field looks like that could be null."""
    properties[name] = {"anyOf": [properties[name], {"type": "null"}]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    check(CUT, tmp_path, update=True)
    return tmp_path


def test_a_committed_golden_file_matches(folder: Path) -> None:
    check(CUT, folder)

    assert golden_path(ReelCut, folder).name == "studio.reel.cut.v1.json"


def test_a_missing_golden_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(GoldenMismatch, match="UPDATE_GOLDEN=1"):
        check(CUT, tmp_path)


def test_an_addition_is_refused_until_it_is_written_down(folder: Path) -> None:
    path = golden_path(ReelCut, folder)
    altered(path, lambda document: document["schema"]["properties"].pop("parts"))

    with pytest.raises(GoldenMismatch, match="differs"):
        check(CUT, folder)
    check(CUT, folder, update=True)
    check(CUT, folder)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda document: document["schema"]["properties"].update(colour={"type": "string"}), "colour: removed"),
        (lambda document: document["schema"]["properties"]["number"].update(type="string"), "number: type changed"),
        (
            lambda document: document["schema"]["$defs"]["Reel"]["properties"].update(age={"type": "integer"}),
            r"parts\[\]\.age: removed",
        ),
        (lambda document: document["schema"]["required"].append("parts"), "parts: no longer always present"),
        (lambda document: document.update(aggregate="number"), "aggregate changed"),
        (lambda document: document["schema"]["properties"]["number"].update(enum=[1, 2]), "number: values changed"),
        (lambda document: document["schema"]["properties"]["reel_id"].update(format="uri"), "reel_id: format changed"),
        (lambda document: document["schema"]["properties"]["number"].update(maximum=9), "number: maximum changed"),
        (lambda document: document["schema"]["properties"]["number"].update(pattern="^a"), "number: pattern changed"),
        (lambda document: part(document).update(reel_id={"type": "integer"}), r"parts\[\]\.reel_id: type changed"),
        (lambda document: part(document)["metres"].update(minimum=0), r"parts\[\]\.metres: minimum changed"),
        (lambda document: document["schema"]["properties"]["parts"].pop("items"), r"parts\[\]: kinds changed"),
        (lambda document: nullable(document["schema"]["properties"], "number"), "number: kinds changed"),
        (lambda document: document["schema"]["properties"]["number"].update(oneOf=[{}]), "number: kinds changed"),
        (
            lambda document: document["schema"]["properties"]["number"].update(additionalProperties={"type": "string"}),
            r"number\{\}: kinds changed",
        ),
        (lambda document: document.update(version=2), "version changed"),
    ],
)
def test_a_breaking_change_is_refused_even_when_updating(folder: Path, change: Any, complaint: str) -> None:
    altered(golden_path(ReelCut, folder), change)

    with pytest.raises(GoldenMismatch, match=complaint):
        check(CUT, folder, update=True)


def test_an_archived_event_that_could_not_be_read_any_more_is_refused(folder: Path) -> None:
    altered(golden_path(ReelCut, folder), lambda document: document["example"].pop("number"))

    with pytest.raises(GoldenMismatch, match="archived events could not be read"):
        check(CUT, folder, update=True)


def test_values_of_a_map_and_members_of_a_union_are_compared_too() -> None:
    def document(value: str) -> dict[str, Any]:
        kinds = {"oneOf": [{"type": value}], "prefixItems": [{"type": value}], "additionalProperties": {"type": value}}
        return {"type": "x", "version": 1, "aggregate": "a", "schema": {"properties": {"a": kinds}}}

    assert additive_faults(document("string"), document("string")) == []
    assert additive_faults(document("string"), document("integer")) == ["a: type changed"] * 2 + ["a{}: type changed"]


def test_the_same_document_is_additive_to_itself() -> None:
    assert additive_faults(golden_document(CUT), golden_document(CUT)) == []


def test_a_golden_file_of_personal_values_does_not_change_from_run_to_run(tmp_path: Path) -> None:
    def hired() -> PersonHired:
        return PersonHired(
            person_id=REEL, email=Personal.of("ada@example.org", about=uuid4()), variables=Personal.of({}, about=uuid4())
        )

    check(hired(), tmp_path, update=True)
    check(hired(), tmp_path)

    assert "ada@example.org" not in golden_path(PersonHired, tmp_path).read_text()
