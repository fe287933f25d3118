"""Operators see a poisoned message, mend its cause and send it through again, while everybody else works on."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from uuid import UUID

import pytest

from libs.common.ids import new_id
from ops.bus.members import Bus
from ops.demo.client import wait_for
from ops.plan import Plan
from ops.settings import ROOT
from ops.testing import LivePlatform
from services.tasks.events import TaskOpened
from tests.journeys.conftest import Lumiere
from tests.journeys.inside import Inside
from tests.journeys.people import ONCE, POLL_SECONDS, Film, Person, Studio, Work, payments_for

pytestmark = [pytest.mark.platform, pytest.mark.timeout(300)]

DEAD_WITHIN_SECONDS = 30
"""What the retry ladder may take until a poisoned message is a dead letter."""
SUBSCRIPTION = "payments.tasks.task"


@contextmanager
def poison(inside: Inside, task: dict[str, Any]) -> Iterator[Callable[[], None]]:
    """A cause in payments' database that makes one task's handler fail; yields what mends it."""
    names = {"function": "payments.test_poison", "table": "payments.payment"}
    create = (
        "CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF NEW.task_id = '{task['id']}' THEN RAISE EXCEPTION 'the till is jammed'; END IF; RETURN NEW; END $$"
    )
    inside.execute(create.format(**names))
    inside.execute("GRANT EXECUTE ON FUNCTION {function}() TO PUBLIC".format(**names))
    inside.execute(
        "CREATE TRIGGER test_poison BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {function}()".format(**names)
    )

    def mend() -> None:
        inside.execute("DROP FUNCTION IF EXISTS payments.test_poison CASCADE")

    try:
        yield mend
    finally:
        mend()


@pytest.fixture(scope="module")
def contributor(studio: Studio) -> Person:
    return studio.newcomer("Kelm")


@pytest.fixture(scope="module")
def film(studio: Studio) -> Film:
    return studio.film()


def dead_letters(lumiere: Lumiere, *options: str) -> list[dict[str, Any]]:
    _, answer = lumiere("dead", "list", *options)
    found: list[dict[str, Any]] = answer["dead_letters"]
    return found


def later_event(platform: LivePlatform, task: dict[str, Any]) -> str:
    """One more event of a task after its validation, published as its producer does; returns its id."""
    opened = TaskOpened(task_id=UUID(task["id"]), film_id=UUID(task["film_id"]))
    with Bus(Plan(platform.layout)).member("tasks").database() as database, database.transaction() as tx:
        return str(tx.publish(opened))


def parked(inside: Inside, task: dict[str, Any]) -> list[int]:
    rows = inside.rows(
        "SELECT sequence FROM payments.parked_events WHERE subscription = :name AND aggregate_id = :task ORDER BY sequence",
        name=SUBSCRIPTION,
        task=task["id"],
    )
    return [row.sequence for row in rows]


def gate(inside: Inside, task: dict[str, Any]) -> int:
    rows = inside.rows(
        "SELECT last_sequence FROM payments.sequence_gate WHERE subscription = :name AND aggregate_id = :task",
        name=SUBSCRIPTION,
        task=task["id"],
    )
    return int(rows[0].last_sequence)


def applied_in_order(inside: Inside, task: dict[str, Any]) -> list[int]:
    """The numbers of a task's events in the order in which payments applied them."""
    rows = inside.rows(
        """
        SELECT archived.sequence FROM payments.inbox JOIN tasks.event_archive AS archived USING (event_id)
        WHERE inbox.subscription = :name AND archived.aggregate_id = :task ORDER BY inbox.applied_at, archived.sequence
        """,
        name=SUBSCRIPTION,
        task=task["id"],
    )
    return [row.sequence for row in rows]


def dead_letter_of(lumiere: Lumiere, work: Work) -> dict[str, Any]:
    """The dead letter of a task, as soon as it is there."""

    def found() -> dict[str, Any] | None:
        letters = dead_letters(lumiere, "--service", "payments")
        return next((each for each in letters if each["subject"] == work.task["id"]), None)

    return wait_for("the dead letter", found, seconds=DEAD_WITHIN_SECONDS, every=0.5)


def test_a_poisoned_message_is_found_shown_mended_and_redriven_while_everything_else_flows(
    studio: Studio, inside: Inside, contributor: Person, film: Film, lumiere: Lumiere
) -> None:
    poisoned = studio.deliver(contributor, studio.plan_task(film, f"Poisoned {new_id()}"))
    studio.advised(contributor, poisoned)
    with poison(inside, poisoned.task) as mend:
        studio.approve(poisoned)
        healthy = studio.finish(contributor, studio.plan_task(film, f"Healthy {new_id()}"))
        later = [later_event(studio.platform, poisoned.task) for _ in range(2)]
        studio.wait_for_effects(contributor, healthy.task)

        letter = dead_letter_of(lumiere, poisoned)
        assert (letter["type"], letter["subscription"]) == ("tasks.task.validated", SUBSCRIPTION)
        assert "the till is jammed" in letter["reason"]
        wait_for("the later events at their gate", lambda: len(parked(inside, poisoned.task)) == 2, every=POLL_SECONDS)
        assert parked(inside, poisoned.task) == [letter["sequence"] + 1, letter["sequence"] + 2]

        code, shown = lumiere("dead", "show", "--id", letter["id"])
        assert code == 0
        (whole,) = shown["dead_letters"]
        assert whole["event"]["data"]["task_id"] == poisoned.task["id"]
        assert (whole["attempts"], whole["vouched"]) == (5, True)
        assert whole["traceparent"]

        code, queues = lumiere("queues")
        assert code == 1
        (row,) = [each for each in queues["subscriptions"] if each["subscription"] == SUBSCRIPTION]
        assert (row["dead"], row["parked"], row["consumers"]) == (1, 2, 1)
        assert any("dead list" in each for each in row["attention"])

        code, stands = lumiere("events", "show", letter["id"])
        states = {each["subscription"]: each["state"] for each in stands["subscriptions"]}
        assert code == 0
        assert states == {SUBSCRIPTION: "dead letter", "notify.tasks.task": "applied", "ledger.every.event": "applied"}
        code, stands = lumiere("events", "show", later[0])
        assert {each["subscription"]: each["state"] for each in stands["subscriptions"]}[SUBSCRIPTION] == "parked"

        code, dry = lumiere("dead", "redrive", "--id", letter["id"], "--dry-run")
        assert (code, len(dry["dead_letters"])) == (0, 1)
        assert len(dead_letters(lumiere, "--id", letter["id"])) == 1

        mend()
        code, settled = lumiere("dead", "redrive", "--id", letter["id"])
        assert (code, settled["settled"][0]["fate"]) == (0, "redriven")

    studio.wait_for_effects(contributor, poisoned.task)
    wait_for("its aggregate to go on", lambda: not parked(inside, poisoned.task), every=POLL_SECONDS)
    assert [studio.effects(contributor, each.task) for each in (poisoned, healthy)] == [ONCE, ONCE]
    assert applied_in_order(inside, poisoned.task) == list(range(1, letter["sequence"] + 3))
    assert dead_letters(lumiere) == []
    code, again = lumiere("replay", "payments")
    assert (code, again["applied"], again["failed"]) == (0, 0, 0)
    assert again["duplicates"] == again["read"] > 0
    assert studio.effects(contributor, poisoned.task) == ONCE
    code, begun = lumiere("replay", "payments", "--from", "now", "--baseline")
    assert (code, begun["read"], begun["failed"]) == (0, 0, 0)
    _, stands = lumiere("events", "show", letter["id"])
    caused = {each["type"] for each in stands["caused"]}
    assert {"payments.payment.created", "payments.lumens.changed"} <= caused
    assert stands["log"]["leaf_index"] >= 0


def test_a_dropped_message_never_takes_effect_and_its_aggregate_goes_on(
    studio: Studio, inside: Inside, contributor: Person, film: Film, lumiere: Lumiere
) -> None:
    void = studio.deliver(contributor, studio.plan_task(film, f"Void {new_id()}"))
    studio.advised(contributor, void)
    with poison(inside, void.task):
        studio.approve(void)
        later = later_event(studio.platform, void.task)
        letter = dead_letter_of(lumiere, void)
        wait_for("the later event at its gate", lambda: parked(inside, void.task), every=POLL_SECONDS)

        code, refused = lumiere("dead", "drop", "--id", letter["id"], "--yes")
        assert code == 2
        assert "--reason" in refused
        code, settled = lumiere("dead", "drop", "--id", letter["id"], "--reason", "paid by hand", "--yes")
        assert (code, settled["settled"][0]["fate"]) == (0, "dropped")

    wait_for("its aggregate to go on", lambda: gate(inside, void.task) == letter["sequence"] + 1, every=POLL_SECONDS)
    assert payments_for(contributor, void.task) == []
    assert dead_letters(lumiere) == []
    (record,) = inside.rows("SELECT * FROM payments.audit_record WHERE entity_id = :id", id=letter["id"])
    assert (record.action, record.details["reason"]) == ("event.dropped", "paid by hand")
    _, stands = lumiere("events", "show", letter["id"])
    assert {each["subscription"]: each["state"] for each in stands["subscriptions"]}[SUBSCRIPTION] == "dropped"
    _, stands = lumiere("events", "show", later)
    assert {each["subscription"]: each["state"] for each in stands["subscriptions"]}[SUBSCRIPTION] == "passed over"


def test_a_projection_is_rebuilt_from_nothing_with_its_workers_at_rest(
    studio: Studio, inside: Inside, contributor: Person, film: Film, lumiere: Lumiere
) -> None:
    studio.finish(contributor, studio.plan_task(film, f"Before the rebuild {new_id()}"))

    def uploads() -> list[Any]:
        return inside.rows("SELECT id, owner_id, ready, sha256 FROM tasks.media ORDER BY id")

    code, refused = lumiere("replay", "tasks", "--subscription", "tasks.media.upload", "--as", "rebuild_1")
    assert code == 1
    assert "lumiere scale tasks-worker=0" in " ".join(refused.split())
    operations = studio.platform.operations
    operations.scale({("tasks", "worker"): 0})
    try:
        before = uploads()
        assert before
        inside.execute("DELETE FROM tasks.media")
        code, report = lumiere("replay", "tasks", "--subscription", "tasks.media.upload", "--as", f"r_{new_id().hex}")
    finally:
        operations.scale({("tasks", "worker"): 1})

    assert (code, report["failed"], report["left"]) == (0, 0, 0)
    assert report["applied"] >= len(before)
    assert uploads() == before


def test_events_are_followed_as_they_pass_until_ctrl_c(studio: Studio, film: Film, lumiere: Lumiere) -> None:
    assert lumiere("events", "tail", "--type", "ledger.never.happens", "--seconds", "0.2") == (0, "")
    command = [sys.executable, "-m", "ops.cli", "events", "tail", "--type", "tasks.task.created", "--json"]
    # Whoever runs the tests in the background may have told all that comes of it to ignore Ctrl-C.
    heeding = ("env", "--default-signal=INT")
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with ExitStack() as stack:
        following = stack.enter_context(subprocess.Popen([*heeding, *command], cwd=ROOT, **pipes))
        stack.callback(following.kill)
        assert following.stderr is not None
        lines: list[str] = []
        reader = threading.Thread(target=lambda: lines.extend(following.stdout or ()), daemon=True)
        reader.start()

        def passed() -> bool:
            # Nobody outside sees when the queue is bound: events are made until one has passed.
            studio.plan_task(film, f"Followed {new_id()}")
            return bool(lines)

        wait_for("an event to pass", passed, seconds=30, every=0.5)
        following.send_signal(signal.SIGINT)
        assert following.wait(20) == 0
        reader.join(20)
        assert following.stderr.read() == ""
    assert {json.loads(each)["type"] for each in lines} == {"tasks.task.created"}


def test_events_are_listed_and_an_unknown_one_is_said_to_be_unknown(
    studio: Studio, contributor: Person, film: Film, lumiere: Lumiere
) -> None:
    task = studio.plan_task(film, f"Listed {new_id()}")

    def listed() -> list[str] | None:
        _, answer = lumiere("events", "list", "--subject", task["id"])
        return sorted(each["type"] for each in answer["events"]) or None

    assert wait_for("the archive", listed, every=POLL_SECONDS) == ["tasks.task.created", "tasks.task.opened"]
    code, answer = lumiere("events", "show", str(new_id()))
    assert (code, answer["event"]) == (1, None)
