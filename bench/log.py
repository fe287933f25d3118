"""The transparency log without a broker: how fast leaves are sealed, and how soon a leaf can be proved."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg2.extras import execute_values

from bench.figures import Figure, NothingMeasured, against, limit, percentile
from bench.servers import harness, plain_postgres
from bench.timing import MILLISECONDS, ROUNDS, bounded, in_turns, timed
from libs.common import clock
from libs.common.db.locks import AdvisoryLocks
from libs.common.events import Envelope
from libs.common.events.listener import Listener
from libs.common.events.tests.live import running
from libs.common.jobs import JobRunner
from libs.common.testing import Harness
from services.ledger.app import service
from services.ledger.tests.samples import ORIGIN, SIGNER, painted
from services.ledger.use_cases import GROUP_MAX, LEAF_CHANNEL, NotSealed, prove_event, record_events

BATCH = 100
"""Leaves that one transaction records, as the consumer does with a full batch."""
LEAVES_A_SECOND = 1_000
"""Leaves of all turns together, for each second that was asked for."""
ROWS = "Postgres alone: rows inserted in batches"
PROVED_MAX = 200
POLL_SECONDS = 0.001
WAIT_SECONDS = 10.0
TRIVIAL_INSERT = "INSERT INTO public.limit_row (content) VALUES %s"


def measure(seconds: float) -> list[Figure]:
    """Leaves a second; milliseconds from before the leaf's commit to its proof."""
    with bounded(), harness(service, {"LOG_ORIGIN": ORIGIN, "LOG_SIGNING_KEY": SIGNER.private_key}) as ledger:
        leaves = max(1, int(LEAVES_A_SECOND * seconds) // ROUNDS)
        took = in_turns(
            {
                ROWS: lambda: _plain_rows(ledger, leaves),
                "leaves recorded": lambda: _record(ledger, leaves),
                "leaves sealed": lambda: timed(lambda: _seal_all(ledger, leaves)),
            }
        )
        woken, proved = _proofs(ledger, seconds)
    rows = limit(ROWS, leaves / took.pop(ROWS), "leaves/s")
    wake = limit("Postgres alone: commit → notification heard, p50", percentile(woken, 50), "ms")
    return [
        rows,
        *(against(rows, name, leaves / value) for name, value in took.items()),
        wake,
        against(wake, "leaf recorded → proof available, p50", percentile(proved, 50)),
        against(wake, "leaf recorded → proof available, p99", percentile(proved, 99)),
    ]


def _plain_rows(ledger: Harness, leaves: int) -> float:
    """Seconds to insert as many rows of the same size in groups as large as a checkpoint's."""
    rows = [(ledger.envelope(painted()).encode(),) for _ in range(leaves)]
    with plain_postgres(ledger) as connection:
        begun = clock.monotonic()
        for start in range(0, leaves, GROUP_MAX):
            with connection, connection.cursor() as cursor:
                execute_values(cursor, TRIVIAL_INSERT, rows[start : start + GROUP_MAX], page_size=GROUP_MAX)
        return clock.monotonic() - begun


def _record(ledger: Harness, leaves: int) -> float:
    """Seconds to take leaves in; they wait to be sealed then."""
    envelopes = [ledger.envelope(painted()) for _ in range(leaves)]
    begun = clock.monotonic()
    for start in range(0, leaves, BATCH):
        with ledger.transaction() as tx:
            record_events(tx, envelopes[start : start + BATCH])
    return clock.monotonic() - begun


def _seal_all(ledger: Harness, leaves: int) -> None:
    """Seal all that waits. Raises NothingMeasured when it was another number."""
    total = 0
    while sealed := ledger.run_job("seal"):
        total += sealed
    if total != leaves:
        raise NothingMeasured(f"{total} leaves were sealed instead of {leaves}.")


def _proofs(ledger: Harness, seconds: float) -> tuple[list[float], list[float]]:
    """For one leaf after the other: milliseconds until its notification is heard, and until it can be proved."""
    heard: list[float] = []
    woken, proved = list[float](), list[float]()
    with _sealing(ledger, heard):
        deadline = clock.monotonic() + seconds
        while len(proved) < PROVED_MAX and (not proved or clock.monotonic() < deadline):
            envelope = ledger.envelope(painted())
            heard.clear()
            with ledger.transaction() as tx:
                record_events(tx, [envelope])
                begun = clock.monotonic()
            _await_proof(ledger, envelope)
            proved.append((clock.monotonic() - begun) * MILLISECONDS)
            if heard:
                woken.append((heard[0] - begun) * MILLISECONDS)
    return woken, proved


@contextmanager
def _sealing(ledger: Harness, heard: list[float]) -> Iterator[None]:
    """The listener and the sealing job of a worker process, in threads."""
    job = next(each for each in ledger.service.declared_jobs if each.name == "seal")
    locks = AdvisoryLocks(ledger.database)
    runner = JobRunner(job, ledger.database, locks, ledger.resources)
    listener = Listener(ledger.database)
    listener.subscribe(LEAF_CHANNEL, lambda _: heard.append(clock.monotonic()))
    listener.subscribe(LEAF_CHANNEL, lambda _: runner.wake())
    try:
        with running(listener.run, runner.run):
            if not listener.listening.wait(WAIT_SECONDS):
                raise NothingMeasured("The listener did not begin to listen.")
            yield
    finally:
        locks.close()


def _await_proof(ledger: Harness, envelope: Envelope) -> None:
    deadline, pause = clock.monotonic() + WAIT_SECONDS, threading.Event()
    while clock.monotonic() < deadline:
        try:
            with ledger.database.reader() as db:
                prove_event(db, envelope.id)
                return
        except NotSealed:
            pause.wait(POLL_SECONDS)
    raise NothingMeasured(f"A leaf had no proof after {WAIT_SECONDS:.0f} s.")
