"""The container engine that runs the platform: what its containers and images are, as `docker inspect` tells it."""

import json
import subprocess
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from ops.containers import Containers, client, docker
from ops.errors import OperationError

OURS: Final = "lumiere/"
"""In the name of every image of ours, whatever registry it is in."""
SERVICE_LABEL: Final = "com.docker.compose.service"
ONE_OFF_LABEL: Final = "com.docker.compose.oneoff"
Inspected = Mapping[str, Any]


@dataclass(frozen=True)
class Engine:
    """One compose project on this machine's engine."""

    project: Containers

    @cached_property
    def configuration(self) -> Inspected:
        """The project as compose understands it. Raises OperationError."""
        return self.project.configuration()

    @cached_property
    def containers(self) -> list[Inspected]:
        """Every container of the project, stopped ones too, but those of `run`. Raises OperationError."""
        ids = [each.id for each in self.project.states()]
        if not ids:
            raise OperationError(
                "The project has no container. Start it with `docker compose … up --wait` (deploy/compose.yml)."
            )
        found: list[Inspected] = json.loads(docker("inspect", *ids))
        return [each for each in found if each["Config"]["Labels"].get(ONE_OFF_LABEL, "False").lower() != "true"]

    @property
    def running(self) -> list[Inspected]:
        """Those that run."""
        return [each for each in self.containers if each["State"]["Running"]]

    def service(self, container: Inspected) -> str:
        """The name that compose.yml has for it."""
        return str(container["Config"]["Labels"][SERVICE_LABEL])

    def images(self, services: Iterable[str]) -> dict[str, Inspected]:
        """Image id → what the engine knows of it, of these services' containers."""
        chosen = {each["Image"] for each in self.containers if self.service(each) in set(services)}
        found: list[Inspected] = json.loads(docker("image", "inspect", *sorted(chosen))) if chosen else []
        return {str(each["Id"]): each for each in found}

    def built_services(self) -> list[str]:
        """The services that run images of ours, rather than those of databases and brokers."""
        services: Mapping[str, Inspected] = self.configuration["services"]
        return sorted(name for name, each in services.items() if "build" in each or OURS in str(each.get("image", "")))

    def files_in(self, image: str) -> list[str]:
        """The paths of all files in an image; nothing of it is run."""
        container = docker("create", "--network", "none", image, "nothing").strip()
        try:
            with subprocess.Popen([client(), "export", container], stdout=subprocess.PIPE) as exported:
                assert exported.stdout is not None  # noqa: S101 — it is a pipe
                with tarfile.open(fileobj=exported.stdout, mode="r|") as archive:
                    return [member.name for member in archive]
        finally:
            docker("rm", "--force", container)

    def secrets(self) -> Path | None:
        """The folder of secret files that the project mounts; None when it mounts none."""
        files = [Path(each["file"]) for each in self.configuration.get("secrets", {}).values() if "file" in each]
        return files[0].parent if files else None

    def execute(self, service: str, *command: str) -> str:
        """Run a command in a container of a service, as its own user; returns what it prints. Raises OperationError."""
        return self.project.execute(service, *command)

    def doctor(self, arguments: Sequence[str]) -> list[dict[str, Any]]:
        """What `lumiere doctor` finds in a container beside the platform's. Raises OperationError."""
        done = self.project.outcome("run", "--rm", "-T", "--no-deps", "operator", "doctor", "--json", *arguments)
        try:
            answers: list[dict[str, Any]] = json.loads(done.stdout)
        except ValueError:
            raise OperationError(
                "The doctor could not run in the operator's container.", details=(done.stderr or done.stdout).strip()
            ) from None
        return answers
