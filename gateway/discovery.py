"""Which replicas requests may go to: from a file that operations write, or from the network's names."""

import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from gateway import manifest
from gateway.compiler import TargetError, Targets

WEB, STREAM = "web", "stream"
SERVED = (WEB, STREAM)
PORT = 8000

Resolve = Callable[[str], list[str]]


class TargetSource(Protocol):
    """Where replicas are listed."""

    def read(self) -> Targets:
        """The replicas by service and process. Raises TargetError."""

    def fingerprint(self) -> object:
        """Changes when the replicas may have."""


class _TargetFile(BaseModel):
    model_config = ConfigDict(strict=True)

    targets: dict[str, dict[str, list[str]]]


class FileTargets:
    """A JSON file: service → process → addresses; none while the file is not there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Targets:
        """The replicas that the file names. Raises TargetError."""
        try:
            return _TargetFile.model_validate_json(b'{"targets":' + self._path.read_bytes() + b"}").targets
        except FileNotFoundError:
            return {}
        except ValidationError as error:
            raise TargetError(
                f"{self._path.name} must map service → process → list of host:port ({error.error_count()} faults)"
            ) from None

    def fingerprint(self) -> object:
        """The file's age and size."""
        if not self._path.exists():
            return None
        facts = self._path.stat()
        return facts.st_mtime_ns, facts.st_size


class NamedTargets:
    """Every address behind the names `<service>` and `<service>-stream`, as container networks answer them."""

    def __init__(self, manifests: Callable[[], Iterable[Path]], resolve: Resolve | None = None) -> None:
        self._manifests = manifests
        self._resolve = resolve or addresses_of

    def read(self) -> Targets:
        """The replicas that answer to a name now; a name without an address has none."""
        found: dict[str, dict[str, list[str]]] = {}
        for each in manifest.read(self._manifests()):
            if each.service == manifest.GATEWAY:
                continue
            processes = {route.process for route in each.routes} & set(SERVED)
            found[each.service] = {process: self._replicas(each.service, process) for process in sorted(processes)}
        return found

    def fingerprint(self) -> object:
        """The addresses themselves."""
        return self.read()

    def _replicas(self, service: str, process: str) -> list[str]:
        name = service if process == WEB else f"{service}-{process}"
        return [f"{address}:{PORT}" for address in self._resolve(name)]


def addresses_of(name: str) -> list[str]:
    """The IPv4 addresses of a name, sorted; none when it is not known."""
    try:
        answers = socket.getaddrinfo(name, PORT, socket.AF_INET, socket.SOCK_STREAM)
    except OSError:
        return []
    return sorted({str(answer[4][0]) for answer in answers})
