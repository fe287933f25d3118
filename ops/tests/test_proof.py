"""The offline verifier: takes every proof that the log makes, and nothing else."""

import json
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ops import proof as verifier
from ops.proof import Checkpoint, Refused, UnusableKey, VerifierKey
from ops.tests.small_log import KEY, ORIGIN, OTHER_SIGNER, PROOF, SIGNER, SIZE, Log, event, log
from services.ledger.domain import merkle, notes, proofs
from services.ledger.domain.leaves import leaf_of
from services.ledger.domain.merkle import Node
from services.ledger.domain.notes import NoteSigner


def vectors() -> list[list[str]]:
    lines = (Path(__file__).parent / "vectors" / "merkle_proofs.txt").read_text(encoding="utf-8").splitlines()
    return [line.split(" ", 7) for line in lines if not line.startswith("#")]


def test_the_public_vectors_are_all_there() -> None:
    kinds = [line[0] for line in vectors()]

    assert (kinds.count("inclusion"), kinds.count("consistency")) == (98, 98)


@pytest.mark.parametrize("vector", vectors(), ids=lambda vector: f"{vector[0]} {vector[2]}/{vector[3]}: {vector[7]}")
def test_a_public_vector_gets_its_published_verdict(vector: list[str]) -> None:
    kind, verdict, *numbers_and_bytes = vector[:7]
    first, second = map(int, numbers_and_bytes[:2])
    one, two = (bytes.fromhex(text.replace("-", "")) for text in numbers_and_bytes[2:4])
    path = [bytes.fromhex(text.replace("-", "")) for text in numbers_and_bytes[4].split(",") if text != "none"]
    if kind == "inclusion":
        holds = verifier.inclusion_holds(first, second, one, path, two)
    else:
        holds = verifier.consistency_holds(Checkpoint("", first, one), Checkpoint("", second, two), path)

    assert holds is (verdict == "accept")


def test_the_example_note_of_the_specification_is_believed_and_no_other_text() -> None:
    key = VerifierKey.parse("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")  # pragma: allowlist secret
    line = "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"

    with pytest.raises(Refused, match="three lines"):  # the signature holds, but the text is no checkpoint
        verifier.open_checkpoint(f"This is an example message.\n\n{line}", key)
    with pytest.raises(Refused, match="signature does not hold"):
        verifier.open_checkpoint(f"This is another message.\n\n{line}", key)


def test_the_example_checkpoint_of_the_specification_is_taken_apart() -> None:
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    signer = NoteSigner("example.com/behind-the-sofa", bytes(32))

    checkpoint = verifier.open_checkpoint(signer.sign(text), VerifierKey.parse(signer.verifier_key))

    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20_852_163)
    assert checkpoint.root == b64decode("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=")


def test_every_proof_of_every_leaf_is_accepted() -> None:
    for size in (*range(1, 40), 63, 64, 65, 128, 255, 256, 257, SIZE):
        for index in range(size):
            proved = verifier.verify(log().proof(index, size), KEY)

            assert (proved.id, proved.index, proved.size) == (event(index)["id"], index, size)


def test_every_earlier_checkpoint_is_continued_by_every_later_one() -> None:
    for second in range(1, 66):
        for first in range(1, second + 1):
            answer = {
                "first": first,
                "second": second,
                "hashes": [b64encode(each).decode() for each in log().consistency(first, second)],
            }
            checkpoints = (log().checkpoint(first).encode(), log().checkpoint(second).encode())

            old, new = verifier.verify_consistency(*checkpoints, json.dumps(answer).encode(), KEY)

            assert (old.size, new.size) == (first, second)


def test_a_rewritten_log_is_found_out() -> None:
    """One leaf of the past is exchanged, everything after it is made anew and properly signed."""
    forged = [*log(60).leaves]
    forged[3] = leaf_of(event(999))
    other = Log(forged, merkle.grow(0, {}, [merkle.hash_leaf(leaf) for leaf in forged]))
    for second in range(5, 61):
        hashes = [b64encode(each).decode() for each in other.consistency(5, second)]
        answer = json.dumps({"first": 5, "second": second, "hashes": hashes}).encode()
        with pytest.raises(Refused):
            verifier.verify_consistency(log().checkpoint(5).encode(), other.checkpoint(second).encode(), answer, KEY)


def test_no_byte_of_a_proof_can_be_changed() -> None:
    for position in range(len(PROOF)):
        for change in (0x01, 0x80, 0x20):
            mutated = bytearray(PROOF)
            mutated[position] ^= change
            with pytest.raises(Refused):
                verifier.verify(bytes(mutated), KEY)


def test_no_byte_of_a_proof_can_be_left_out_or_doubled() -> None:
    for position in range(len(PROOF)):
        for mutated in (PROOF[:position] + PROOF[position + 1 :], PROOF[: position + 1] + PROOF[position:]):
            if mutated != PROOF:
                with pytest.raises(Refused):
                    verifier.verify(mutated, KEY)


def test_no_beginning_of_a_proof_is_a_proof() -> None:
    for end in range(len(PROOF)):
        with pytest.raises(Refused):
            verifier.verify(PROOF[:end], KEY)


@given(st.data())
@settings(max_examples=400)
def test_no_splice_of_bytes_is_accepted(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(PROOF)))
    end = data.draw(st.integers(start, min(len(PROOF), start + 40)))
    mutated = PROOF[:start] + data.draw(st.binary(max_size=40)) + PROOF[end:]
    assume(mutated != PROOF)

    with pytest.raises(Refused):
        verifier.verify(mutated, KEY)


@given(st.data())
@settings(max_examples=300)
def test_no_rearrangement_of_lines_is_accepted(data: st.DataObject) -> None:
    lines = PROOF.decode().split("\n")
    first, second = data.draw(st.tuples(st.integers(0, len(lines) - 1), st.integers(0, len(lines) - 1)))
    match data.draw(st.sampled_from(["swap", "drop", "repeat", "move"])):
        case "swap":
            lines[first], lines[second] = lines[second], lines[first]
        case "drop":
            del lines[first]
        case "repeat":
            lines.insert(second, lines[first])
        case _:
            lines.insert(second, lines.pop(first))
    mutated = "\n".join(lines).encode()
    # A second signature line that holds just as well is no lie.
    assume(mutated != PROOF and mutated != PROOF + (PROOF.rsplit(b"\n\n", 1)[1]))

    with pytest.raises(Refused):
        verifier.verify(mutated, KEY)


@given(leaf=st.integers(0, 20), index=st.integers(0, 40), path_of=st.integers(0, 20), size=st.integers(1, 21))
def test_parts_of_several_valid_proofs_make_no_other_proof(leaf: int, index: int, path_of: int, size: int) -> None:
    """Every field is genuine in some proof of this log; only the combination is not."""
    assume(path_of < size and not leaf == index == path_of)
    hashes = merkle.evaluate(merkle.inclusion_plan(path_of, size), log().nodes)
    mixed = proofs.proof_file(log().leaves[leaf], index, hashes, log().checkpoint(size)).encode()

    with pytest.raises(Refused):
        verifier.verify(mixed, KEY)


@given(index=st.integers(0, 20), size=st.integers(21, 60), signed_size=st.integers(0, 80))
def test_a_path_does_not_fit_a_checkpoint_of_another_size(index: int, size: int, signed_size: int) -> None:
    assume(size != signed_size)
    hashes = merkle.evaluate(merkle.inclusion_plan(index, size), log().nodes)
    mixed = proofs.proof_file(log().leaves[index], index, hashes, log().checkpoint(signed_size)).encode()

    with pytest.raises(Refused):
        verifier.verify(mixed, KEY)


def test_an_inner_node_does_not_pass_for_a_leaf() -> None:
    """The prefixes keep leaves and nodes apart: a node's two hashes are no leaf (RFC 6962 section 2.1)."""
    left, right = log().nodes[Node(0, 0)], log().nodes[Node(0, 1)]
    hashes = merkle.evaluate(merkle.inclusion_plan(0, 4), log().nodes)[1:]

    with pytest.raises(Refused, match="does not lead"):
        verifier.verify(proofs.proof_file(left + right, 0, hashes, log().checkpoint(4)).encode(), KEY)


def test_another_key_of_the_same_name_is_not_believed() -> None:
    with pytest.raises(Refused, match="not signed by this key"):
        verifier.verify(log().proof(7, 21, OTHER_SIGNER), KEY)


def test_signatures_of_strangers_are_passed_over_but_never_suffice() -> None:
    checkpoint = log().checkpoint(21)
    text, own = checkpoint.rsplit("\n\n", 1)
    stranger = NoteSigner("witness.example", bytes(32)).sign(f"{text}\n").rsplit("\n\n", 1)[1]

    assert verifier.open_checkpoint(f"{text}\n\n{stranger}{own}", KEY).size == 21
    with pytest.raises(Refused, match="not signed by this key"):
        verifier.open_checkpoint(f"{text}\n\n{stranger}", KEY)


def test_a_wrong_signature_by_the_known_key_spoils_a_right_one() -> None:
    text, own = log().checkpoint(21).rsplit("\n\n", 1)
    wrong = log().checkpoint(22).rsplit("\n\n", 1)[1]

    with pytest.raises(Refused, match="does not hold"):
        verifier.open_checkpoint(f"{text}\n\n{own}{wrong}", KEY)


def test_a_checkpoint_has_up_to_the_limit_of_signatures() -> None:
    text, own = log().checkpoint(21).rsplit("\n\n", 1)
    stranger = NoteSigner("witness.example", bytes(32)).sign(f"{text}\n").rsplit("\n\n", 1)[1]
    room = verifier.SIGNATURES_MAX - 1

    assert verifier.open_checkpoint(f"{text}\n\n{own}{stranger * room}", KEY).size == 21
    with pytest.raises(Refused, match="too many"):
        verifier.open_checkpoint(f"{text}\n\n{own}{stranger * (room + 1)}", KEY)


def test_a_checkpoint_of_another_log_signed_by_the_key_is_refused() -> None:
    note = SIGNER.sign(notes.checkpoint_text("other.example", 21, merkle.root(21, log().nodes)))

    with pytest.raises(Refused, match="another log"):
        verifier.open_checkpoint(note, KEY)


@pytest.mark.parametrize(
    "leaf",
    [
        *(b"", b"null", b"[]", b"not json", b"\xff", b"{}", b"[" * 60_000),
        json.dumps({name: value for name, value in event(1).items() if name != "type"}).encode(),
        json.dumps(event(1) | {"time": 5}).encode(),
        json.dumps(event(1) | {"specversion": "2.0"}).encode(),
        json.dumps(event(1) | {"datasha256": "00"}).encode(),
        json.dumps({name: value for name, value in event(1).items() if name != "data"}).encode(),
        json.dumps(event(1)).replace('"data"', '"type": "tasks.task.created", "data"').encode(),
    ],
)
def test_a_leaf_that_is_no_event_or_reads_two_ways_is_refused_though_it_is_in_the_log(leaf: bytes) -> None:
    leaf_hash = merkle.hash_leaf(leaf)
    note = SIGNER.sign(notes.checkpoint_text(ORIGIN, 1, leaf_hash))

    with pytest.raises(Refused):
        verifier.verify(proofs.proof_file(leaf, 0, [], note).encode(), KEY)


def test_the_digest_form_is_proved_and_said_to_be_one() -> None:
    leaf = leaf_of({**event(1), "data": {"text": "a" * 70_000}})
    note = SIGNER.sign(notes.checkpoint_text(ORIGIN, 1, merkle.hash_leaf(leaf)))

    assert verifier.verify(proofs.proof_file(leaf, 0, [], note).encode(), KEY).data == "digest only"


def test_no_part_of_a_verifier_key_is_a_verifier_key() -> None:
    text = SIGNER.verifier_key
    for start in range(len(text)):
        for end in range(start, len(text) + (start > 0)):
            with pytest.raises(UnusableKey):
                VerifierKey.parse(text[start:end])


def test_a_verifier_key_with_one_character_changed_is_refused() -> None:
    text = SIGNER.verifier_key
    for position, character in enumerate(text):
        with pytest.raises(UnusableKey):
            VerifierKey.parse(text[:position] + chr(ord(character) ^ 1) + text[position + 1 :])
