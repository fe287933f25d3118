"""Personal values: sealed on the wire, committed elsewhere, never shown."""

import base64
from uuid import uuid4

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from libs.common.events import CannotOpen, Keyring, Personal, Recipient
from libs.common.events.personal import COMMITMENT_BYTES, commitment_of, decode_base64url, encode_base64url, generate_key_pair
from libs.common.events.tests.samples import PersonHired

PRIVATE, PUBLIC = generate_key_pair()
ADDRESS = "ada.lovelace@example.org"


def hired(email: str = ADDRESS) -> PersonHired:
    person = uuid4()
    variables = {"link": "https://lumiere.film/verify?token=abc"}
    return PersonHired(person_id=person, email=Personal.of(email, about=person), variables=Personal.of(variables, about=person))


def received(event: PersonHired, recipient: Recipient | None) -> PersonHired:
    return PersonHired.model_validate_json(orjson.dumps(event.wire_data(recipient)))


@given(value=st.text(st.characters(codec="utf-8")))
def test_a_sealed_value_opens_to_what_was_sealed(value: str) -> None:
    event = hired(value)

    arrived = received(event, Recipient(PUBLIC))

    assert arrived.email.open(Keyring([PRIVATE])) == value
    assert arrived.variables.open(Keyring([PRIVATE])) == {"link": "https://lumiere.film/verify?token=abc"}
    assert arrived == event


@given(
    value=st.dictionaries(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8"))),
    salt=st.binary(min_size=32, max_size=32),
)
def test_a_commitment_depends_on_salt_and_value_only(value: dict[str, str], salt: bytes) -> None:
    shuffled = dict(reversed(value.items()))

    assert commitment_of(salt, value) == commitment_of(salt, shuffled)
    assert commitment_of(salt, value) != commitment_of(salt, value | {"one more": "x"}) or "one more" in value
    assert len(decode_base64url(commitment_of(salt, value))) == COMMITMENT_BYTES


def test_a_commitment_has_a_known_value() -> None:
    # HMAC-SHA256 with 32 zero bytes over the canonical JSON text "ada" including its quotes, computed with openssl.
    assert commitment_of(bytes(32), "ada") == "jsqaIFCQEOVUh2MVtgN4tAhQY9R4DopH89rbFxa8Bgg"


def test_the_same_value_twice_shows_two_commitments() -> None:
    person = uuid4()

    assert Personal.of(ADDRESS, about=person) != Personal.of(ADDRESS, about=person)


def test_the_archive_and_the_wire_carry_one_commitment_and_the_archive_no_seal() -> None:
    event = hired()

    archived, wire = event.wire_data(None), event.wire_data(Recipient(PUBLIC))

    assert archived["email"] == {"commitment": wire["email"]["commitment"]}
    assert set(wire["email"]) == {"commitment", "sealed"}


def test_the_value_shows_nowhere_but_when_opened() -> None:
    event = hired()

    assert ADDRESS not in repr(event)
    assert ADDRESS not in str(event.wire_data(Recipient(PUBLIC)))
    assert ADDRESS not in event.model_dump_json()
    assert ADDRESS not in str(event.golden_data())


def test_the_producer_keeps_what_proves_the_commitment() -> None:
    personal = hired().email

    assert personal.matches(personal.salt, ADDRESS)
    assert not personal.matches(personal.salt, ADDRESS + "x")
    assert not personal.matches(bytes(32), ADDRESS)


def test_who_holds_another_key_cannot_open() -> None:
    other, _ = generate_key_pair()

    with pytest.raises(CannotOpen, match="does not hold"):
        received(hired(), Recipient(PUBLIC)).email.open(Keyring([other]))


def test_an_older_key_on_the_ring_still_opens() -> None:
    newer, _ = generate_key_pair()

    assert received(hired(), Recipient(PUBLIC)).email.open(Keyring([newer, PRIVATE])) == ADDRESS


def test_an_archived_value_cannot_be_opened() -> None:
    with pytest.raises(CannotOpen, match="only the commitment"):
        received(hired(), None).email.open(Keyring([PRIVATE]))


def test_a_sealed_value_moved_under_another_commitment_is_refused() -> None:
    mine, other = hired().wire_data(Recipient(PUBLIC)), hired().wire_data(Recipient(PUBLIC))
    forged = mine | {"email": {"commitment": mine["email"]["commitment"], "sealed": other["email"]["sealed"]}}

    with pytest.raises(CannotOpen, match="does not match"):
        PersonHired.model_validate_json(orjson.dumps(forged)).email.open(Keyring([PRIVATE]))


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"salt": 3, "value": "x"}', b'{"salt": "AA=", "value": "x"}'])
def test_malformed_sealed_content_is_refused(content: bytes) -> None:
    wire = hired().wire_data(Recipient(PUBLIC))
    wire["email"]["sealed"] = encode_base64url(Recipient(PUBLIC).seal(content))

    with pytest.raises(CannotOpen):
        PersonHired.model_validate_json(orjson.dumps(wire)).email.open(Keyring([PRIVATE]))


def test_a_sealed_value_of_another_type_is_refused() -> None:
    salt = bytes(32)
    content = orjson.dumps({"salt": encode_base64url(salt), "value": 7})
    wire = hired().wire_data(Recipient(PUBLIC))
    wire["email"] = {"commitment": commitment_of(salt, 7), "sealed": encode_base64url(Recipient(PUBLIC).seal(content))}

    with pytest.raises(CannotOpen, match="declared type"):
        PersonHired.model_validate_json(orjson.dumps(wire)).email.open(Keyring([PRIVATE]))


def test_a_plain_value_of_another_type_is_refused_without_showing_it() -> None:
    person = uuid4()

    with pytest.raises(ValidationError) as refusal:
        PersonHired(person_id=person, email=Personal.of(987654321, about=person), variables=Personal.of({}, about=person))  # type: ignore[arg-type]

    assert "987654321" not in str(refusal.value)


@pytest.mark.parametrize("commitment", ["", "AA", "A" * 44, "!" * 43, "A" * 42 + "B"])
def test_a_malformed_commitment_is_refused(commitment: str) -> None:
    wire = hired().wire_data(None) | {"email": {"commitment": commitment}}

    with pytest.raises(ValidationError):
        PersonHired.model_validate_json(orjson.dumps(wire))


@pytest.mark.parametrize("key", ["", "short", base64.b64encode(bytes(31)).decode(), base64.b64encode(bytes(33)).decode()])
def test_a_key_of_the_wrong_length_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Recipient(key)
    with pytest.raises(ValueError, match="32 bytes"):
        Keyring([key])
