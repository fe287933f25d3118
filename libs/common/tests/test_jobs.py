"""Jobs: declared by a decorator, one runner at a time, woken by a notification."""

import threading
from datetime import timedelta
from types import ModuleType

import pytest
from sqlalchemy import func, insert, select

from libs.common import ids
from libs.common.db import Database, Transaction
from libs.common.db.locks import AdvisoryLocks
from libs.common.events.listener import Listener
from libs.common.events.subscriptions import SubscriptionError
from libs.common.events.tests.conftest import key_pair, opened, platform
from libs.common.events.tests.live import effect, eventually, running
from libs.common.events.tests.platform import Platform
from libs.common.jobs import INTERVAL_MAX, INTERVAL_MIN, Job, JobRunner, collect_jobs, every, run_once

__all__ = ["key_pair", "opened", "platform"]


class Gate:
    """A resource with which a test makes the job fail."""

    def __init__(self) -> None:
        self.failures = 0
        self.runs = 0


@every(hours=1, wake="reels")
def sweep(tx: Transaction, gate: Gate) -> int:
    gate.runs += 1
    if gate.failures:
        gate.failures -= 1
        raise RuntimeError("on purpose")
    row = {"event_id": ids.new_id(), "subject": "sweep", "sequence": gate.runs, "number": gate.runs}
    tx.execute(insert(effect), row)
    return 1


@every(seconds=5)
def in_pieces(database: Database) -> int:
    for number in range(3):
        with database.transaction() as tx:
            row = {"event_id": ids.new_id(), "subject": "pieces", "sequence": number, "number": number}
            tx.execute(insert(effect), row)
    return 3


def jobs() -> dict[str, Job]:
    module = ModuleType(__name__)
    module.sweep, module.in_pieces = sweep, in_pieces  # type: ignore[attr-defined]
    return {job.name: job for job in collect_jobs([module])}


def rows(database: Database) -> int:
    with database.reader() as reader:
        found: int = reader.scalar(select(func.count()).select_from(effect))
        return found


def test_a_job_is_known_by_its_function_and_schedule() -> None:
    job = jobs()["sweep"]

    assert (job.schedule.interval, job.schedule.wake) == (timedelta(hours=1), "reels")


@pytest.mark.parametrize(
    ("seconds", "allowed"),
    [
        (INTERVAL_MIN.total_seconds() - 0.01, False),
        (INTERVAL_MIN.total_seconds(), True),
        (INTERVAL_MAX.total_seconds(), True),
        (INTERVAL_MAX.total_seconds() + 1, False),
        (0, False),
    ],
)
def test_an_interval_out_of_bounds_is_refused(seconds: float, allowed: bool) -> None:
    if allowed:
        every(seconds=seconds)
    else:
        with pytest.raises(ValueError, match="a job runs between"):
            every(seconds=seconds)


def test_a_job_that_wants_what_nobody_provides_is_refused() -> None:
    with pytest.raises(SubscriptionError, match="gate of job sweep"):
        jobs()["sweep"].require({})


def test_a_job_runs_in_one_transaction_or_in_its_own(platform: Platform) -> None:
    assert run_once(platform.cinema, jobs()["sweep"], {Gate: Gate()}) == 1
    assert run_once(platform.cinema, jobs()["in_pieces"], {}) == 3

    assert rows(platform.cinema) == 4


def test_a_failed_run_leaves_no_trace_and_is_tried_again(platform: Platform) -> None:
    gate = Gate()
    gate.failures = 2
    locks = AdvisoryLocks(platform.cinema)
    runner = JobRunner(jobs()["sweep"], platform.cinema, locks, {Gate: gate})

    with running(runner.run):
        eventually(lambda: rows(platform.cinema) == 1, "the third run succeeds")
    locks.close()

    assert gate.runs == 3


def test_only_one_of_two_replicas_runs_the_job_and_the_other_takes_over(platform: Platform) -> None:
    gates = [Gate(), Gate()]
    locks = [AdvisoryLocks(platform.cinema), AdvisoryLocks(platform.cinema)]
    runners = [JobRunner(jobs()["sweep"], platform.cinema, mine, {Gate: gate}) for mine, gate in zip(locks, gates, strict=True)]
    stop_first = threading.Event()
    first = threading.Thread(target=runners[0].run, args=(stop_first,))
    first.start()
    eventually(lambda: gates[0].runs == 1, "the first runs")

    with running(runners[1].run):
        runners[1].wake()
        runners[0].wake()
        eventually(lambda: gates[0].runs == 2, "the first runs again")
        assert gates[1].runs == 0
        stop_first.set()
        first.join()
        runners[1].wake()
        eventually(lambda: gates[1].runs >= 1, "the second took over")
    for mine in locks:
        mine.close()


def test_a_notification_runs_the_job_at_once(platform: Platform) -> None:
    gate, locks, listener = Gate(), AdvisoryLocks(platform.cinema), Listener(platform.cinema)
    runner = JobRunner(jobs()["sweep"], platform.cinema, locks, {Gate: gate})
    listener.subscribe("reels", lambda _: runner.wake())

    with running(runner.run, listener.run):
        eventually(lambda: listener.listening.is_set() and gate.runs >= 2, "it runs at the start and when listening begins")
        before = gate.runs
        with platform.cinema.transaction() as tx:
            tx.notify("reels")
        eventually(lambda: gate.runs > before, "it runs on the notification")
    locks.close()
