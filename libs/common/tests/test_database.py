"""The one transaction boundary, and what the roles may not do."""

import threading
from select import select as select_readable

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from libs.common.db import kernel_tables
from libs.common.db.database import single_connection_engine
from libs.common.ids import new_id
from libs.common.tests.conftest import PASSWORD, PREFIX, Sample, metadata, note, stone


def a_note() -> dict[str, object]:
    return {"id": new_id(), "body": "hello", "version": 1}


def test_returning_commits_and_raising_rolls_back(sample: Sample) -> None:
    with sample.database.transaction() as tx:
        tx.execute(insert(note), a_note())
    with pytest.raises(LookupError), sample.database.transaction() as tx:
        tx.execute(insert(note), a_note())
        raise LookupError

    assert sample.count(note) == 1


def test_what_is_promised_for_after_the_commit_happens_only_after_a_commit(sample: Sample) -> None:
    happened: list[str] = []
    with sample.database.transaction() as tx:
        tx.after_commit(lambda: happened.append("committed"))
        assert happened == []
    with pytest.raises(LookupError), sample.database.transaction() as tx:
        tx.after_commit(lambda: happened.append("rolled back"))
        raise LookupError

    assert happened == ["committed"]


def test_a_notification_arrives_after_the_commit_on_the_schema_s_own_channel(sample: Sample) -> None:
    engine = single_connection_engine(sample.database.url)
    with engine.connect() as connection:
        connection.execute(text(f"LISTEN {sample.database.channel('bell')}"))
        with sample.database.transaction() as tx:
            tx.notify("bell", "once")
            tx.notify("bell", "once")
        raw = connection.connection.driver_connection
        assert raw is not None
        assert select_readable([raw], [], [], 5)[0]
        raw.poll()
        assert [each.payload for each in raw.notifies] == ["once"]
    engine.dispose()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE sample.stone SET body = 'x'",
        "DELETE FROM sample.stone",
        "TRUNCATE sample.stone",
        "TRUNCATE sample.note",
        "UPDATE sample.audit_record SET outcome = 'x'",
        "DELETE FROM sample.audit_record",
        "UPDATE sample.event_archive SET type = 'x'",
        "DELETE FROM sample.event_archive",
        "CREATE TABLE sample.other (id int)",
        "ALTER TABLE sample.note ADD COLUMN x int",
        "DROP TABLE sample.note",
        "CREATE TABLE public.other (id int)",
        "CREATE SCHEMA other",
        "CREATE FUNCTION sample.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ],
)
def test_the_runtime_role_cannot(sample: Sample, statement: str) -> None:
    with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"), sample.database.transaction() as tx:
        tx.execute(text(statement))


def test_append_only_rows_can_be_added_and_read(sample: Sample) -> None:
    with sample.database.transaction() as tx:
        tx.execute(insert(stone), {"id": new_id(), "body": "carved"})

    assert sample.count(stone) == 1


def test_a_runtime_role_does_not_see_another_schema(sample: Sample) -> None:
    engine = single_connection_engine(sample.superuser_url)
    with engine.connect() as connection:
        connection.execute(text("CREATE SCHEMA IF NOT EXISTS secretive"))
        connection.execute(text("CREATE TABLE IF NOT EXISTS secretive.plan (id int)"))
    engine.dispose()

    with pytest.raises(DBAPIError, match="permission denied"), sample.database.reader() as db:
        db.execute(text("SELECT * FROM secretive.plan"))


def test_the_runtime_role_is_nobody_s_superior(sample: Sample) -> None:
    question = text(
        "SELECT rolsuper, rolcreatedb, rolcreaterole, rolbypassrls, rolreplication FROM pg_roles WHERE rolname = :name"
    )
    for role in (f"{PREFIX}_sample", f"{PREFIX}_sample_owner"):
        with sample.database.reader() as db:
            assert tuple(db.one(question, {"name": role})) == (False,) * 5


def test_statements_and_locks_have_time_limits(sample: Sample) -> None:
    with sample.database.transaction() as tx:
        assert tx.scalar(text("SHOW statement_timeout")) == "10s"
        assert tx.scalar(text("SHOW lock_timeout")) == "4s"
        assert tx.scalar(text("SHOW search_path")) == "sample"


def test_a_lost_server_connection_heals_by_itself(sample: Sample) -> None:
    with sample.database.reader() as db:
        victim = db.scalar(text("SELECT pg_backend_pid()"))
    engine = single_connection_engine(sample.superuser_url)
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": victim})
    engine.dispose()
    with pytest.raises(DBAPIError), sample.database.reader() as db:
        db.scalar(text("SELECT 1"))

    with sample.database.reader() as db:
        assert db.scalar(text("SELECT 1")) == 1


def test_after_a_lost_server_the_probe_that_finds_it_out_spares_the_next_command(sample: Sample) -> None:
    with sample.database.reader() as db:
        reading = db.scalar(text("SELECT pg_backend_pid()"))
    with sample.database.transaction() as tx:
        writing = tx.scalar(text("SELECT pg_backend_pid()"))
    engine = single_connection_engine(sample.superuser_url)
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_terminate_backend(pid) FROM unnest(:pids) AS pid"), {"pids": [reading, writing]})
    engine.dispose()
    with pytest.raises(DBAPIError), sample.database.reader() as db:
        db.scalar(text("SELECT 1"))

    with sample.database.transaction() as tx:
        tx.execute(insert(note), a_note())
    assert sample.count(note) == 1


def test_facts_of_parallel_transactions_on_one_aggregate_are_numbered_without_gap(sample: Sample) -> None:
    tables = kernel_tables(metadata)
    audit_id = new_id()

    def publish() -> None:
        for _ in range(5):
            with sample.database.transaction() as tx:
                tx.audit("x.y", "z", audit_id)

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    with sample.database.reader() as db:
        rows = db.all(select(tables.outbox.c.aggregate_id, tables.outbox.c.sequence))
    assert len(rows) == 20
    assert {row.sequence for row in rows} == {1}  # every audit record is an aggregate of its own


def test_a_wrong_password_is_not_in_the_error(sample: Sample) -> None:
    assert PASSWORD not in repr(sample.database.url)
