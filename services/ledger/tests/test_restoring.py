"""After a restore the log signs nothing until an operator has spoken, and never a second tree of a size it has signed."""

from dataclasses import replace

import pytest
from sqlalchemy import func, select

from libs.common.testing import Harness
from ops.proof import VerifierKey, open_checkpoint
from services.ledger import queries, use_cases
from services.ledger.domain.leaves import RESUMED
from services.ledger.domain.merkle import EMPTY_ROOT
from services.ledger.domain.notes import NoteSigner
from services.ledger.domain.restoring import STATEMENT_MAX, STATEMENT_MIN, TreeHead, contradicts
from services.ledger.models import checkpoint, pending_leaf
from services.ledger.tests.samples import ORIGIN, SIGNER, painted
from services.ledger.tests.soundness import assert_tree_is_sound

SUCCESSOR = NoteSigner("log.test/2", bytes(reversed(range(32))))
STATEMENT = "The disk of the database broke; the backup of noon was restored."


def sealed(harness: Harness, leaves: int) -> TreeHead:
    """The log with so many leaves, and its head."""
    for _ in range(leaves):
        harness.deliver(painted())
    harness.run_job("seal")
    with harness.database.reader() as db:
        head = use_cases.own_head(db)
    assert head is not None
    return head


def restored(harness: Harness, published: TreeHead | None) -> None:
    with harness.transaction() as tx:
        use_cases.record_restoration(tx, "backup of noon", ORIGIN, published)


def seal(harness: Harness, signer: NoteSigner) -> int:
    with harness.transaction() as tx:
        return use_cases.seal(tx, signer)


def resume(harness: Harness, signer: NoteSigner, statement: str = STATEMENT) -> int:
    with harness.transaction() as tx:
        return use_cases.resume(tx, signer, statement)


def test_a_restored_log_keeps_what_arrives_and_signs_nothing(harness: Harness) -> None:
    before = sealed(harness, 3)
    restored(harness, None)

    harness.deliver(painted())

    assert seal(harness, SIGNER) == seal(harness, SUCCESSOR) == 0
    with harness.database.reader() as db:
        assert use_cases.own_head(db) == before
        assert db.scalar(select(func.count()).select_from(pending_leaf)) == 1
        assert not queries.may_sign(db, SIGNER.name)


def test_a_log_that_signed_more_than_it_holds_never_goes_on_under_its_name(harness: Harness) -> None:
    own = sealed(harness, 3)
    restored(harness, replace(own, size=5, root_hash=b"5" * 32))
    harness.deliver(painted())

    with pytest.raises(use_cases.SecondHistory, match="has signed 5 leaves and this database holds 3"):
        resume(harness, SIGNER)

    assert seal(harness, SIGNER) == 0
    assert resume(harness, SUCCESSOR) == 1
    assert seal(harness, SIGNER) == 0, "the old name signs nothing any more"
    assert seal(harness, SUCCESSOR) == 1
    with harness.database.reader() as db:
        note = use_cases.current_checkpoint(db)[1]
        proof = use_cases.prove_consistency(db, 3, 4)
    assert open_checkpoint(note, VerifierKey.parse(SUCCESSOR.verifier_key)).size == 4
    assert proof, "the new log begins with the tree of the old one"
    assert_tree_is_sound(harness)


def test_the_loss_is_told_as_a_leaf_of_the_log(harness: Harness) -> None:
    own = sealed(harness, 3)
    restored(harness, replace(own, size=5, root_hash=b"5" * 32))
    resume(harness, SUCCESSOR)

    (envelope,) = harness.published(RESUMED)
    told = envelope.data
    assert (told["previous_origin"], told["origin"], told["size"]) == (ORIGIN, SUCCESSOR.name, 3)
    assert (told["published_size"], told["lost_from"], told["lost_to"], told["statement"]) == (5, 3, 4, STATEMENT)
    harness.deliver(envelope)
    assert seal(harness, SUCCESSOR) == 1


@pytest.mark.parametrize("known", [None, "the same"])
def test_a_log_that_lost_nothing_goes_on_under_its_name(harness: Harness, known: str | None) -> None:
    own = sealed(harness, 2)
    restored(harness, own if known else None)
    harness.deliver(painted())

    assert resume(harness, SIGNER) == 1

    (told,) = (each.data for each in harness.published(RESUMED))
    assert (told["lost_from"], told["published_size"]) == (None, 2 if known else None)
    assert seal(harness, SIGNER) == 1
    assert_tree_is_sound(harness)


def test_a_smaller_published_head_with_another_root_is_another_history(harness: Harness) -> None:
    own = sealed(harness, 4)
    restored(harness, replace(own, size=2, root_hash=b"2" * 32))

    with pytest.raises(use_cases.SecondHistory):
        resume(harness, SIGNER)


def test_a_second_restoration_waits_for_a_second_word(harness: Harness) -> None:
    own = sealed(harness, 1)
    restored(harness, own)
    resume(harness, SIGNER)
    restored(harness, replace(own, size=9, root_hash=b"9" * 32))
    harness.deliver(painted())

    assert seal(harness, SIGNER) == 0
    with pytest.raises(use_cases.SecondHistory):
        resume(harness, SIGNER)
    assert resume(harness, SUCCESSOR) == 1
    assert seal(harness, SUCCESSOR) == 1


def test_nobody_needs_to_speak_where_nothing_was_restored(harness: Harness) -> None:
    sealed(harness, 1)

    with pytest.raises(use_cases.NotWithheld):
        resume(harness, SIGNER)


@pytest.mark.parametrize(
    ("length", "taken"), [(STATEMENT_MIN - 1, False), (STATEMENT_MIN, True), (STATEMENT_MAX, True), (STATEMENT_MAX + 1, False)]
)
def test_a_statement_says_something_and_fits_a_leaf(harness: Harness, length: int, taken: bool) -> None:
    restored(harness, None)
    if taken:
        assert resume(harness, SIGNER, "s" * length) == 1
    else:
        with pytest.raises(use_cases.NoStatement):
            resume(harness, SIGNER, "s" * length)


def test_a_log_that_had_signed_nothing_is_restored_too(harness: Harness) -> None:
    restored(harness, TreeHead(ORIGIN, 0, EMPTY_ROOT))

    assert resume(harness, SIGNER) == 1
    assert seal(harness, SIGNER) == 0
    with harness.database.reader() as db:
        assert db.scalar(select(func.count()).select_from(checkpoint)) == 1


@pytest.mark.parametrize(
    ("size", "root", "contradicted"), [(4, None, True), (5, b"a", False), (5, b"b", True), (6, b"a", False), (6, b"b", True)]
)
def test_a_head_is_contradicted_by_a_shorter_tree_and_by_another_one(size: int, root: bytes | None, contradicted: bool) -> None:
    assert contradicts(TreeHead(ORIGIN, 5, b"a"), size, root) is contradicted
