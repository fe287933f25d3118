"""The ledger's doors: what a client who trusts nobody fetches, and verifies with the independent verifier."""

import gzip
import json
from base64 import b64decode
from typing import Any

import pytest
from flask.testing import FlaskClient

from libs.common.events import Envelope
from libs.common.ids import new_id
from libs.common.testing import Harness
from ops.proof import VerifierKey, open_checkpoint, verify, verify_consistency
from services.ledger.domain import merkle
from services.ledger.domain.merkle import Node
from services.ledger.tests.samples import SIGNER, painted

KEY = VerifierKey.parse(SIGNER.verifier_key)
BASE = "/api/v1/proofs"


def sealed(harness: Harness, count: int) -> list[Envelope]:
    envelopes = [harness.deliver(painted(f"Décor {number}")) for number in range(count)]
    harness.run_job("seal")
    return envelopes


def get(client: FlaskClient, path: str, status: int = 200, **options: Any) -> Any:
    response = client.get(BASE + path, **options)
    assert response.status_code == status, response.text
    return response


def test_the_checkpoint_is_signed_plain_text_that_is_cached_for_moments_only(harness: Harness) -> None:
    sealed(harness, 3)

    response = get(harness.client(), "/checkpoint")

    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.headers["Cache-Control"] == "public, max-age=1"
    assert open_checkpoint(response.text, KEY).size == 3


def test_before_the_first_checkpoint_the_client_is_told_to_ask_again(harness: Harness) -> None:
    assert get(harness.client(), "/checkpoint", 503).headers["Retry-After"] == "1"


def test_the_verifier_key_is_given_out(harness: Harness) -> None:
    assert get(harness.client(), "/key").text == f"{SIGNER.verifier_key}\n"


def test_a_proof_file_verifies_with_nothing_else(harness: Harness) -> None:
    for index, envelope in enumerate(sealed(harness, 5)):
        response = get(harness.client(), f"/events/{envelope.id}")

        proved = verify(response.data, KEY)
        assert (proved.id, proved.index, proved.size) == (str(envelope.id), index, 5)
        assert response.headers["Content-Disposition"] == f'attachment; filename="{envelope.id}.tlog-proof"'


def test_until_it_is_sealed_an_event_has_no_proof_and_the_client_is_told_when_to_ask_again(harness: Harness) -> None:
    sealed(harness, 1)
    envelope = harness.deliver(painted())

    for event_id in (envelope.id, new_id()):
        response = get(harness.client(), f"/events/{event_id}", 404)
        assert response.headers["Retry-After"] == "1"
        assert "ask again" in response.get_json()["detail"]
        assert response.get_json()["type"] == "https://lumiere.film/problems/not-sealed"

    harness.run_job("seal")
    assert verify(get(harness.client(), f"/events/{envelope.id}").data, KEY).id == str(envelope.id)


def test_the_static_resources_alone_give_the_signed_root_and_every_event(harness: Harness) -> None:
    """What a monitor does: checkpoint, tiles and entries, every hash computed again."""
    envelopes = sealed(harness, 300)
    client = harness.client()
    signed = open_checkpoint(get(client, "/checkpoint").text, KEY)
    assert signed.size == 300

    entries = read_bundle(get(client, "/tile/entries/000").data) + read_bundle(get(client, "/tile/entries/001.p/44").data)
    hashes = get(client, "/tile/0/000").data + get(client, "/tile/0/001.p/44").data
    above = get(client, "/tile/1/000.p/1").data

    assert [merkle.hash_leaf(entry) for entry in entries] == [hashes[at : at + 32] for at in range(0, len(hashes), 32)]
    assert [json.loads(entry)["id"] for entry in entries] == [str(envelope.id) for envelope in envelopes]
    tree = merkle.grow(0, {}, [merkle.hash_leaf(entry) for entry in entries])
    assert tree[Node(8, 0)] == above
    assert merkle.root(300, tree) == signed.root


def read_bundle(content: bytes) -> list[bytes]:
    entries = []
    while content:
        length = int.from_bytes(content[:2], "big")
        entries.append(content[2 : 2 + length])
        content = content[2 + length :]
    return entries


def test_a_tile_is_cached_for_good_and_stays_what_it_was(harness: Harness) -> None:
    sealed(harness, 3)
    before = get(harness.client(), "/tile/0/000.p/3")
    sealed(harness, 4)

    after = get(harness.client(), "/tile/0/000.p/3")

    assert before.data == after.data
    assert after.headers["Content-Type"] == "application/octet-stream"
    assert after.headers["Cache-Control"] == "public, max-age=31536000, immutable"


def test_entries_are_compressed_for_who_takes_gzip(harness: Harness) -> None:
    sealed(harness, 3)
    plain = get(harness.client(), "/tile/entries/000.p/3")
    for accepted in ("gzip", "br, gzip;q=0.5", "*"):
        compressed = get(harness.client(), "/tile/entries/000.p/3", headers={"Accept-Encoding": accepted})
        assert compressed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(compressed.data) == plain.data
    refused = get(harness.client(), "/tile/entries/000.p/3", headers={"Accept-Encoding": "gzip;q=0, identity"})

    assert "Content-Encoding" not in plain.headers
    assert "Content-Encoding" not in refused.headers
    assert plain.headers["Vary"] == refused.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    "address", ["0/000", "0/000.p/4", "0/001.p/1", "1/000.p/1", "entries/000.p/4", "0/0", "0/000.p/0", "64/000"]
)
def test_a_tile_that_the_log_does_not_fill_or_no_address_names_is_not_found(harness: Harness, address: str) -> None:
    sealed(harness, 3)

    assert get(harness.client(), f"/tile/{address}", 404).get_json()["type"].endswith("/no-such-tile")


def test_consistency_is_proved_between_two_checkpoints(harness: Harness) -> None:
    sealed(harness, 3)
    first = get(harness.client(), "/checkpoint").data
    sealed(harness, 4)
    second = get(harness.client(), "/checkpoint").data

    answer = get(harness.client(), "/consistency?first=3&second=7")

    old, new = verify_consistency(first, second, answer.data, KEY)
    assert (old.size, new.size) == (3, 7)
    assert get(harness.client(), "/consistency?first=7&second=7").get_json() == {"first": 7, "second": 7, "hashes": []}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("first=1&second=8", 404),
        ("first=3&second=2", 422),
        ("first=0&second=2", 422),
        ("first=1", 422),
        ("first=1&second=9007199254740992", 422),
        ("first=1&second=2&third=3", 422),
    ],
)
def test_sizes_that_are_out_of_order_or_not_reached_are_refused(harness: Harness, query: str, status: int) -> None:
    sealed(harness, 7)

    get(harness.client(), f"/consistency?{query}", status)


def test_sealed_events_are_listed_newest_first_a_page_at_a_time(harness: Harness) -> None:
    envelopes = sealed(harness, 5)
    client = harness.client()
    first = get(client, "?limit=3").get_json()
    second = get(client, f"?limit=3&cursor={first['next_cursor']}").get_json()
    items = first["items"] + second["items"]

    assert [item["event_id"] for item in items] == [str(envelope.id) for envelope in reversed(envelopes)]
    assert [item["index"] for item in items] == [4, 3, 2, 1, 0]
    assert second["next_cursor"] is None
    proof = client.get(items[0]["proof"])
    assert merkle.hash_leaf(b64decode(proof.text.split("\n")[1].removeprefix("extra "))) == b64decode(items[0]["leaf_hash"])


def test_sealed_events_are_found_by_type_and_by_what_they_are_about(harness: Harness) -> None:
    wanted, *_ = sealed(harness, 3)
    harness.deliver(painted("again", backdrop_id=new_id()))
    client = harness.client()

    by_entity = get(client, f"?entity_id={wanted.subject}").get_json()["items"]
    by_both = get(client, f"?entity_id={wanted.subject}&type={wanted.type}").get_json()["items"]
    by_type = get(client, f"?type={wanted.type}").get_json()["items"]

    assert [item["event_id"] for item in by_entity] == [str(wanted.id)]
    assert by_both == by_entity
    assert len(by_type) == 3, "what is not sealed yet is not listed"
    assert get(client, "?type=sampletasks.backdrop.burnt").get_json() == {"items": [], "next_cursor": None}
