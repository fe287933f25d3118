"""What the boxes look at: one platform, with connections that are made when a box first asks for them."""

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx
from sqlalchemy import Engine as Pool
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from libs.common.db import Reader
from libs.common.db.figures import FIGURES_VIEW
from libs.common.db.provision import monitor_engine
from libs.common.service import Service
from ops.doctor.box import NotExamined, Target
from ops.doctor.engine import Engine
from ops.doctor.processes import Address, Process, Unread, read
from ops.doctor.tls import Peer, handshake, place
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
    gateway_plain: str | None
    """Where the gateway leads plain HTTP to HTTPS, inside the network; None where the origin's port 80 is all there is."""
    database: str | None
    """As the monitoring role."""
    management: str | None
    """The broker's management API, as the operator."""
    gateway_metrics: str
    """What the gateway says of itself; HAProxy's own figures stand below it at `/haproxy`."""
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
    trust: ssl.SSLContext | None = None
    """What the processes show and ask for, where they speak TLS to each other."""
    secrets: Path | None = None
    """The folder of secret files, where this user has one."""
    backups: Path | None = None
    """The folder of backups and of their record, where it is on this machine."""
    state: Path | None = None
    """The platform's state folder, where it is on this machine."""
    folders: tuple[Path, ...] = ()
    """Data, logs and secrets, as far as they stand on this machine."""
    operations: Platform | None = None
    """The platform on this machine, for what only its supervisor and its services' own commands know."""
    engine: Engine | None = None
    """The container engine that runs the platform, where the doctor stands outside of it."""
    _kept: dict[str, "_Once"] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _opened: ExitStack = field(default_factory=ExitStack, repr=False)

    def close(self) -> None:
        """Let go of every connection."""
        self._opened.close()

    # ---- the code

    def code(self) -> list[Service]:
        """What every service declares: tables, subscriptions, revisions."""
        return self.once("code", lambda: [import_module(f"services.{name}.app").service for name in self.services])

    # ---- Postgres

    @contextmanager
    def database(self) -> Iterator[Reader]:
        """Statements as the monitoring role: catalogues, statistics, figures; no row of a service. Raises NotExamined."""
        if self.addresses.database is None:
            raise NotExamined("the database's address is not known here: set MONITORING_DATABASE_URL")
        url = self.addresses.database
        pool: Pool = self.once("pool", lambda: self._pool(url))
        try:
            with pool.connect() as connection:
                yield Reader(connection)
        except SQLAlchemyError as error:
            # The message may quote the address.
            raise NotExamined(f"the database does not answer or refuses ({type(error).__name__})") from error

    def _pool(self, url: str) -> Pool:
        made = monitor_engine(url)
        self._opened.callback(made.dispose)
        return made

    def figures(self, service: str) -> Mapping[str, float | None]:
        """What a service's schema says of itself in numbers (`libs.common.db.figures`). Raises NotExamined."""

        def asked() -> Mapping[str, float | None]:
            with self.database() as db:
                # A folder's name, which cannot be bound.
                # nosemgrep: sql-built-from-text
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
        return self.once("queues", lambda: {each["name"]: each for each in self.broker(lambda broker: broker.queues())})

    # ---- the gateway

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request through the gateway, as somebody outside; redirects are not followed. Raises NotExamined."""
        client: httpx.Client = self.once("client", self._client)
        try:
            name = httpx.URL(self.addresses.origin).host
            return client.request(method, path, extensions={"sni_hostname": name}, **options)
        except httpx.HTTPError as error:
            raise NotExamined(f"the gateway does not answer ({type(error).__name__})") from error

    def ask_plain(self, path: str) -> httpx.Response:
        """The same over plain HTTP, where that leads to HTTPS. Raises NotExamined."""
        host = httpx.URL(self.addresses.origin).host
        tries = [f"http://{host}", *([self.addresses.gateway_plain] if self.addresses.gateway_plain else [])]
        for base in tries:
            try:
                return httpx.get(base + path, headers={"Host": host}, timeout=ANSWER_SECONDS, trust_env=False)
            except httpx.HTTPError:
                continue
        raise NotExamined(f"nothing answers plain HTTP at {' or '.join(tries)}")

    def peer(self) -> Peer:
        """Who answers the TLS handshake for the origin's name: the gateway, or what stands before it. Raises NotExamined."""
        return self.once("peer", self._peer)

    def _peer(self) -> Peer:
        name, port = place(self.addresses.origin)
        for host, at in (place(self.addresses.gateway), (name, port)):
            try:
                found = handshake(host, at, name)
            except OSError:
                continue
            if found is not None:
                return found
        raise NotExamined(f"nothing that can be reached from here answers a TLS handshake for {name}")

    def _client(self) -> httpx.Client:
        origin, gateway = httpx.URL(self.addresses.origin), httpx.URL(self.addresses.gateway)
        # Certificates are a box of their own: the others look at what is behind them.
        client = httpx.Client(  # nosemgrep: verification-switched-off
            base_url=gateway.copy_with(scheme="https") if origin.scheme == "https" and self._encrypted(gateway) else gateway,
            headers={"Host": origin.netloc.decode()},
            timeout=ANSWER_SECONDS,
            trust_env=False,
            verify=False,  # noqa: S501
        )
        return self._opened.enter_context(client)

    def _encrypted(self, gateway: httpx.URL) -> bool:
        try:
            return handshake(*place(str(gateway)), place(self.addresses.origin)[0]) is not None
        except OSError:
            return False

    def haproxy(self) -> str:
        """HAProxy's own figures, as Prometheus reads them. Raises NotExamined."""
        try:
            return httpx.get(f"{self.addresses.gateway_metrics}/haproxy", timeout=ANSWER_SECONDS, trust_env=False).text
        except httpx.HTTPError as error:
            raise NotExamined(f"the gateway's figures are not to be had ({type(error).__name__})") from error

    # ---- processes

    def processes(self) -> list[Process]:
        """What every process says of itself; one that does not answer is left out, see `silent`. Raises NotExamined."""
        return [each for each in self._told() if isinstance(each, Process)]

    def silent(self) -> list[str]:
        """The processes that do not say anything."""
        return [each.name for each in self._told() if isinstance(each, Unread)]

    def _told(self) -> list[Process | Unread]:
        return self.once("processes", lambda: read(self.addresses.processes(), self.trust))

    def around(self) -> Engine:
        """The container engine that runs the platform. Raises NotExamined where the doctor does not stand outside of it."""
        if self.engine is None:
            raise NotExamined("the container engine is not known here")
        return self.engine

    def ask_service(self, service: str, *arguments: str) -> str:
        """What one of a service's own commands prints, run with that service's rights. Raises NotExamined, OperationError."""
        if self.operations is not None:
            return self.operations.ask(service, *arguments)
        if self.engine is not None:
            return self.engine.execute(service, "python", "-m", f"services.{service}", *arguments)
        raise NotExamined("a service's own commands cannot be run from here")

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
