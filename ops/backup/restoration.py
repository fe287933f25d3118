"""Restore a whole platform on this machine: database, files, an empty broker, and a log that knows that it was restored."""

import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg2
from nacl.public import PrivateKey
from psycopg2 import sql

from libs.common import clock
from libs.common.db.provision import backup_role, monitor_role, owner_role, provision_roles, runtime_role
from libs.common.events.patterns import matching
from libs.common.events.subscriptions import Subscription
from ops.backup import witness
from ops.backup.archive import read_manifest
from ops.backup.making import SIDECAR
from ops.backup.manifest import Keys, Manifest
from ops.backup.opening import compare, require_as_recorded, run_on_server, unpack
from ops.backup.place import Place
from ops.backup.snapshot import libpq, with_database
from ops.bus.members import Bus
from ops.bus.replay import replayed
from ops.console import step
from ops.errors import OperationError
from ops.lifecycle import Platform, run_module
from ops.management import Management
from ops.plan import Plan
from ops.preparation import Preparation
from ops.proof import Checkpoint
from ops.vault import Vault
from services.auth.domain.secrets import MasterSecret
from services.ledger.domain.notes import NoteSigner

_UNKNOWN: Final = sql.SQL(
    "SELECT 1 FROM {archive} told WHERE told.type = ANY(%s) AND NOT EXISTS "
    "(SELECT 1 FROM {inbox} known WHERE known.subscription = %s AND known.event_id = told.event_id) LIMIT 1"
)
ASIDE: Final = "{database}_before_{moment:%Y%m%dT%H%M%SZ}"


@dataclass(frozen=True, slots=True)
class Restored:
    """What `restore` did."""

    manifest: Manifest
    set_aside: str | None
    """The database that was there before, under its new name."""
    published: Checkpoint | None
    """The newest checkpoint that is known to be out."""
    lost: tuple[int, int] | None
    """First and last index of the leaves that the log had signed and that are lost."""
    proved: bool
    """Whether the witness's own chain shows that the published log began with the restored one."""
    purged: int
    """Queues of the broker that were emptied."""
    replayed: dict[str, dict[str, Any]]
    """Subscription → what a replay of the archives found, where the platform was started."""


@dataclass(frozen=True)
class Source:
    """What is restored."""

    path: Path
    identities: list[Any]
    notes: Sequence[str] = ()
    """Checkpoints of the log that somebody kept."""
    unrecorded: bool = False
    """Whether it may be a backup that the record does not know."""


def restore(platform: Platform, place: Place, source: Source, *, replace: bool = False, start: bool = True) -> Restored:
    """Restore a backup as the platform on this machine.

    Raises OperationError: nothing of the platform has then been changed but secrets that were generated.
    """
    if platform.supervisor.pid() is not None:
        raise OperationError(
            "The platform runs. Stop it with `make down`; what it holds is set aside, not deleted, by --replace."
        )
    require_as_recorded(place, source.path, unrecorded=source.unrecorded)
    told = source.path.with_suffix(SIDECAR)
    if told.exists():
        # Before anything is generated here that would stand in the way of the secrets to be brought.
        _require_keys(platform.layout.secrets, read_manifest(told.read_bytes()).keys)
    platform.layout.prepare()
    servers = Platform(platform.layout, durable=platform.durable, servers_only=True)
    servers.up()
    try:
        plan = Plan(platform.layout, durable=platform.durable)
        manifest, aside = _database_and_files(plan, source, replace=replace)
        with step("Schemas, roles and rights are up to date"):
            preparation = Preparation(plan)
            preparation.database()
            preparation.forget()
        published = _tell_the_log(plan, place, manifest, source.notes)
        with step("Queues are empty: what lay in them belongs to the time that was lost, or is in the archives"):
            purged = _purge(plan)
    finally:
        servers.down()
    found: dict[str, dict[str, Any]] = {}
    if start:
        platform.up()
        with step("What was under way at the moment of the backup is made up for from the archives"):
            found = make_up(Bus(plan))
    newest = published[-1] if published else None
    own = manifest.log.size
    lost = (own, newest.size - 1) if newest and newest.size > own else None
    own_head = witness.head_of(manifest.log.checkpoint) if manifest.log.checkpoint else None
    proved = own_head is not None and witness.continues(place.folder, own_head)
    return Restored(manifest, aside, newest, lost, proved, purged, found)


def make_up(bus: Bus) -> dict[str, dict[str, Any]]:
    """Replay every archive into every subscription: what had been published and not yet applied takes effect now.

    What had been applied is known to each inbox, and changes nothing; a subscription that has applied everything is left alone.
    """
    return {each.name: replayed(bus, each) for each in bus.subscriptions() if _behind(bus, each)}


def _behind(bus: Bus, subscription: Subscription) -> bool:
    """Whether an archive holds an event of this subscription that its inbox does not know."""
    url = bus.plan.backing.admin_url()
    with closing(psycopg2.connect(url, connect_timeout=10)) as connection, connection.cursor() as cursor:
        for member in bus.producers(subscription):
            archive = sql.Identifier(member.name, "event_archive")
            inbox = sql.Identifier(subscription.consumer, "inbox")
            types = matching(subscription.bindings, member.types)
            cursor.execute(_UNKNOWN.format(archive=archive, inbox=inbox), (types, subscription.name))
            if cursor.fetchone() is not None:
                return True
    return False


def _database_and_files(plan: Plan, source: Source, *, replace: bool) -> tuple[Manifest, str | None]:
    backing = plan.backing
    server, database = backing.maintenance_url(), backing.database_name
    taken = _has_tables(server, database)
    if taken and not replace:
        raise OperationError(
            f"There is a platform with data here already. --replace sets its database aside as {database}_before_…, deletes "
            "nothing, and restores beside it."
        )
    fresh = f"{database}_restoring"
    run_on_server(server, "DROP DATABASE IF EXISTS {} WITH (FORCE)", fresh)
    run_on_server(server, "CREATE DATABASE {}", fresh)
    url = with_database(server, fresh)
    provision_roles(url, _passwords(plan))
    try:
        with step("The backup is decrypted, restored and compared with its manifest"):
            storage = plan.layout.state / "storage"
            storage.mkdir(mode=0o700, exist_ok=True)
            manifest = unpack(source.path, source.identities, url, storage, roles=True)
            compare(url, manifest, None)
            _require_keys(plan.layout.secrets, manifest.keys)
    except BaseException:
        run_on_server(server, "DROP DATABASE IF EXISTS {} WITH (FORCE)", fresh)
        raise
    aside = ASIDE.format(database=database, moment=clock.now()) if _exists(server, database) else None
    if aside:
        run_on_server(server, "ALTER DATABASE {} RENAME TO {}", database, aside)
    run_on_server(server, "ALTER DATABASE {} RENAME TO {}", fresh, database)
    return manifest, aside


def _passwords(plan: Plan) -> dict[str, str]:
    names = [role(service) for service in plan.layout.services for role in (owner_role, runtime_role)]
    return {name: plan.backing.database_password(name) for name in (*names, monitor_role(), backup_role())}


def _require_keys(folder: Path, keys: Keys) -> None:
    """Name every secret that belongs to the backup and is not here. Raises OperationError."""
    vault = Vault(folder)
    missing = []
    if keys.log is not None:
        path = vault.path("LOG_SIGNING_KEY")
        signer = NoteSigner.parse(path.read_text(encoding="utf-8")) if path.exists() else None
        name = keys.log.rpartition("+")[0]
        # A log that has gone on under a new name since then has another key, and is told of both.
        if signer is None or (signer.name == name and f"{name}+{signer.key_id.hex()}" != keys.log):
            missing.append(f"LOG_SIGNING_KEY (key {keys.log}) and LOG_ORIGIN ({name})")
    if keys.notify_public is not None and keys.notify_public not in _public_keys(vault):
        missing.append(f"NOTIFY_PRIVATE_KEY (public half {keys.notify_public}); it may stand behind a newer one, after a space")
    if keys.auth_root and not _opens_root(vault, keys.auth_root):
        missing.append(f"AUTH_SECRET (id {' or '.join(keys.auth_root)})")
    if missing:
        raise OperationError(
            f"Secrets that this backup needs are not in {vault.folder}. Bring them from where secrets are kept "
            "(`lumiere secrets unseal`), then repeat the command.",
            details="\n".join(missing),
        )


def _public_keys(vault: Vault) -> list[str]:
    path = vault.path("NOTIFY_PRIVATE_KEY")
    private = path.read_text(encoding="utf-8").split() if path.exists() else []
    return [b64encode(bytes(PrivateKey(b64decode(each)).public_key)).decode() for each in private]


def _opens_root(vault: Vault, known: Sequence[str]) -> bool:
    path = vault.path("AUTH_SECRET")
    return path.exists() and MasterSecret(path.read_text(encoding="utf-8").strip()).id in known


def _tell_the_log(plan: Plan, place: Place, manifest: Manifest, notes: Sequence[str]) -> list[Checkpoint]:
    """Let the ledger know, once for each log's name, what is known to have been published; smallest first."""
    heads = [each.head for each in witness.newest_of_each(witness.chain(place.folder)).values()]
    heads += [witness.head_of(note) for note in notes]
    newest: dict[str, Checkpoint] = {}
    for head in sorted(heads, key=lambda each: each.size):
        newest[head.origin] = head
    found = list(newest.values())
    told: list[Checkpoint | None] = [*found] or [None]
    for each in told:
        document = {"source": manifest.name, "published": _document(each) if each else None}
        with step("The log knows that it was restored"):
            run_module(plan, "ledger", "restored", given=json.dumps(document))
    return found


def _document(head: Checkpoint) -> dict[str, Any]:
    return {"origin": head.origin, "size": head.size, "root_hash": b64encode(head.root).decode()}


def _purge(plan: Plan) -> int:
    with Management(plan.backing.management_url()) as management:
        names = [queue["name"] for queue in management.queues()]
        for name in names:
            management.purge_queue(name)
    return len(names)


def _exists(server: str, database: str) -> bool:
    return _ask(server, "SELECT 1 FROM pg_database WHERE datname = %s", database)


def _has_tables(server: str, database: str) -> bool:
    """Whether somebody's work is in it."""
    if not _exists(server, database):
        return False
    wanted = "SELECT 1 FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = %s AND relkind = 'r' LIMIT 1"
    return _ask(with_database(server, database), wanted, "auth")


def _ask(url: str, statement: str, value: str) -> bool:
    with closing(psycopg2.connect(**{"connect_timeout": "10", **libpq(url)})) as connection, connection.cursor() as cursor:
        cursor.execute(statement, (value,))
        return cursor.fetchone() is not None
