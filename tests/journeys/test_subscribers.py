"""Somebody outside subscribes: an operator opens the door and lets them in, they read what people do, through every outage."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from libs.common.ids import new_id
from ops.demo.client import wait_for
from ops.layout import Layout
from ops.lifecycle import Platform
from ops.ports import is_free
from ops.settings import ROOT
from ops.testing import LivePlatform
from tests.certificates import Certificate, certificate
from tests.faults.healing import kill, wait_until_healed
from tests.journeys.inside import Inside
from tests.journeys.people import POLL_SECONDS, Studio

pytestmark = [pytest.mark.platform, pytest.mark.timeout(300)]

EXAMPLE = ROOT / "docs" / "examples" / "subscriber.py"
AMQPS_FROM = 30_500
NAME = "acme-books"
TYPES = ("tasks.film.created", "auth.user.registered")


@dataclass
class Outside:
    """Somebody who has what the operator printed, and runs the example of the documents."""

    connection: dict[str, Any]
    certificate: Certificate
    folder: Path
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def printed(self) -> Path:
        return self.folder / "printed.txt"

    def start(self) -> None:
        """Run the example, in a folder of its own."""
        environment = {
            "PATH": os.environ["PATH"],
            "AMQPS_URL": self.connection["url"],
            "QUEUE": self.connection["queue"],
            "AMQPS_CA": str(self.certificate.trusted),
        }
        with self.printed.open("ab") as printed, (self.folder / "errors.txt").open("ab") as errors:
            self.processes.append(
                subprocess.Popen(
                    [sys.executable, str(EXAMPLE)], cwd=self.folder, env=environment, stdout=printed, stderr=errors
                )
            )

    def stop(self) -> None:
        """End it in the middle of whatever it does."""
        for process in self.processes:
            process.kill()
            process.wait()

    def lines(self, word: str) -> list[str]:
        """What it worked on that holds this word."""
        return [line for line in self.printed.read_text(encoding="utf-8").splitlines() if word in line]

    def has_heard(self, word: str) -> list[str]:
        """Waits until it has worked on something with this word."""
        return wait_for(f"{word} outside", lambda: self.lines(word), 60.0, POLL_SECONDS)


@dataclass(frozen=True)
class Opened:
    """The platform with its door for subscribers open."""

    operations: Platform
    certificate: Certificate
    variables: dict[str, str]

    def lumiere(self, *words: str) -> Any:
        """`lumiere events … --json`, as an operator types it."""
        done = subprocess.run(
            [sys.executable, "-m", "ops.cli", "events", *words, "--json"],
            cwd=ROOT,
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def opened(platform: LivePlatform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    made = certificate(tmp_path_factory.mktemp("certificate"))
    port = next(port for port in range(AMQPS_FROM, AMQPS_FROM + 500) if is_free(port))
    settings = platform.layout.settings.model_copy(
        update={"lumiere_amqps_port": port, "lumiere_amqps_certificate": made.server}
    )
    operations = Platform(Layout(settings), durable=False)
    operations.up()
    variables = {
        "PATH": os.environ["PATH"],
        "LUMIERE_HOME": str(platform.layout.state),
        "LUMIERE_PORT": str(settings.lumiere_port),
        "LUMIERE_PORT_BASE": str(settings.lumiere_port_base),
        "LUMIERE_AMQPS_PORT": str(port),
        "LUMIERE_AMQPS_CERTIFICATE": str(made.server),
    }
    yield Opened(operations, made, variables)
    platform.operations.up()


@pytest.fixture(scope="module")
def outside(opened: Opened, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    types = [word for each in TYPES for word in ("--type", each)]
    somebody = Outside(
        opened.lumiere("subscribe", NAME, *types, "--personal"), opened.certificate, tmp_path_factory.mktemp("outside")
    )
    somebody.start()
    yield somebody
    somebody.stop()
    opened.lumiere("unsubscribe", NAME, "--yes")
    assert opened.lumiere("subscribers") == []


def test_a_subscriber_outside_hears_of_what_somebody_did(studio: Studio, outside: Outside) -> None:
    film = studio.film()

    (line,) = outside.has_heard(film.id)

    assert line == f"tasks.film.created {film.id} 1"


def test_a_personal_value_is_sealed_for_a_subscriber_too(studio: Studio, outside: Outside, inside: Inside) -> None:
    with inside.every_message() as passed:
        person = studio.newcomer("Jeanne Calvière")
        outside.has_heard(f"auth.user.registered {person.id}")

    assert [message for message in passed if person.id.encode() in message]
    assert not [message for message in passed if person.email.encode() in message or "Calvière".encode() in message]


def test_a_second_delivery_changes_nothing_and_unknown_fields_do_not_matter(outside: Outside, inside: Inside) -> None:
    def event(subject: str) -> bytes:
        return json.dumps(
            {
                "id": str(new_id()),
                "type": "tasks.film.created",
                "subject": subject,
                "sequence": f"{1:020d}",
                "added": {"later": [1]},
            }
        ).encode()

    twice, after = str(new_id()), str(new_id())
    body = event(twice)
    with inside.channel() as channel:
        for each in (body, body, event(after)):
            channel.basic_publish("", outside.connection["queue"], each)

    outside.has_heard(after)

    assert len(outside.lines(twice)) == 1


def test_what_happened_while_the_subscriber_was_away_is_read_later(studio: Studio, outside: Outside) -> None:
    outside.stop()
    film = studio.film()
    outside.start()

    assert len(outside.has_heard(film.id)) == 1


def test_subscriber_and_events_outlive_a_killed_broker_and_another_start(
    studio: Studio, platform: LivePlatform, opened: Opened, outside: Outside
) -> None:
    wait_until_healed(platform, "rabbitmq", kill(platform, "rabbitmq"))
    film = studio.film()
    assert len(outside.has_heard(film.id)) == 1

    platform.operations.supervisor.stop(["gateway", "rabbitmq"])
    opened.operations.up()
    another = studio.film()

    assert len(outside.has_heard(another.id)) == 1
    (standing,) = opened.lumiere("subscribers")
    assert (standing["name"], standing["types"]) == (NAME, sorted(TYPES))


def test_the_document_says_where_the_door_is(studio: Studio, opened: Opened, outside: Outside) -> None:
    document = studio.anyone.http.get(f"{studio.platform.origin}/asyncapi.json").json()

    assert document["servers"]["events"]["host"] == outside.connection["address"]
    assert set(TYPES) <= set(document["channels"])
