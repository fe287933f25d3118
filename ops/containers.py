"""The platform in containers, driven through `docker compose`."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from libs.common.config import process_environment
from ops.errors import OperationError
from ops.settings import ROOT

DEPLOY: Final = ROOT / "deploy"
BASE: Final = "compose.yml"
DEMO: Final = "demo.yml"
MAIL: Final = "/var/lib/lumiere/mail"
DEFAULT_PORT: Final = "8080"
READY_SECONDS: Final = 420
ERROR_LINES: Final = 20


@dataclass(frozen=True, slots=True)
class Container:
    """One container as the engine sees it."""

    id: str
    name: str
    service: str
    state: str
    """running, exited, restarting …"""
    health: str
    """healthy, unhealthy, starting; empty where nobody checks."""
    exit_code: int

    @property
    def well(self) -> bool:
        """Whether it runs and nobody says that it is not well, or has done what it was for."""
        return (self.state == "running" and self.health in {"", "healthy"}) or (self.state, self.exit_code) == ("exited", 0)


class Containers:
    """One compose project of deploy/. `variables` go into the environment of every command, beside our own."""

    def __init__(
        self,
        overlays: Iterable[str | Path] = (),
        *,
        project: str | None = None,
        variables: Mapping[str, str] | None = None,
        profiles: Iterable[str] = (),
    ) -> None:
        self.files = [DEPLOY / each for each in (BASE, *overlays)]
        self.project = project
        self.profiles = tuple(profiles)
        self.variables = dict(variables or {})
        self._environment = process_environment() | self.variables

    @property
    def origin(self) -> str:
        """The public base address."""
        port = self._environment.get("LUMIERE_PORT") or DEFAULT_PORT
        return self._environment.get("LUMIERE_ORIGIN") or f"http://127.0.0.1:{port}"

    def up(self, *services: str, scale: Mapping[str, int] | None = None) -> None:
        """Start what does not run and wait until all is well. Raises OperationError that says what is not."""
        self.run("up", "--detach", "--wait", "--wait-timeout", str(READY_SECONDS), *self._scaled(scale or {}), *services)

    def scale(self, wanted: Mapping[str, int]) -> None:
        """So many replicas of these services, the others left as they are; returns once new ones are well and old ones gone."""
        self.run("up", "--detach", "--no-deps", "--no-recreate", "--wait", *self._scaled(wanted), *wanted)

    @staticmethod
    def _scaled(wanted: Mapping[str, int]) -> list[str]:
        return [argument for name, count in wanted.items() for argument in ("--scale", f"{name}={count}")]

    def down(self, *, volumes: bool = False) -> None:
        """Stop and remove everything; with `volumes` the data too."""
        self.run("down", "--remove-orphans", *(["--volumes"] if volumes else []))

    def states(self) -> list[Container]:
        """Every container of the project, also those that ended."""
        lines = self.run("ps", "--all", "--format", "json").splitlines()
        return sorted((_container(json.loads(line)) for line in lines if line.startswith("{")), key=lambda each: each.name)

    def of(self, service: str) -> list[Container]:
        """The containers of one service."""
        return [each for each in self.states() if each.service == service]

    def execute(self, service: str, *command: str, given: str | None = None, index: int = 1) -> str:
        """Run a command in a running container; what it printed. Raises OperationError."""
        return self.run("exec", "-T", "--index", str(index), service, *command, given=given)

    def configuration(self) -> dict[str, Any]:
        """The project as compose understands it: files merged, variables filled in."""
        found: dict[str, Any] = json.loads(self.run("config", "--format", "json"))
        return found

    def run(self, *arguments: str, given: str | None = None) -> str:
        """One `docker compose` command; what it printed. Raises OperationError with its last words."""
        return docker(*self._command(arguments), environment=self._environment, given=given)

    def outcome(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The same, where an exit code other than 0 is an answer. Raises OperationError only where there is no docker."""
        return ask_docker(*self._command(arguments), environment=self._environment)

    def _command(self, arguments: Sequence[str]) -> list[str]:
        named = ["--project-name", self.project] if self.project else []
        files = [argument for path in self.files for argument in ("--file", str(path))]
        profiles = [argument for each in self.profiles for argument in ("--profile", each)]
        return ["compose", *named, *files, *profiles, *arguments]

    # ---- what an operator does with a platform

    def create_admin(self, email: str, password: str) -> str:
        """Make an administrator in auth; returns what auth says. Raises OperationError."""
        return self.execute("auth", "python", "-m", "services.auth", "admin-create", email, given=password + "\n").strip()

    @contextmanager
    def letters(self) -> Iterator["CopiedMail"]:
        """The e-mails of a project with deploy/demo.yml, copied out of its containers whenever somebody looks."""
        with tempfile.TemporaryDirectory(prefix="lumiere-mail-") as folder:
            yield CopiedMail(self, Path(folder))


@dataclass(frozen=True, slots=True)
class CopiedMail:
    """A folder that is inside containers."""

    containers: Containers
    folder: Path
    name: str = "mail"

    def glob(self, pattern: str, /) -> Iterable[Path]:
        """What is there now."""
        self.containers.run("cp", f"notify-worker:{MAIL}/.", str(self.folder))
        return self.folder.glob(pattern)


def docker(*arguments: str, environment: Mapping[str, str] | None = None, given: str | None = None) -> str:
    """One command of the engine's client; what it printed. Raises OperationError with its last words."""
    done = ask_docker(*arguments, environment=environment, given=given)
    if done.returncode != 0:
        words = _words(arguments)
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise OperationError(
            f"`docker {words}` failed (exit code {done.returncode}): {lines[-1] if lines else 'it said nothing'}",
            details="\n".join(lines[-ERROR_LINES:]),
        )
    return done.stdout


def ask_docker(
    *arguments: str, environment: Mapping[str, str] | None = None, given: str | None = None
) -> subprocess.CompletedProcess[str]:
    """The same with whatever it answers. Raises OperationError only where there is no such client."""
    return subprocess.run(
        [client(), *arguments],
        env=None if environment is None else dict(environment),
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )


def client() -> str:
    """The engine's client. Raises OperationError."""
    program = shutil.which("docker")
    if program is None:
        raise OperationError("`docker` is not installed here. Install Docker Engine with the compose plugin, or use `make up`.")
    return program


def _words(arguments: Sequence[str]) -> str:
    """A command without the files and names that are the same every time."""
    words = list(arguments)
    while len(words) > 2 and words[1].startswith("--"):
        del words[1:3]
    return " ".join(words[:4])


def _container(row: Mapping[str, Any]) -> Container:
    return Container(
        row["ID"], row["Name"], row["Service"], row["State"].lower(), row.get("Health", "").lower(), int(row.get("ExitCode", 0))
    )
