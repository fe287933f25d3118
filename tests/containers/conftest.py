"""What stands on a real container engine; without one these tests are skipped, and say so loudly.

One platform for the whole run, with a project name, secrets and a port of its own: built, started and measured here, removed at
the end with its data. `LUMIERE_TAG=…` in the environment runs images that are there already.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final, cast

import pytest

from libs.common.config import process_environment
from ops import compose
from ops.containers import DEMO, Container, Containers
from ops.demo.mailbox import Letters
from ops.ports import is_free
from tests.faults.report import PROPERTY
from tests.journeys.people import Film, Person, Studio

SKIPPED = "no container engine answers: start one, or set DOCKER_HOST, and run `make compose-test` again"
PROJECT: Final = "lumiere-test"
TAG: Final = "test"
PORTS: Final = range(28_400, 28_500)
RACERS: Final = {"provision": 2, "tasks-migrate": 3}
"""One-shot jobs that the first start lets race on an empty database."""


@pytest.fixture(scope="session", autouse=True)
def engine() -> str:
    """The `docker` command, once its engine has answered."""
    docker = shutil.which("docker")
    if docker is None:
        pytest.skip(SKIPPED)
    asked = subprocess.run([docker, "info", "--format", "{{.ServerVersion}}"], capture_output=True, text=True, check=False)
    if asked.returncode != 0 or not asked.stdout.strip():
        pytest.skip(SKIPPED)
    return docker


@dataclass(frozen=True)
class Running:
    """The platform in containers, as people (`Studio`) and operators know it."""

    operations: Containers
    mail: Letters
    state: Path
    """Its secrets."""
    begun_with: tuple[Container, ...]
    """Every container of the first start."""
    build_seconds: float
    start_seconds: float

    @property
    def origin(self) -> str:
        """The gateway's address."""
        return self.operations.origin


@pytest.fixture(scope="session")
def variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of `docker compose`."""
    port = next(port for port in PORTS if is_free(port))
    secrets = tmp_path_factory.mktemp("secrets")
    compose.prepare(secrets)
    return {
        "LUMIERE_TAG": process_environment().get("LUMIERE_TAG") or TAG,
        "LUMIERE_SECRETS": str(secrets),
        "LUMIERE_PORT": str(port),
        "LUMIERE_ORIGIN": f"http://127.0.0.1:{port}",
    }


@pytest.fixture(scope="session")
def running(engine: str, variables: dict[str, str]) -> Iterator[Running]:
    """The platform with deploy/demo.yml. What it could not do is shown with the states of its containers."""
    containers = Containers([DEMO], project=PROJECT, variables=variables)
    containers.down(volumes=True)
    try:
        begun = monotonic()
        if not process_environment().get("LUMIERE_TAG"):
            containers.run("build")
        built = monotonic()
        containers.up(scale=RACERS)
        started = monotonic()
        first = tuple(containers.states())
        with containers.letters() as letters:
            yield Running(containers, letters, Path(variables["LUMIERE_SECRETS"]), first, built - begun, started - built)
    finally:
        containers.down(volumes=True)


@pytest.fixture(scope="session")
def people(running: Running) -> Iterator[Studio]:
    """Two administrators, and as many contributors as a test wants."""
    studio = Studio(cast(Any, running))  # of a platform it uses what both kinds have
    yield studio
    studio.close()


@pytest.fixture(scope="session")
def contributor(people: Studio) -> Person:
    """Somebody who finishes tasks."""
    return people.newcomer("Bleuette")


@pytest.fixture(scope="session")
def film(people: Studio) -> Film:
    """Something to work on."""
    return people.film()


@pytest.fixture
def say(record_property: Callable[[str, object], None]) -> "Say":
    """Tell a figure at the end of the run."""
    return Say(record_property)


@dataclass(frozen=True)
class Say:
    """Lines that the run ends with."""

    record: Callable[[str, object], None]

    def __call__(self, line: str) -> None:
        """One line."""
        self.record(PROPERTY, line)
