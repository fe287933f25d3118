"""The book of Lumens is measured: it balances, and a single planted entry shows."""

from prometheus_client import REGISTRY
from sqlalchemy import text

from libs.common.db.database import single_connection_engine
from libs.common.ids import new_id
from libs.common.testing import Harness
from services.payments import measures
from services.payments.tests.factories import task_validated


def measured(harness: Harness, name: str, **labels: str) -> float | None:
    """What is told after measuring."""
    with harness.database.reader() as db:
        measures.book(db)
        measures.payables(db)
    return REGISTRY.get_sample_value(name, labels)


def differences(harness: Harness) -> dict[str, float | None]:
    """All that should be zero."""
    return {
        each: measured(harness, "lumiere_lumens_difference", difference=each) for each in ("entries", "balances", "accounts")
    }


def test_a_book_that_balances_has_no_difference_and_tells_its_totals(harness: Harness) -> None:
    for _ in range(3):
        harness.deliver(task_validated(cents=5_000, lumens=10))

    assert differences(harness) == {"entries": 0, "balances": 0, "accounts": 0}
    assert measured(harness, "lumiere_lumens", kind="CONTRIBUTOR") == 30
    assert measured(harness, "lumiere_lumens", kind="PLATFORM_REWARDS") == -30
    assert measured(harness, "lumiere_payables", currency="EUR", status="PENDING") == 3
    assert measured(harness, "lumiere_payables_minor_units", currency="EUR", status="PENDING") == 15_000
    assert measured(harness, "lumiere_payables", currency="EUR", status="FAILED") == 0


def test_a_planted_entry_and_an_edited_balance_show(harness: Harness) -> None:
    harness.deliver(task_validated(lumens=10))
    engine = single_connection_engine(harness.superuser_url)
    with engine.connect() as connection:
        # Only the server's administrator can do this: guards are switched off for the session.
        connection.execute(text("SET session_replication_role = replica"))
        connection.execute(
            text(
                "INSERT INTO payments.entry (id, transfer_id, account_id, amount, balance_after, account_version)"
                " SELECT :id, :other, id, 7, 7, 99 FROM payments.account WHERE kind = 'CONTRIBUTOR'"
            ),
            {"id": new_id(), "other": new_id()},
        )
        assert differences(harness) == {"entries": 7, "balances": 0, "accounts": 1}
        connection.execute(text("UPDATE payments.account SET balance = balance + 7 WHERE kind = 'CONTRIBUTOR'"))
        assert differences(harness) == {"entries": 7, "balances": 7, "accounts": 0}
    engine.dispose()
