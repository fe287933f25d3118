"""Which replicas requests may go to: from a file that operations write, or from the network's names."""

import socket
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from gateway import limits, manifest
from gateway.door import TargetError, Targets
from libs.common import clock

WEB, STREAM = "web", "stream"
SERVED = (WEB, STREAM)
PORT = 8000
UNKNOWN_NAME = frozenset({socket.EAI_NONAME, socket.EAI_NODATA})

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


@dataclass(frozen=True, slots=True)
class KnownTargets:
    """What somebody else has read."""

    targets: Targets

    def read(self) -> Targets:
        """The replicas as they were told."""
        return self.targets

    def fingerprint(self) -> object:
        """The replicas themselves."""
        return self.targets


class NamedTargets:
    """Every address behind the names `<service>` and `<service>-stream`, as container networks answer them.

    A name server that does not answer takes no replica away: what it said last holds for a while, and health checks tell who is
    gone.
    """

    def __init__(self, manifests: Callable[[], Iterable[Path]], resolve: Resolve | None = None) -> None:
        self._manifests = manifests
        self._resolve = resolve or addresses_of
        self._lookups = ThreadPoolExecutor(limits.LOOKUPS_AT_ONCE, "lookup")
        self._known: dict[str, tuple[float, list[str]]] = {}

    def read(self) -> Targets:
        """The replicas that answer to a name now; a name without an address has none."""
        wanted: dict[str, list[str]] = {}
        for each in manifest.read(self._manifests()):
            if each.service != manifest.GATEWAY:
                wanted[each.service] = sorted({route.process for route in each.routes} & set(SERVED))
        found = self._addresses({_name(service, process) for service, processes in wanted.items() for process in processes})
        return {
            service: {process: [f"{each}:{PORT}" for each in found[_name(service, process)]] for process in processes}
            for service, processes in wanted.items()
        }

    def fingerprint(self) -> object:
        """The addresses themselves."""
        return self.read()

    def _addresses(self, names: Iterable[str]) -> dict[str, list[str]]:
        """Look all names up side by side."""
        lookups = {name: self._lookups.submit(self._resolve, name) for name in sorted(names)}
        wait(lookups.values(), limits.LOOKUP_SECONDS)
        return {name: self._answer(name, lookup) for name, lookup in lookups.items()}

    def _answer(self, name: str, lookup: Future[list[str]]) -> list[str]:
        now = clock.monotonic()
        if lookup.done() and lookup.exception() is None:
            self._known[name] = now, lookup.result()
        else:
            lookup.cancel()
        answered_at, addresses = self._known.get(name, (now, []))
        return addresses if now - answered_at <= limits.LOOKUP_KEPT_SECONDS else []


def _name(service: str, process: str) -> str:
    return service if process == WEB else f"{service}-{process}"


def addresses_of(name: str) -> list[str]:
    """The IPv4 addresses of a name, sorted; none when it is not known. Raises OSError when nobody could say."""
    try:
        answers = socket.getaddrinfo(name, PORT, socket.AF_INET, socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in UNKNOWN_NAME:
            return []
        raise
    return sorted({str(answer[4][0]) for answer in answers})
