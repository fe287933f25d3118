"""Addresses of several servers: read alike by everybody, refused when they cannot be meant, and quoted by no message."""

from pathlib import Path

import pytest
from sqlalchemy import create_engine

from libs.common.addresses import (
    BROKER_ADDRESSES_MAX,
    PRIMARY_ONLY,
    broker_addresses,
    broker_addresses_spread,
    one_address,
    require_primary,
)
from libs.common.config import ConfigurationError, ServiceSettings, load
from libs.common.db import provisioning
from libs.common.db.database import psycopg2_url
from libs.common.events.broker import BrokerUnavailable, open_session
from libs.common.events.broker.publisher import PipelinedPublisher
from libs.common.events.tests.platform import backing

STRONG = "k3vJ9pQ2xW7mZ4tB8nL5rY1cD6fH0sGa"
SETTINGS = {
    "DATABASE_URL": "postgresql://u:p@localhost/x",
    "AMQP_URL": "amqp://u:p@localhost/",
    "REVOCATION_LIST_TOKEN": STRONG,
    "NOTIFY_PUBLIC_KEY": "a-public-key",
}
NOBODY_THERE = 1
"""A port on which nothing listens."""


def nodes(count: int) -> str:
    return ";".join(f"amqp://u:p@node{number}:5672/" for number in range(count))


# -- brokers


def test_the_addresses_of_a_cluster_stand_whole_with_semicolons_between_them() -> None:
    assert broker_addresses("amqp://u:p@one/") == ("amqp://u:p@one/",)
    assert broker_addresses("amqp://u:p@one/; amqp://u:p@two:5673/") == ("amqp://u:p@one/", "amqp://u:p@two:5673/")
    assert sorted(broker_addresses_spread(nodes(3))) == sorted(broker_addresses(nodes(3)))


def test_clients_begin_with_different_nodes() -> None:
    assert len({broker_addresses_spread(nodes(3))[0] for _ in range(100)}) == 3


@pytest.mark.parametrize("count", [BROKER_ADDRESSES_MAX - 1, BROKER_ADDRESSES_MAX, BROKER_ADDRESSES_MAX + 1])
def test_a_cluster_has_at_most_nine_nodes(count: int) -> None:
    if count > BROKER_ADDRESSES_MAX:
        with pytest.raises(ValueError, match="at most 9 brokers"):
            broker_addresses(nodes(count))
    else:
        assert len(broker_addresses(nodes(count))) == count


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("amqp://u:p@one/;", "each whole"),
        ("amqp://u:p@one;two/;three", "each whole"),
        ("http://u:p@one/", "each whole"),
        ("amqp://u:p@one/;amqp://v:p@two/", "same scheme, user"),
        ("amqp://u:p@one/;amqp://u:q@two/", "same scheme, user"),
        ("amqp://u:p@one/a;amqp://u:p@two/b", "virtual host"),
        ("amqp://u:p@one/;amqps://u:p@two/", "same scheme"),
        ("amqp://u:p@one/;amqp://u:p@one/", "each broker once"),
    ],
)
def test_a_list_of_brokers_that_cannot_be_meant_is_refused(given: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        load(ServiceSettings, SETTINGS | {"AMQP_URL": given})

    assert "AMQP_URL must" in str(caught.value)
    assert "u:p" not in str(caught.value)


def with_a_dead_node(alive: str) -> str:
    """The same broker, behind an address where nobody listens."""
    before, _, rest = alive.rpartition("@")
    return f"{before}@127.0.0.1:{NOBODY_THERE}/{rest.partition('/')[2]};{alive}"


def test_who_meets_a_dead_node_goes_to_the_next() -> None:
    url = with_a_dead_node(backing("AMQP_URL"))
    for _ in range(6):  # whichever comes first
        with open_session(url) as session:
            assert session.look("there.is.no.such.queue") is None
        publisher = PipelinedPublisher(url, "test")
        publisher.open()
        assert publisher.is_open
        publisher.close()


def test_where_every_node_is_dead_the_broker_is_unavailable() -> None:
    alive, _, dead = (f"amqp://u:p@127.0.0.1:{NOBODY_THERE}/", None, f"amqp://u:p@localhost:{NOBODY_THERE}/")
    with pytest.raises(BrokerUnavailable):
        PipelinedPublisher(f"{alive};{dead}", "test").open()


# -- databases


@pytest.mark.parametrize(
    ("given", "host", "port"),
    [
        (f"postgresql://u:p%40@one:1,two:2/lumiere?{PRIMARY_ONLY}", "one,two", "1,2"),
        (f"postgresql+psycopg2://u:p%40@one,two/lumiere?{PRIMARY_ONLY}", "one,two", ","),
    ],
)
def test_libpqs_form_of_several_hosts_is_read(given: str, host: str, port: str) -> None:
    url = psycopg2_url(given)
    _, arguments = create_engine(url).dialect.create_connect_args(url)

    assert (arguments["user"], arguments["password"], arguments["dbname"]) == ("u", "p@", "lumiere")
    assert (arguments["host"], arguments["port"], arguments["target_session_attrs"]) == (host, port, "read-write")
    # As the platform hands it on: written out and read again.
    assert psycopg2_url(url.set(database="other").render_as_string(hide_password=False)).query == url.query


def test_an_address_of_one_host_stays_as_it_is() -> None:
    assert one_address("postgresql://u:p,q@one/x") == "postgresql://u:p,q@one/x"
    assert one_address("postgresql://u:p@one:5432/x?sslmode=verify-full") == "postgresql://u:p@one:5432/x?sslmode=verify-full"


@pytest.mark.parametrize("given", ["postgresql://u:p@one,two/x", "postgresql://u:p@/x?host=one&host=two"])
def test_several_databases_without_a_word_on_the_primary_are_refused(given: str) -> None:
    with pytest.raises(ConfigurationError, match="add target_session_attrs=read-write") as caught:
        load(ServiceSettings, SETTINGS | {"DATABASE_URL": given})
    assert "u:p" not in str(caught.value)

    joined = "&" if "?" in given else "?"
    assert load(ServiceSettings, SETTINGS | {"DATABASE_URL": f"{given}{joined}{PRIMARY_ONLY}"})
    require_primary("postgresql://u:p@one/x")


def test_roles_are_made_where_services_name_a_primary_and_its_standby(tmp_path: Path) -> None:
    (tmp_path / "POSTGRES_PASSWORD").write_text("the administrator's\n", encoding="utf-8")
    address = "postgresql://lumiere_tasks:own@db-1:5432,db-2:5433/lumiere?sslmode=verify-full"  # pragma: allowlist secret

    told = psycopg2_url(provisioning._administrator(address, tmp_path))

    assert provisioning._password(address) == "own"
    assert (told.username, told.password, told.query["host"]) == (
        "postgres",
        "the administrator's",
        ("db-1:5432", "db-2:5433"),
    )
    assert told.query["sslrootcert"] == str(tmp_path / "TLS_AUTHORITY")
