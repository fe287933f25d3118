"""What the boxes look at: one platform, with connections that are made when a box first asks for them."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from libs.common.db import Reader
from libs.common.db.figures import FIGURES_VIEW
from libs.common.db.provision import monitor_engine
from ops.doctor.box import NotExamined, Target
from ops.doctor.processes import Address, Process, Unread, read
from ops.lifecycle import Platform
from ops.management import Management

ANSWER_SECONDS: Final = 5.0
T = TypeVar("T")


@dataclass(frozen=True)
class Addresses:
    """Where everything is reached from here; None where it is not known here."""

    origin: str
    """The public base address, which people and tokens name."""
    gateway: str
    """The gateway as it is reached from here: the origin, or its name inside the network."""
    database: str | None
    """As the monitoring role."""
    management: str | None
    """The broker's management API, as the operator."""
    redis: str | None
    """With its password; None when none is used."""
    processes: Callable[[], list[Address]]
    """Where every process tells of itself."""


@dataclass
class Examined:
    """One platform under examination. Safe to ask from several threads; what is costly is asked once."""

    target: Target
    production: bool
    """Whether it is judged as production is."""
    services: Mapping[str, tuple[str, ...]]
    """Every service with the kinds of its processes."""
    addresses: Addresses
    root: Path
    """The code: a repository, or what of it is in this container."""
    secrets: Path | None = None
    """The folder of secret files, where this user has one."""
    folders: tuple[Path, ...] = ()
    """Data, logs and secrets, as far as they stand on this machine."""
    operations: Platform | None = None
    """The platform on this machine, for what only its supervisor and its services' own commands know."""
    _kept: dict[str, "_Once"] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    # ---- Postgres

    @contextmanager
    def database(self) -> Iterator[Reader]:
        """Statements as the monitoring role: catalogues, statistics, figures; no row of a service. Raises NotExamined."""
        if self.addresses.database is None:
            raise NotExamined("the database's address is not known here: set MONITORING_DATABASE_URL")
        url = self.addresses.database
        engine: Engine = self.once("engine", lambda: monitor_engine(url))
        try:
            with engine.connect() as connection:
                yield Reader(connection)
        except SQLAlchemyError as error:
            # The message may quote the address.
            raise NotExamined(f"the database does not answer or refuses ({type(error).__name__})") from error

    def figures(self, service: str) -> Mapping[str, float | None]:
        """What a service's schema says of itself in numbers (`libs.common.db.figures`). Raises NotExamined."""

        def asked() -> Mapping[str, float | None]:
            with self.database() as db:
                rows = db.all(text(f'SELECT figure, value FROM "{service}".{FIGURES_VIEW}'))  # noqa: S608 — a folder's name
            return {row.figure: row.value for row in rows}

        return self.once(f"figures of {service}", asked)

    # ---- the broker

    def broker(self, ask: Callable[[Management], T]) -> T:
        """One question to the broker's management API, as the operator. Raises NotExamined, OperationError."""
        if self.addresses.management is None:
            raise NotExamined("the broker's management API is not known here: set AMQP_MANAGEMENT_URL")
        with Management(self.addresses.management) as management:
            return ask(management)

    def queues(self) -> Mapping[str, Mapping[str, Any]]:
        """Every queue by name, as the broker describes it. Raises NotExamined, OperationError."""
        return self.once("queues", lambda: {each["name"]: each for each in self.broker(Management.queues)})

    # ---- the gateway

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request through the gateway, as somebody outside; redirects are not followed. Raises NotExamined."""
        client: httpx.Client = self.once("client", self._client)
        try:
            return client.request(method, path, **options)
        except httpx.HTTPError as error:
            raise NotExamined(f"the gateway does not answer ({type(error).__name__})") from error

    def _client(self) -> httpx.Client:
        host = httpx.URL(self.addresses.origin).netloc.decode()
        # Certificates are a box of their own: the others look at what is behind them.
        return httpx.Client(
            base_url=self.addresses.gateway,
            headers={"Host": host},
            timeout=ANSWER_SECONDS,
            trust_env=False,
            verify=False,  # noqa: S501
        )

    # ---- processes

    def processes(self) -> list[Process]:
        """What every process says of itself; one that does not answer is left out, see `silent`. Raises NotExamined."""
        return [each for each in self._told() if isinstance(each, Process)]

    def silent(self) -> list[str]:
        """The processes that do not say anything."""
        return [each.name for each in self._told() if isinstance(each, Unread)]

    def _told(self) -> list[Process | Unread]:
        return self.once("processes", lambda: read(self.addresses.processes()))

    # ---- once

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What `make` gives, or raises, asked once however many boxes want it."""
        with self._lock:
            kept = self._kept.setdefault(name, _Once(make))
        value: T = kept.get()
        return value


class _Once:
    """A value that is made when it is first asked for; a failure is kept too: boxes do not queue up for the same time-out."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: tuple[Any, BaseException | None] | None = None

    def get(self) -> Any:
        """The value. Raises what making it raised."""
        with self._lock:
            if self._made is None:
                try:
                    self._made = (self._make(), None)
                except Exception as error:  # noqa: BLE001 — raised again for whoever asks
                    self._made = (None, error)
        value, failure = self._made
        if failure is not None:
            raise failure
        return value
