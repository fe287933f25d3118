"""Payments on a database of its own."""

from collections.abc import Callable

import pytest
from sqlalchemy import text

from libs.common.db.database import single_connection_engine
from libs.common.testing import Harness, service_harness
from services.payments.app import service

STRIPE_SECRET = "whsec_of_the_tests_alone"  # pragma: allowlist secret
harness = service_harness(service, {"STRIPE_WEBHOOK_SECRET": STRIPE_SECRET})


@pytest.fixture
def owner_transaction(harness: Harness) -> Callable[[str], None]:
    """Runs one statement as the role that owns the tables, its constraints checked at once."""

    def run(statement: str) -> None:
        engine = single_connection_engine(harness.owner_url)
        with engine.connect() as connection:
            connection.execute(text("SET search_path = payments"))
            connection.execute(text("BEGIN"))
            connection.execute(text(statement))
            connection.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
            connection.execute(text("COMMIT"))
        engine.dispose()

    return run
