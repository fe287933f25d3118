"""Append-only tables refuse change even to the role that owns them."""

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError

from libs.common.db.database import single_connection_engine
from libs.common.ids import new_id
from libs.common.tests.conftest import Sample, stone


@pytest.mark.parametrize(
    "statement", ["UPDATE sample.stone SET body = 'x'", "DELETE FROM sample.stone", "TRUNCATE sample.stone"]
)
def test_the_owner_cannot(sample: Sample, statement: str) -> None:
    with sample.database.transaction() as tx:
        tx.execute(insert(stone), {"id": new_id(), "body": "carved"})
    engine = single_connection_engine(sample.superuser_url)

    with engine.connect() as connection:
        connection.execute(text("SET ROLE lumiere_kernel_test_sample_owner"))
        with pytest.raises(DBAPIError, match="append-only"):
            connection.execute(text(statement))
    engine.dispose()
    assert sample.count(stone) == 1
