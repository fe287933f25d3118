"""Where things stand: folders, ports and names of one platform. Several may run on one machine, each with its own."""

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from libs.common.auth.policy import CRON
from ops.errors import OperationError
from ops.settings import ROOT, PlatformSettings

# A Unix socket's address holds 108 bytes; servers append a suffix of their own while they create it.
SOCKET_PATH_MAX = 90
REPLICAS_MAX = 16
INFRASTRUCTURE_PORTS = 20
DEFAULT_PROCESSES = ("web", "worker")


@dataclass(frozen=True, slots=True)
class Replica:
    """One process of a service: `tasks-worker-2` is the second worker of tasks."""

    service: str
    kind: str
    number: int

    @property
    def name(self) -> str:
        """The name under which the supervisor, the logs and the status table know it."""
        return f"{self.service}-{self.kind}-{self.number}"


@dataclass(frozen=True)
class Layout:
    """Folders and ports of one platform, derived from the settings alone."""

    settings: PlatformSettings
    root: Path = ROOT

    @cached_property
    def state(self) -> Path:
        """The state folder, absolute."""
        return Path(os.path.abspath(self.settings.lumiere_home.expanduser()))  # noqa: PTH100 - links stay as the operator wrote them

    @cached_property
    def identity(self) -> str:
        """Twelve characters that tell this platform from others on the machine."""
        return hashlib.sha256(str(self.state).encode()).hexdigest()[:12]

    @property
    def as_root(self) -> bool:
        """Whether this user is root."""
        return os.geteuid() == 0

    @property
    def logs(self) -> Path:
        """One log file a process, rotated."""
        return self.state / "logs"

    @property
    def run(self) -> Path:
        """Generated configuration and locks; worthless once everything is stopped."""
        return self.state / "run"

    @property
    def mail(self) -> Path:
        """Every e-mail of a development platform, as `.eml`."""
        return self.state / "mail"

    @property
    def secrets(self) -> Path:
        """Generated secrets, a file each, for this user only."""
        return self.state / "secrets"

    @property
    def backups(self) -> Path:
        """Backups and their record."""
        given = self.settings.lumiere_backup_folder
        return self.state / "backups" if given is None else Path(os.path.abspath(given.expanduser()))  # noqa: PTH100 - as above

    @property
    def incidents(self) -> Path:
        """The timelines of incidents, a folder each."""
        return self.settings.lumiere_incidents or self.state / "incidents"

    @cached_property
    def sockets(self) -> Path:
        """A folder whose path is short enough for Unix sockets: in the state folder, else below the temporary folder."""
        longest = len(os.fsencode(self.run / "supervisor.sock"))
        return (
            self.run if longest <= SOCKET_PATH_MAX else Path(tempfile.gettempdir()) / f"lumiere-{os.geteuid()}-{self.identity}"
        )

    @property
    def supervisor_socket(self) -> Path:
        """Where the supervisor is spoken to."""
        return self.sockets / "supervisor.sock"

    @property
    def gateway_folder(self) -> Path:
        """The gateway's compiled configuration and admin socket."""
        return self.state / "gateway"

    @property
    def targets(self) -> Path:
        """Which replicas the gateway may send requests to."""
        return self.run / "targets.json"

    @property
    def origin(self) -> str:
        """The public base address."""
        return f"http://127.0.0.1:{self.settings.lumiere_port}"

    def port(self, offset: int) -> int:
        """An inner port. Raises OperationError when the range does not fit below 65536."""
        port = self.settings.lumiere_port_base + offset
        if port > 65_535:
            raise OperationError(
                f"LUMIERE_PORT_BASE={self.settings.lumiere_port_base} leaves no room for port {port}: choose a lower one."
            )
        return port

    @property
    def postgres_port(self) -> int:
        """Private Postgres."""
        return self.port(0)

    @property
    def amqp_port(self) -> int:
        """Private RabbitMQ, AMQP 0-9-1."""
        return self.port(1)

    @property
    def management_port(self) -> int:
        """Private RabbitMQ, management HTTP."""
        return self.port(2)

    @property
    def distribution_port(self) -> int:
        """Private RabbitMQ, Erlang distribution."""
        return self.port(3)

    @property
    def epmd_port(self) -> int:
        """Private Erlang port mapper."""
        return self.port(4)

    @property
    def metrics_port(self) -> int:
        """The gateway's figures, for a Prometheus on this machine."""
        return self.port(5)

    @cached_property
    def services(self) -> dict[str, tuple[str, ...]]:
        """Every folder below `services/` with the kinds of process it runs, from its policy manifest.

        The operator's image holds the manifests without the code; a service that is just being written has code alone.
        """
        services = self.root / "services"
        folders = sorted({path.parent for name in ("app.py", "policy.json") for path in services.glob(f"*/{name}")})
        return {folder.name: _processes(folder / "policy.json") for folder in folders}

    def jobs(self, service: str) -> list[str]:
        """The jobs of a service that schedulers may run, from its policy manifest."""
        policy = json.loads((self.root / "services" / service / "policy.json").read_bytes())
        return [Path(route["path"]).name for route in policy["routes"] if route["allow"] == CRON]

    def replica_port(self, replica: Replica) -> int:
        """The port of one process: a block of sixteen for each service and kind, in alphabetical order."""
        blocks = [(service, kind) for service, kinds in self.services.items() for kind in kinds]
        return self.port(
            INFRASTRUCTURE_PORTS + blocks.index((replica.service, replica.kind)) * REPLICAS_MAX + replica.number - 1
        )

    def prepare(self) -> None:
        """Create the folders that are this user's alone. Raises OperationError when somebody else owns one."""
        for folder in (self.state, self.logs, self.run, self.mail, self.secrets, self.sockets, self.gateway_folder):
            _private_folder(folder)
        if self.as_root:
            # The postgres user passes through to its data; the folders beside them stay closed.
            self.state.chmod(0o711)


def _processes(manifest: Path) -> tuple[str, ...]:
    if not manifest.exists():
        return DEFAULT_PROCESSES
    declared = json.loads(manifest.read_text(encoding="utf-8")).get("processes", DEFAULT_PROCESSES)
    return tuple(declared)


def _private_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = folder.lstat().st_uid
    except OSError as error:
        raise OperationError(
            f"{folder} cannot be created ({error.strerror}). Choose a state folder with LUMIERE_HOME."
        ) from error
    if owner != os.geteuid():
        raise OperationError(f"{folder} belongs to another user. Run as that user, or choose a state folder with LUMIERE_HOME.")


def scale_of(text: str, services: dict[str, tuple[str, ...]]) -> dict[tuple[str, str], int]:
    """Read `tasks=2 tasks-worker=3` as replicas by service and kind; a bare service name means web. Raises OperationError."""
    wanted: dict[tuple[str, str], int] = {}
    for word in text.replace(",", " ").split():
        name, _, number = word.partition("=")
        service, _, kind = name.partition("-")
        known = service in services and (kind or "web") in services[service]
        if not known:
            names = ", ".join(f"{each}-{one}" for each, kinds in services.items() for one in kinds)
            raise OperationError(
                f"No process is called {name}. Known ones: {names}; a bare service name means its web process."
            )
        if not number.isdecimal() or not 0 <= int(number) <= REPLICAS_MAX:
            raise OperationError(f"{word}: write {name}=N with N from 0 to {REPLICAS_MAX}.")
        wanted[service, kind or "web"] = int(number)
    return wanted
