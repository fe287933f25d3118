"""What `lumiere cluster` says of databases and brokers, and what it refuses to do."""

import json

import pytest
from click.testing import CliRunner

from libs.common.db.database import psycopg2_url
from libs.common.events.tests.platform import backing
from ops.cli import main
from ops.cluster import databases
from ops.cluster.brokers import Brokers, Node, Queue
from ops.cluster.brokers import attention as of_brokers
from ops.cluster.brokers import examine as examine_brokers
from ops.cluster.databases import AWAY, PRIMARY, STANDBY, Database, Standby, attention, each_server, examine, promote
from ops.errors import OperationError
from ops.management import Management

FOLLOWER = Standby("two", "streaming", True, 0)
ONE = Database("one:5432", PRIMARY, "ANY 1 (one, two)", [FOLLOWER])
TWO = Database("two:5432", STANDBY)


@pytest.fixture
def server() -> str:
    """The Postgres of the test run, as its superuser."""
    return backing("DATABASE_URL")


# -- databases


@pytest.mark.parametrize(
    ("found", "sentences"),
    [
        ([ONE, TWO], []),
        ([Database("one:5432", PRIMARY)], []),
        ([ONE, Database("two:5432", AWAY)], ["two:5432 does not answer"]),
        ([Database("one:5432", AWAY), TWO], ["does not answer", "no database is the primary"]),
        ([ONE, Database("two:5432", PRIMARY, "x", [FOLLOWER])], ["both say that they are the primary"]),
        ([Database("one:5432", PRIMARY, "", [FOLLOWER]), TWO], ["waits for no standby"]),
        ([Database("one:5432", PRIMARY, "two"), TWO], ["nobody of them follows: commits stand still"]),
        ([Database("one:5432", PRIMARY, "two", [Standby("two", "catchup", False, 9)]), TWO], ["commits stand still"]),
    ],
)
def test_what_an_operator_must_look_at_is_said_in_sentences(found: list[Database], sentences: list[str]) -> None:
    said = attention(found)

    assert len(said) == len(sentences), said
    for sentence, expected in zip(said, sentences, strict=True):
        assert expected in sentence


def test_each_server_of_an_address_is_asked_by_itself() -> None:
    found = each_server("postgresql://u:p@one:1,two/lumiere?target_session_attrs=read-write&sslmode=verify-full")

    assert [(each.host, each.port, each.query) for each in found] == [
        ("one", 1, {"sslmode": "verify-full"}),
        ("two", 5432, {"sslmode": "verify-full"}),
    ]
    assert [each.host for each in each_server("postgresql://u:p@one/lumiere")] == ["one"]


def test_a_server_says_what_it_is_and_one_that_does_not_answer_is_away(server: str) -> None:
    dead = psycopg2_url(server).set(port=1)

    assert examine(each_server(server)[0]).role == PRIMARY
    assert examine(dead).role == AWAY


def test_nothing_is_promoted_beside_a_primary_that_answers(server: str) -> None:
    alive = psycopg2_url(server)
    both = alive.set(host=None, port=None).update_query_dict({"host": [f"{alive.host}:{alive.port}", "127.0.0.1:1"]})
    url = both.render_as_string(hide_password=False)

    with pytest.raises(OperationError, match="still answers as the primary"):
        promote(url, "127.0.0.1:1")
    with pytest.raises(OperationError, match="is not among the databases"):
        promote(url, "127.0.0.1:2")


def test_a_server_that_is_away_is_not_promoted() -> None:
    url = "postgresql://u:p@/x?host=127.0.0.1:1&host=localhost:1"

    with pytest.raises(OperationError, match="does not answer as a standby"):
        promote(url, "localhost:1")


# -- brokers


def node(name: str, *, running: bool = True, alarms: tuple[str, ...] = (), away: tuple[str, ...] = ()) -> Node:
    return Node(name, running, alarms, away)


THREE = [node("one"), node("two"), node("three")]
WELL = Queue("q", "one", 3, 3)


@pytest.mark.parametrize(
    ("found", "sentences"),
    [
        (Brokers(THREE, [WELL]), []),
        (Brokers([node("one")], [Queue("q", "one", 1, 1)]), []),
        (Brokers([*THREE[:2], node("three", running=False)], [Queue("q", "one", 3, 2)]), ["three does not run"]),
        (Brokers(THREE, [Queue("q", "", 3, 1)]), ["q has no majority"]),
        (Brokers(THREE, [Queue("q", "one", 1, 1), Queue("r", "one", 2, 2)]), ["q and 1 more: fewer than 3 replicas"]),
        (Brokers(THREE[:2], [Queue("q", "one", 2, 2)]), ["have one, or three"]),
        (Brokers([node("one", alarms=("mem",))], []), ["short of mem"]),
        (Brokers([node("one", away=("two",))], []), ["cut off from two"]),
    ],
)
def test_a_cluster_says_what_would_not_survive_the_next_loss(found: Brokers, sentences: list[str]) -> None:
    said = of_brokers(found)

    assert len(said) == len(sentences), said
    for sentence, expected in zip(said, sentences, strict=True):
        assert expected in sentence


def test_a_broker_of_one_node_is_read_as_it_describes_itself(server: str) -> None:
    assert server
    with Management(backing("AMQP_MANAGEMENT_URL")) as management:
        found = examine_brokers(management)

    assert [each.running for each in found.nodes] == [True]
    assert all(queue.majority for queue in found.queues)


# -- the command


def test_status_tells_people_and_programs(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", server)
    answer = CliRunner().invoke(main, ["cluster", "status", "--json"])
    said = json.loads(answer.stdout)

    assert answer.exit_code == (1 if said["attention"] else 0)
    assert [each["role"] for each in said["databases"]] == [PRIMARY]
    assert said["nodes"]
    shown = CliRunner().invoke(main, ["cluster", "status"]).stdout
    assert "primary" in shown
    assert databases.PRIMARY in shown
