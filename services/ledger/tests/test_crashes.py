"""Sequencers that race, and sequencers that die: the log stays one, without gaps, and nothing is lost."""

import multiprocessing
import threading
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

import pytest
from sqlalchemy import Executable, func, select, text
from sqlalchemy.exc import DBAPIError

from libs.common import clock
from libs.common.db import Transaction
from libs.common.db.database import Parameters, single_connection_engine
from libs.common.events import Envelope
from libs.common.testing import Harness
from ops.proof import VerifierKey, verify
from services.ledger import use_cases
from services.ledger.models import pending_leaf
from services.ledger.tests.samples import SIGNER, painted, seal_for_ever
from services.ledger.tests.soundness import assert_tree_is_sound, indexes

KEY = VerifierKey.parse(SIGNER.verifier_key)
DEADLINE_SECONDS = 60.0


def test_sequencers_that_race_make_one_log_without_gaps(harness: Harness) -> None:
    """Writers add leaves while several sequencers seal at once."""
    writers, sequencers, each = 3, 4, 20
    written = threading.Event()
    failures: list[Exception] = []

    def guarded(work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def write() -> None:
        for _ in range(each):
            with harness.transaction() as tx:
                use_cases.record_events(tx, [harness.envelope(painted())])

    def sequence() -> None:
        while not written.is_set():
            with harness.transaction() as tx:
                use_cases.seal(tx, SIGNER)

    sealing = [guarded(sequence) for _ in range(sequencers)]
    writing = [guarded(write) for _ in range(writers)]
    for thread in writing:
        thread.join(60)
    written.set()
    for thread in sealing:
        thread.join(60)
    harness.run_job("seal")

    assert not failures
    assert indexes(harness) == list(range(writers * each))
    with harness.database.reader() as db:
        assert db.scalar(select(func.count()).select_from(pending_leaf)) == 0
    assert_tree_is_sound(harness)


def test_processes_killed_while_they_seal_leave_one_log_without_gaps(harness: Harness) -> None:
    """Two sequencers at work; again and again one is ended by SIGKILL and another takes its place."""
    context = multiprocessing.get_context("spawn")
    url = harness.settings.database_url.get_secret_value()

    def start() -> BaseProcess:
        process = context.Process(target=seal_for_ever, args=(url,), daemon=True)
        process.start()
        return process

    running = [start(), start()]
    try:
        for generation in range(1, 4):
            for _ in range(40):
                with harness.transaction() as tx:
                    use_cases.record_events(tx, [harness.envelope(painted())])
            wait_for_indexes(harness, more_than=40 * (generation - 1))
            running[0].kill()
            running[0].join(DEADLINE_SECONDS)
            running = [running[1], start()]
        wait_for_indexes(harness, more_than=119)
    finally:
        for process in running:
            process.kill()
            process.join(DEADLINE_SECONDS)

    assert indexes(harness) == list(range(120))
    assert_tree_is_sound(harness)


def prove(harness: Harness, envelope: Envelope) -> bytes:
    with harness.database.reader() as db:
        return use_cases.prove_event(db, envelope.id).encode()


def wait_for_indexes(harness: Harness, more_than: int) -> None:
    deadline = clock.monotonic() + DEADLINE_SECONDS
    while len(indexes(harness)) <= more_than:
        assert clock.monotonic() < deadline, "the leaves were not sealed in time"


class DyingTransaction(Transaction):
    """A transaction whose connection the server ends right after one of its statements."""

    def __init__(self, tx: Transaction, superuser_url: str, after: int) -> None:
        super().__init__(tx.connection, None, None)
        self._superuser_url = superuser_url
        self.left = after

    def execute(self, statement: Executable, parameters: Parameters = None) -> Any:
        result = super().execute(statement, parameters)
        self.left -= 1
        if self.left == 0:
            backend = super().execute(text("SELECT pg_backend_pid()")).scalar()
            engine = single_connection_engine(self._superuser_url)
            with engine.connect() as connection:
                connection.execute(text("SELECT pg_terminate_backend(:backend)"), {"backend": backend})
            engine.dispose()
        return result


STATEMENTS_OF_SEAL = 8


@pytest.mark.parametrize("step", range(1, STATEMENTS_OF_SEAL + 1))
def test_a_sequencer_killed_after_any_step_loses_nothing(harness: Harness, step: int) -> None:
    sealed_before = [harness.deliver(painted()) for _ in range(3)]
    harness.run_job("seal")
    waiting = [harness.deliver(painted()) for _ in range(2)]

    with pytest.raises(DBAPIError), harness.transaction() as tx:
        use_cases.seal(DyingTransaction(tx, harness.superuser_url, after=step), SIGNER)

    assert indexes(harness) == [0, 1, 2]
    assert harness.run_job("seal") == 2
    assert_tree_is_sound(harness)
    for envelope in (*sealed_before, *waiting):
        assert verify(prove(harness, envelope), KEY).size == 5


def test_sealing_takes_the_statements_after_each_of_which_it_is_killed(harness: Harness) -> None:
    for _ in range(2):
        harness.deliver(painted())
        with harness.transaction() as tx:
            counted = DyingTransaction(tx, harness.superuser_url, after=-1)
            use_cases.seal(counted, SIGNER)

    assert -1 - counted.left == STATEMENTS_OF_SEAL
