"""What containers say to each other is encrypted, and each knows whom it talks to; with deploy/mtls.yml both sides do.

This file comes last: it ends by starting the same platform anew, with mutual TLS.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from ops.containers import DEMO, Containers
from ops.demo.command import access_of
from ops.demo.report import Report
from ops.demo.story import Story
from ops.errors import OperationError
from tests.containers.conftest import PROJECT, Running, Say
from tests.journeys.people import Studio

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]

DATABASE = """
import sys
import psycopg2
from services.tasks.settings import Settings
from libs.common.config import load
address = load(Settings).database_url.get_secret_value()
try:
    psycopg2.connect(address.partition("?")[0] + sys.argv[1]).close()
    print("let in")
except psycopg2.OperationalError as error:
    print(error)
"""
"""How Postgres takes a connection."""
ASK = """
import http.client, ssl, sys
from libs.common import tls
authority, own = "/run/secrets/TLS_AUTHORITY", "/run/secrets/TLS_OWN"
ways = {
    "plain": lambda: http.client.HTTPConnection("auth", 8000, timeout=5),
    "anonymous": lambda: http.client.HTTPSConnection("auth", 8000, timeout=5, context=tls.calling(authority)),
    "certified": lambda: http.client.HTTPSConnection("auth", 8000, timeout=5, context=tls.calling(authority, own)),
}
try:
    asked = ways[sys.argv[1]]()
    asked.request("GET", "/health/ready")
    print(asked.getresponse().status)
except (OSError, http.client.HTTPException):
    print("refused")
"""

WITHOUT = """
from libs.common.config import load
from libs.common.events.broker import BrokerUnavailable, open_session
from services.tasks.settings import Settings
address = load(Settings).amqp_url.get_secret_value().partition("?")[0]
try:
    with open_session(address + "?cacertfile=/run/secrets/TLS_AUTHORITY"):
        print("let in")
except BrokerUnavailable as error:
    print("BrokerUnavailable", error)
"""


def connects(running: Running, parameters: str) -> str:
    """How Postgres takes a connection of tasks with these parameters of libpq."""
    return running.operations.execute("tasks", "python", "-c", DATABASE, parameters).strip()


def test_postgres_is_verified_and_takes_nobody_in_plain(running: Running) -> None:
    authority = "sslrootcert=/run/secrets/TLS_AUTHORITY"
    assert connects(running, f"?sslmode=verify-full&{authority}") == "let in"
    assert "no encryption" in connects(running, "?sslmode=disable")
    assert "certificate verify failed" in connects(running, "?sslmode=verify-full&sslrootcert=system")
    elsewhere = f"&host=rabbitmq&hostaddr={address(running)}"
    assert "does not match host name" in connects(running, f"?sslmode=verify-full&{authority}{elsewhere}")


def address(running: Running) -> str:
    """Where Postgres is, past its name."""
    say = "import socket; print(socket.gethostbyname('postgres'))"
    return running.operations.execute("tasks", "python", "-c", say).strip()


def test_every_session_of_a_service_is_encrypted(running: Running) -> None:
    ours = "pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename LIKE 'lumiere%'"
    query = f"SELECT count(*) FILTER (WHERE ssl), count(*) FROM {ours}"  # noqa: S608 - our own words
    found = running.operations.execute("postgres", "psql", "-U", "postgres", "-d", "lumiere", "-tAc", query)
    encrypted, every = map(int, found.strip().split("|"))
    assert encrypted == every > 0


@pytest.fixture(scope="module")
def mutual(running: Running, variables: dict[str, str]) -> Iterator[Running]:
    """The same platform with deploy/mtls.yml."""
    containers = Containers([DEMO, "mtls.yml"], project=PROJECT, variables=variables)
    containers.up()
    with containers.letters() as letters:
        yield replace(running, operations=containers, mail=letters)


@pytest.mark.parametrize(("way", "answer"), [("certified", "200"), ("anonymous", "refused"), ("plain", "refused")])
def test_a_service_answers_only_who_shows_a_certificate(mutual: Running, way: str, answer: str) -> None:
    assert mutual.operations.execute("tasks", "python", "-c", ASK, way).strip() == answer


def test_the_broker_asks_for_a_certificate_too(mutual: Running) -> None:
    without = mutual.operations.execute("tasks", "python", "-c", WITHOUT)
    assert "BrokerUnavailable" in without


def test_the_whole_story_is_green_over_mutual_tls(mutual: Running, people: Studio, say: Say) -> None:
    email, password = people.administrator.email, people.administrator.password
    create = partial(mutual.operations.create_admin, email, password)
    report = Report(quiet=True)
    Story(access_of(mutual.origin, mutual.mail, email, password, create), report).run()
    assert [step.fault for step in report.steps if step.fault] == []
    say(f"containers: demo over mutual TLS {report.passed} passed, {report.failed} failed")


def test_an_overlay_that_is_wanting_is_told(variables: dict[str, str]) -> None:
    with pytest.raises(OperationError, match="set AMQPS_CERTIFICATE"):
        Containers(["amqps.yml"], project=PROJECT, variables=variables).configuration()
