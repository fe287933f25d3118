"""How far the log is behind what arrived."""

from prometheus_client import REGISTRY

from libs.common.testing import Harness
from services.ledger import measures
from services.ledger.tests.samples import painted


def measured(harness: Harness) -> dict[str, float | None]:
    """What is told after measuring."""
    with harness.database.reader() as db:
        measures.lag(db)
    names = ("pending_leaves", "pending_oldest_seconds", "checkpoint_size", "checkpoint_timestamp_seconds")
    return {name: REGISTRY.get_sample_value(f"lumiere_ledger_{name}") for name in names}


def test_what_waits_to_be_sealed_is_told_and_then_the_checkpoint_that_covers_it(harness: Harness) -> None:
    harness.deliver(painted())
    harness.deliver(painted())

    waiting = measured(harness)
    assert waiting["pending_leaves"] == 2
    assert (waiting["pending_oldest_seconds"] or 0) > 0
    harness.run_job("seal")
    sealed = measured(harness)
    assert (sealed["pending_leaves"], sealed["pending_oldest_seconds"], sealed["checkpoint_size"]) == (0, 0, 2)
    assert (sealed["checkpoint_timestamp_seconds"] or 0) > 1_700_000_000
