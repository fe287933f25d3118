"""The log on a real database: every event once, one order without gaps, and nothing that can be changed."""

import json
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from libs.common.db.database import single_connection_engine
from libs.common.errors import Permanent
from libs.common.events import Envelope, Personal
from libs.common.ids import new_id
from libs.common.testing import Harness
from ops.proof import VerifierKey, verify, verify_consistency
from services.ledger import use_cases
from services.ledger.domain import merkle
from services.ledger.events import AuditRecorded
from services.ledger.models import checkpoint, leaf, sequenced
from services.ledger.tests.samples import SIGNER, Invited, painted
from services.ledger.tests.soundness import assert_tree_is_sound, indexes

KEY = VerifierKey.parse(SIGNER.verifier_key)


def rows(harness: Harness, table: Any) -> int:
    with harness.database.reader() as db:
        return int(db.scalar(select(func.count()).select_from(table)))


def prove(harness: Harness, envelope: Envelope) -> str:
    with harness.database.reader() as db:
        return use_cases.prove_event(db, envelope.id)


def test_an_event_delivered_twice_makes_one_leaf(harness: Harness) -> None:
    envelope = harness.deliver(painted(), times=2)

    assert harness.run_job("seal") == 1
    harness.deliver(envelope)
    assert harness.run_job("seal") == 0
    assert (rows(harness, leaf), indexes(harness)) == (1, [0])


def test_an_event_that_comes_again_past_the_inbox_makes_no_second_leaf(harness: Harness) -> None:
    """Inbox rows are pruned one day; the leaf's own key still holds."""
    envelope = harness.envelope(painted())
    for expected in (1, 0):
        with harness.transaction() as tx:
            assert use_cases.record_events(tx, [envelope]) == expected

    assert harness.run_job("seal") == 1


def test_another_content_under_a_known_event_id_is_refused_for_good(harness: Harness) -> None:
    envelope = harness.deliver(painted("La lune"))
    impostor = envelope.model_copy(update={"data": {**envelope.data, "title": "Le soleil"}})

    with pytest.raises(Permanent, match="another content"), harness.transaction() as tx:
        use_cases.record_events(tx, [impostor])

    assert rows(harness, leaf) == 1


def test_two_contents_under_one_event_id_in_one_batch_are_refused_for_good(harness: Harness) -> None:
    envelope = harness.envelope(painted("La lune"))
    impostor = envelope.model_copy(update={"data": {**envelope.data, "title": "Le soleil"}})

    with pytest.raises(Permanent, match="another content"), harness.transaction() as tx:
        use_cases.record_events(tx, [envelope, impostor])

    assert rows(harness, leaf) == 0


def test_a_batch_adds_its_new_events_and_no_known_one(harness: Harness) -> None:
    known, *news = [harness.envelope(painted(f"Décor {number}")) for number in range(4)]
    harness.deliver(known)

    with harness.transaction() as tx:
        assert use_cases.record_events(tx, [news[0], known, *news]) == 3

    assert harness.run_job("seal") == 4
    assert indexes(harness) == [0, 1, 2, 3]


def test_an_event_that_no_leaf_can_hold_is_refused_for_good(harness: Harness) -> None:
    envelope = harness.envelope(painted())

    with pytest.raises(Permanent, match="no canonical JSON form"), harness.transaction() as tx:
        use_cases.record_events(tx, [envelope.model_copy(update={"data": {"count": 2**60}})])

    assert rows(harness, leaf) == 0


def test_the_ledgers_own_events_make_no_leaf(harness: Harness) -> None:
    harness.deliver(
        AuditRecorded(
            audit_id=new_id(),
            actor_id=None,
            roles="",
            action="a",
            entity="b",
            entity_id="c",
            outcome="done",
            details_sha256="0" * 64,
            occurred_at=harness.envelope(painted()).time,
        )
    )

    assert rows(harness, leaf) == 0


def test_a_leaf_is_the_canonical_archive_form_and_holds_no_personal_value(harness: Harness) -> None:
    invited = Invited(guest_id=new_id(), email=Personal.of("ada@example.org", about=new_id()))
    envelope = harness.deliver(invited)

    with harness.database.reader() as db:
        content = bytes(db.one(select(leaf.c.leaf)).leaf)

    assert "sealed" in envelope.data["email"]
    assert json.loads(content)["data"]["email"] == {"commitment": envelope.data["email"]["commitment"]}
    assert b"ada@example.org" not in content
    assert b"sealed" not in content
    archived = envelope.model_copy(update={"data": invited.wire_data(None)})
    expected = {name: value for name, value in json.loads(archived.encode()).items() if name != "traceparent"}
    assert json.loads(content) == expected


def test_every_event_can_be_proved_once_it_is_sealed(harness: Harness) -> None:
    envelopes = [harness.deliver(painted(f"Décor {number}")) for number in range(9)]
    harness.run_job("seal")
    envelopes += [harness.deliver(painted(f"Costume {number}")) for number in range(4)]
    harness.run_job("seal")

    for index, envelope in enumerate(envelopes):
        proved = verify(prove(harness, envelope).encode(), KEY)
        assert (proved.id, proved.type, proved.subject) == (str(envelope.id), envelope.type, envelope.subject)
        assert (proved.index, proved.size, proved.origin) == (index, 13, SIGNER.name)


def test_an_event_is_not_proved_before_it_is_sealed(harness: Harness) -> None:
    envelope = harness.deliver(painted())

    with pytest.raises(use_cases.NotSealed) as refused:
        prove(harness, envelope)

    assert refused.value.headers() == {"Retry-After": "1"}
    harness.run_job("seal")
    assert verify(prove(harness, envelope).encode(), KEY).id == str(envelope.id)


def test_every_checkpoint_continues_every_earlier_one(harness: Harness) -> None:
    harness.run_job("seal")
    for group in (1, 2, 1, 5, 8, 3):
        for _ in range(group):
            harness.deliver(painted())
        harness.run_job("seal")
    with harness.database.reader() as db:
        signed = db.all(select(checkpoint.c.size, checkpoint.c.note).order_by(checkpoint.c.size))
        assert [row.size for row in signed] == [0, 1, 3, 4, 9, 17, 20]
        for position, later in enumerate(signed[1:], start=1):
            for earlier in signed[1 : position + 1]:
                hashes = use_cases.prove_consistency(db, earlier.size, later.size)
                answer = json.dumps({"first": earlier.size, "second": later.size, "hashes": hashes}).encode()
                verify_consistency(earlier.note.encode(), later.note.encode(), answer, KEY)


def test_the_first_checkpoint_of_an_empty_log_is_signed_once(harness: Harness) -> None:
    assert harness.run_job("seal") == 0
    assert harness.run_job("seal") == 0

    with harness.database.reader() as db:
        (signed,) = db.all(select(checkpoint.c.size, checkpoint.c.root_hash))
    assert (signed.size, bytes(signed.root_hash)) == (0, merkle.EMPTY_ROOT)


def test_a_backlog_is_sealed_in_groups(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(use_cases, "GROUP_MAX", 4)
    for _ in range(9):
        harness.deliver(painted())

    assert [harness.run_job("seal") for _ in range(4)] == [4, 4, 1, 0]
    assert indexes(harness) == list(range(9))


COLUMNS = {"leaf": "event_id", "sequenced": "event_id", "node": "hash", "checkpoint": "note"}
CHANGES = ("UPDATE ledger.{0} SET {1} = {1}", "DELETE FROM ledger.{0}", "TRUNCATE ledger.{0} CASCADE")
INSUFFICIENT_PRIVILEGE, RESTRICT_VIOLATION = "42501", "23001"


@pytest.mark.parametrize(("who", "refusal"), [("service", INSUFFICIENT_PRIVILEGE), ("owner", RESTRICT_VIOLATION)])
def test_the_database_refuses_to_change_what_is_proved(harness: Harness, who: str, refusal: str) -> None:
    harness.deliver(painted())
    harness.run_job("seal")
    url = harness.owner_url if who == "owner" else harness.settings.database_url.get_secret_value()
    engine = single_connection_engine(url)
    with engine.connect() as connection:
        for change in CHANGES:
            for table, column in COLUMNS.items():
                with pytest.raises(DBAPIError) as refused:
                    connection.execute(text(change.format(table, column)))
                assert getattr(refused.value.orig, "pgcode", None) == refusal
    engine.dispose()

    assert_tree_is_sound(harness)
    assert indexes(harness) == [0]


def test_the_database_refuses_an_index_that_does_not_follow_the_last(harness: Harness) -> None:
    harness.deliver(painted())
    harness.run_job("seal")
    row = {"event_id": harness.deliver(painted()).id, "type": "a", "entity_id": "b"}

    for index, previous in [(2, 1), (5, 4), (1, None), (0, None), (2, 0), (-1, None), (-1, -2), (0, -1)]:
        with pytest.raises(IntegrityError), harness.transaction() as tx:
            tx.execute(sequenced.insert(), {**row, "leaf_index": index, "previous_index": previous})

    assert harness.run_job("seal") == 1


def test_the_database_refuses_a_hash_that_is_not_of_the_leaf(harness: Harness) -> None:
    envelope = harness.envelope(painted())
    row = {
        "event_id": envelope.id,
        "type": envelope.type,
        "entity_id": envelope.subject,
        "occurred_at": envelope.time,
        "recorded_at": envelope.time,
        "leaf": b"{}",
    }
    with harness.transaction() as tx:
        tx.execute(leaf.insert(), {**row, "leaf_hash": merkle.hash_leaf(b"{}")})
    with pytest.raises(IntegrityError), harness.transaction() as tx:
        tx.execute(leaf.insert(), {**row, "event_id": new_id(), "leaf_hash": merkle.hash_leaf(b"{ }")})
