"""`lumiere proof`: exit status, output and the choice of the key."""

import json
from base64 import b64encode
from pathlib import Path

import pytest
from click.testing import CliRunner

from ops import proof as verifier
from ops.tests.small_log import ORIGIN, PROOF, SIGNER, event, log
from services.ledger.domain import merkle, notes, proofs
from services.ledger.domain.leaves import leaf_of


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LUMIERE_LOG_KEY", raising=False)
    (tmp_path / "event.tlog-proof").write_bytes(PROOF)
    return tmp_path


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(verifier.command, list(arguments), env={"COLUMNS": "200"})
    return result.exit_code, result.output


def test_the_command_says_what_was_proved_and_whose_key_it_trusted(folder: Path) -> None:
    status, output = run("verify", "event.tlog-proof", "--key", SIGNER.verifier_key)

    assert status == 0
    for expected in ("Proved", "tasks.task.validated", str(event(7)["id"]), "2026-01-02T03:04:05Z", ORIGIN, "given"):
        assert expected in output


def test_the_command_answers_in_json(folder: Path) -> None:
    (folder / "key").write_text(SIGNER.verifier_key + "\n", encoding="utf-8")

    status, output = run("verify", "event.tlog-proof", "--key", "key", "--json")

    assert status == 0
    assert json.loads(output) == {
        "verified": True,
        "type": "tasks.task.validated",
        "id": event(7)["id"],
        "time": "2026-01-02T03:04:05Z",
        "source": "/services/tasks",
        "subject": "task-7",
        "data": "whole",
        "index": 7,
        "size": 21,
        "origin": ORIGIN,
        "root": b64encode(merkle.root(21, log().nodes)).decode(),
        "key": f"{ORIGIN}+{SIGNER.key_id.hex()}",
        "key_from": "key",
    }


def test_without_a_key_the_one_that_the_platform_wrote_is_taken_and_named(folder: Path) -> None:
    (folder / verifier.KEY_FILE).parent.mkdir()
    (folder / verifier.KEY_FILE).write_text(SIGNER.verifier_key + "\n", encoding="utf-8")

    status, output = run("verify", "event.tlog-proof")

    assert status == 0
    assert str(verifier.KEY_FILE) in output


def test_a_changed_proof_ends_with_status_one_and_the_reason(folder: Path) -> None:
    (folder / "event.tlog-proof").write_bytes(PROOF.replace(b"index 7", b"index 8"))

    assert run("verify", "event.tlog-proof", "--key", SIGNER.verifier_key)[0] == 1
    status, output = run("verify", "event.tlog-proof", "--key", SIGNER.verifier_key, "--json")
    assert (status, json.loads(output)["verified"]) == (1, False)
    assert "does not lead" in json.loads(output)["reason"]


def test_a_proof_of_another_event_than_the_expected_one_is_refused(folder: Path) -> None:
    expected = ("verify", "event.tlog-proof", "--key", SIGNER.verifier_key, "--event")

    assert run(*expected, str(event(7)["id"]))[0] == 0
    assert run(*expected, str(event(8)["id"]))[0] == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "event.tlog-proof"),
        ("verify", "absent.tlog-proof", "--key", SIGNER.verifier_key),
        ("verify", "event.tlog-proof", "--key", SIGNER.verifier_key[:-1]),
        ("verify", "event.tlog-proof", "--key", "absent"),
        ("verify", "event.tlog-proof", "--key", "event.tlog-proof"),
    ],
)
def test_what_allows_no_verdict_ends_with_status_two(folder: Path, arguments: tuple[str, ...]) -> None:
    assert run(*arguments)[0] == 2


def test_a_file_longer_than_any_proof_is_not_read_to_its_end(folder: Path) -> None:
    (folder / "event.tlog-proof").write_bytes(PROOF + b"a" * verifier.FILE_BYTES_MAX)

    status, output = run("verify", "event.tlog-proof", "--key", SIGNER.verifier_key)

    assert status == 1
    assert str(verifier.FILE_BYTES_MAX) in output


def test_what_a_leaf_says_cannot_steer_the_terminal(folder: Path) -> None:
    leaf = leaf_of({**event(1), "subject": "\x1b[2J[bold]\u202egone"})
    note = SIGNER.sign(notes.checkpoint_text(ORIGIN, 1, merkle.hash_leaf(leaf)))
    (folder / "event.tlog-proof").write_text(proofs.proof_file(leaf, 0, [], note), encoding="utf-8")

    status, output = run("verify", "event.tlog-proof", "--key", SIGNER.verifier_key)

    assert status == 0
    assert "\x1b" not in output
    assert "\u202e" not in output
    assert "[bold]" in output


def test_the_command_verifies_that_a_checkpoint_continues_another(folder: Path) -> None:
    (folder / "first").write_text(log().checkpoint(5), encoding="utf-8")
    (folder / "second").write_text(log().checkpoint(9), encoding="utf-8")
    hashes = [b64encode(each).decode() for each in log().consistency(5, 9)]
    (folder / "answer").write_text(json.dumps({"first": 5, "second": 9, "hashes": hashes}), encoding="utf-8")
    (folder / "wrong").write_text(json.dumps({"first": 5, "second": 9, "hashes": hashes[::-1]}), encoding="utf-8")
    (folder / "other").write_text(json.dumps({"first": 4, "second": 9, "hashes": hashes}), encoding="utf-8")
    (folder / "empty").write_text(json.dumps({"first": 5, "second": 9}), encoding="utf-8")

    assert run("consistency", "first", "second", "answer", "--key", SIGNER.verifier_key)[0] == 0
    for wrong in ("wrong", "other", "empty", "first"):
        assert run("consistency", "first", "second", wrong, "--key", SIGNER.verifier_key)[0] == 1
