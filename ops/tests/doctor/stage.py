"""A platform that is in every way as production should be, made of what the boxes look at; a fault changes one thing.

The answers have the form of the real ones: `tests/journeys/test_doctor.py` asks the same boxes of a running platform.
"""

# ruff: noqa: ARG002 — a stage gives its one answer whatever it is asked

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import httpx

from libs.common import clock
from libs.common.db import Reader, monitor_role, owner_role, runtime_role
from libs.common.db.migrate import newest_revision
from libs.common.db.provision import backup_role
from libs.common.events.topology import GATEWAY, OPERATOR, definitions
from libs.common.ids import random_token
from ops.backup import record
from ops.backup.record import Backup, Record
from ops.containers import Containers as Project
from ops.doctor.box import Target
from ops.doctor.boxes import broker, database
from ops.doctor.engine import Engine
from ops.doctor.examined import Addresses, Examined
from ops.doctor.processes import Address, Process, Unread
from ops.doctor.tls import Peer
from ops.layout import Layout
from ops.lifecycle import Platform
from ops.management import Management
from ops.secrets import register
from ops.settings import ROOT, PlatformSettings
from ops.tests.small_log import SIGNER, event, log
from services.ledger.domain.notes import NoteSigner

T = TypeVar("T")
REVISION = 'SELECT version_num FROM "{}".alembic_version'
ORIGIN = "https://studio.example.org"
SERVICES = Layout(PlatformSettings(), ROOT).services
GIT = "git"
NEWEST = {name: newest_revision(name) for name in SERVICES}
SECURE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "strict-transport-security": "max-age=31536000; includeSubDomains",
}
MADE = ("cron_secret", "sentry_dsn", "auth_secret", "stripe_webhook_secret", "resend_api_key", "redis_url")
NOT_MADE = ("mock_providers", "mail_folder", "smtp_url", "oidc_providers")
NUMBERS = {
    "outbox_events": 0.0,
    "outbox_oldest_seconds": None,
    "parked_events": 0.0,
    "parked_oldest_seconds": None,
    "administrators": 2.0,
    "administrators_with_second_factor": 2.0,
    "administrators_password_cost_least": 12.0,
    "maintenance": 0.0,
    "signing_key_seconds": 86_400.0,
    "signing_keys_next": 1.0,
    "leaves": 7.0,
    "pending_leaves": 0.0,
    "pending_oldest_seconds": None,
    "checkpoint_size": 7.0,
    "checkpoint_seconds": 3.0,
}
"""What every schema says of itself, of whichever service; a box asks for its own."""


class Rows:
    """The database's answers, by statement."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self._answers = answers

    def all(self, statement: Any, parameters: Mapping[str, Any] | None = None) -> list[Any]:
        """Rows; a function of the parameters makes them where they depend on those."""
        found = self._answers[str(statement)]
        return list(found(parameters) if callable(found) else found)

    def one(self, statement: Any, parameters: Mapping[str, Any] | None = None) -> Any:
        """The only row."""
        return self.all(statement, parameters)[0]

    def scalar(self, statement: Any) -> Any:
        """One value."""
        found = self._answers[str(statement)]
        return found() if callable(found) else found


class Broker:
    """The management API's answers."""

    def __init__(self) -> None:
        names = [*SERVICES]
        declared = definitions(names, dict.fromkeys([*names, GATEWAY, OPERATOR], "-"))
        self.listed = [{"name": each["name"], "tags": each["tags"]} for each in declared["users"]]
        self.rights: list[dict[str, str]] = declared["permissions"]
        self.topics: list[dict[str, str]] = declared["topic_permissions"]
        self.version = "4.1.0"
        self.running = [
            {"name": "rabbit@rabbitmq", "running": True, "mem_alarm": False, "disk_free_alarm": False, "disk_free": 9e9}
        ]

    def users(self) -> list[dict[str, Any]]:
        """Every user."""
        return self.listed

    def permissions(self) -> list[dict[str, str]]:
        """Rights."""
        return self.rights

    def topic_permissions(self) -> list[dict[str, str]]:
        """Rights on routing keys."""
        return self.topics

    def overview(self) -> dict[str, Any]:
        """Versions."""
        return {"rabbitmq_version": self.version}

    def nodes(self) -> list[dict[str, Any]]:
        """Nodes."""
        return self.running


class EngineOfOne(Engine):
    """The engine's answers: one container of ours and the database's."""

    def __init__(self) -> None:
        super().__init__(Project())
        ours, theirs = (_container(name) for name in ("tasks", "postgres"))
        door = _container("gateway")
        door["HostConfig"]["PortBindings"] = {"8080/tcp": [{"HostPort": "443"}]}
        theirs["Config"]["User"], theirs["HostConfig"]["CapDrop"] = "", []
        self.__dict__["configuration"] = {"name": "stage", "services": {"tasks": {"build": {}}, "gateway": {"build": {}}}}
        self.__dict__["containers"] = [ours, door, theirs]
        self.contents = ["opt/lumiere/services/tasks/app.py", "opt/lumiere/deploy/env.template"]
        self.variables = ["PATH=/usr/bin", "SECRET_FILE=/run/secrets/A"]

    def images(self, services: Any) -> dict[str, Any]:
        """One image."""
        return {"sha256:1": {"Id": "sha256:1", "RepoTags": ["lumiere/tasks:1"], "Config": {"Env": self.variables}}}

    def files_in(self, image: str) -> list[str]:
        """Its files."""
        return self.contents


def _container(service: str) -> dict[str, Any]:
    return {
        "Image": "sha256:1",
        "Config": {
            "User": "1001:1001",
            "Labels": {"com.docker.compose.service": service},
            "Env": ["AUTH_SECRET_FILE=/run/secrets/A"],
        },
        "HostConfig": {
            "Privileged": False,
            "SecurityOpt": ["no-new-privileges:true"],
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "CapAdd": None,
            "PortBindings": {},
            "RestartPolicy": {"Name": "unless-stopped"},
        },
        "State": {"Running": True, "Status": "running", "ExitCode": 0, "Health": {"Status": "healthy"}},
    }


class Stage(Examined):
    """A healthy platform in production; its parts may be changed."""

    def __init__(self, folder: Path, target: Target = Target.LOCAL) -> None:
        self.told: list[Process | Unread] = [a_process(service, kind) for service, kinds in SERVICES.items() for kind in kinds]
        self.told.append(a_process("gateway", "control", figures={"lumiere_gateway_maintenance": 0.0}))
        addresses = [Address(each.name, "", getattr(each, "service", ""), "web") for each in self.told]
        super().__init__(
            target=target,
            production=True,
            services=SERVICES,
            addresses=Addresses(
                ORIGIN, ORIGIN, None, "postgresql://", "http://", "http://127.0.0.1:1", None, lambda: addresses
            ),
            root=folder,
            secrets=secret_files(folder / "secrets"),
            backups=backups(folder / "backups"),
            folders=(folder,),
            engine=EngineOfOne() if target is Target.ENGINE else None,
        )
        self.numbers: dict[str, float | None] = dict(NUMBERS)
        self.rows: dict[str, Any] = database_answers()
        self.management = Broker()
        self.queue_documents = {each.name: _queue(each) for each in broker._declared(self)}
        self.answers: dict[str, tuple[int, dict[str, str], str]] = proofs_of(SIGNER)
        self.other_answer = (200, SECURE, "{}")
        self.plain = httpx.Response(308, headers={"location": f"{ORIGIN}/films?page=2"})
        self.other_end = Peer("TLSv1.3", clock.now() + timedelta(days=60), None)
        self.said = {"administrators": 2, "guessed": 0, "left_out": 0, "passwords_tried": 11}
        self.version = "2.6.12-1+deb12u4"
        self.operations = cast(Platform, SimpleNamespace(ports=dict, supervisor=None))

    @contextmanager
    def database(self) -> Iterator[Reader]:
        """What the statements of the boxes are answered."""
        yield cast(Reader, Rows(self.rows))

    def figures(self, service: str) -> Mapping[str, float | None]:
        """The same for every schema."""
        return self.numbers

    def broker(self, ask: Callable[[Management], T]) -> T:
        """The stage's broker."""
        return ask(cast(Management, self.management))

    def queues(self) -> Mapping[str, Mapping[str, Any]]:
        """The stage's queues."""
        return self.queue_documents

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """What the gateway answers: refusals as they must be, else the stage's."""
        refused = {"/no-such-address": 404, "/api/v1/auth/sessions": 401, "/api/v1/auth/login": 413, "/cron/prune_inbox": 404}
        inner = path.startswith(("/metrics", "/internal"))
        usual = 404 if inner else 405 if method == "DELETE" else refused.get(path, 200)
        status, headers, body = self.answers.get(path, (usual, *self.other_answer[1:]))
        return httpx.Response(status, headers=headers, text=body)

    def ask_plain(self, path: str) -> httpx.Response:
        """What plain HTTP is answered."""
        return self.plain

    def peer(self) -> Peer:
        """Who shakes hands."""
        return self.other_end

    def ask_service(self, service: str, *arguments: str) -> str:
        """What auth says of passwords."""
        return json.dumps(self.said)

    def haproxy(self) -> str:
        """Its figures."""
        return f'haproxy_process_build_info{{version="{self.version}"}} 1'

    def _told(self) -> list[Process | Unread]:
        return self.told


def proofs_of(signer: NoteSigner) -> dict[str, tuple[int, dict[str, str], str]]:
    """What a log of seven leaves gives: its checkpoint, its key, its newest event and the proof of that."""
    newest = json.dumps({"items": [{"event_id": event(6)["id"], "proof": "/proof"}]})
    return {
        "/api/v1/proofs/checkpoint": (200, {"date": format_datetime(clock.now(), usegmt=True)}, log().checkpoint(7, signer)),
        "/api/v1/proofs/key": (200, {}, SIGNER.verifier_key),
        "/api/v1/proofs": (200, {}, newest),
        "/proof": (200, {}, log().proof(6, 7, signer).decode()),
    }


def a_process(service: str, kind: str = "web", **changes: Any) -> Process:
    """One process that is as it should be."""
    settings = dict.fromkeys(MADE, True) | dict.fromkeys(NOT_MADE, False)
    said: dict[str, Any] = {
        "revision": "r1",
        "python": "3.12.3",
        "user": 1001,
        "environment": "production",
        "settings": settings,
    }
    return Process(name=f"{service}-{kind}-1", service=service, kind=kind, **{**said, "figures": {}, **changes})


def _queue(declared: Any) -> dict[str, Any]:
    return {"name": declared.name, "durable": True, "arguments": dict(declared.arguments), "messages": 0, "consumers": 1}


def database_answers() -> dict[str, Any]:
    """A database that is as it should be."""
    wanted = [*(owner_role(name) for name in SERVICES), *(runtime_role(name) for name in SERVICES), monitor_role()]
    rights = dict.fromkeys(database._RIGHTS, False)
    backup = SimpleNamespace(role=backup_role(), **{**rights, "reads_all": True})
    schemas = [(role(name), name, role is owner_role) for name in SERVICES for role in (owner_role, runtime_role)]

    def tables(parameters: Mapping[str, Any]) -> list[Any]:
        code = next(each for each in Examined.code(_Coded()) if each.name == parameters["schema"])
        return [SimpleNamespace(schema=code.name, name=table.name, changes=False) for table in code.metadata.sorted_tables]

    return {
        str(database._CONNECTIONS): [connection("lumiere-auth-web"), connection("psql", encrypted=False)],
        str(database._ROLES): [*(SimpleNamespace(role=name, **rights) for name in wanted), backup],
        str(database._SCHEMAS): [SimpleNamespace(role=who, schema=name, creates=may) for who, name, may in schemas],
        str(database._READS): [],
        str(database._TABLES): tables,
        "SHOW max_connections": "400",
        "SHOW superuser_reserved_connections": "3",
        "SHOW server_version": "16.4 (Debian 16.4-1)",
        "SHOW max_wal_size": "512MB",
        "SELECT wal_bytes, database_bytes FROM monitoring.server()": [SimpleNamespace(wal_bytes=2**28, database_bytes=2**28)],
        "SELECT clock_timestamp()": clock.now,
        **{REVISION.format(name): NEWEST[name] for name in SERVICES},
    }


class _Coded(Examined):
    """Only to load the services' code."""

    def __init__(self) -> None:
        self.services = SERVICES

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Now."""
        return make()


def connection(application: str, *, encrypted: bool = True) -> Any:
    """One row of `monitoring.connections()`."""
    protocol = "TLSv1.3" if encrypted else None
    return SimpleNamespace(role="lumiere_auth", application=application, encrypted=encrypted, protocol=protocol, connections=4)


def put_under_version_control(folder: Path) -> None:
    """Make the folder a repository, with a template in it."""
    (folder / "env.template").write_text("AUTH_SECRET=change-me\n", encoding="utf-8")
    git(folder, "init", "-q")
    commit(folder, "env.template")


def git(folder: Path, *arguments: str) -> None:
    """Run git as nobody in particular."""
    who = {
        "GIT_AUTHOR_NAME": "A",
        "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_COMMITTER_NAME": "A",
        "GIT_COMMITTER_EMAIL": "a@example.org",
    }
    subprocess.run([GIT, "-C", str(folder), *arguments], check=True, capture_output=True, env={**os.environ, **who})


def commit(folder: Path, name: str) -> None:
    """Put a file under version control."""
    git(folder, "add", "-f", name)
    git(folder, "commit", "-q", "-m", f"Add {name}")


def secret_files(folder: Path) -> Path:
    """Secrets as the platform generates them, set a moment ago."""
    folder.mkdir(mode=0o700)
    for name in ("AUTH_SECRET", "GATEWAY_SECRET", "STORAGE_SECRET", "DATABASE_PASSWORD_LUMIERE_AUTH"):
        write_secret(folder, name, random_token())
    write_secret(folder, "DATABASE_URL_AUTH", f"postgresql://lumiere_auth:{random_token()}@postgres/lumiere")
    write_secret(folder, "OIDC_PROVIDERS", json.dumps([{"name": "studio", "issuer": "https://id.example.org"}]))
    register.note(folder, [path.name for path in folder.iterdir()], clock.now())
    return folder


def write_secret(folder: Path, name: str, value: str) -> None:
    """A secret file, for its owner alone."""
    path = folder / name
    path.write_text(value, encoding="utf-8")
    path.chmod(0o600)


def backups(folder: Path) -> Path:
    """One backup, made and restored for trial an hour ago."""
    folder.mkdir()
    keep_backup(folder, clock.now() - timedelta(hours=1), verified=True)
    return folder


def keep_backup(folder: Path, made: datetime, *, verified: bool) -> None:
    """Let the record know of one backup and no other."""
    known = Backup("b1", made, bytes=1, sha256="0" * 64, log_size=7, verified_at=made if verified else None)
    record.write(folder, Record((known,)))
