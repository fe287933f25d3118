"""Fixtures on real Postgres and RabbitMQ."""

from collections.abc import Iterator

import pytest

from libs.common import ids
from libs.common.db import Database
from libs.common.events import Keyring, Recipient
from libs.common.events.personal import generate_key_pair
from libs.common.events.tests.platform import Platform, backing, databases, empty


@pytest.fixture(scope="session")
def key_pair() -> tuple[str, str]:
    return generate_key_pair()


@pytest.fixture
def keyring(key_pair: tuple[str, str]) -> Keyring:
    return Keyring([key_pair[0]])


@pytest.fixture(scope="session")
def opened(key_pair: tuple[str, str]) -> Iterator[tuple[Database, Database]]:
    with databases(Recipient(key_pair[1])) as pair:
        yield pair


@pytest.fixture
def platform(opened: tuple[Database, Database]) -> Platform:
    """An empty platform; each test has queues of its own."""
    for database in opened:
        empty(backing("DATABASE_URL"), database)
    return Platform(*opened, amqp_url=backing("AMQP_URL"), consumer=f"test_{ids.new_id().hex[-10:]}")
