"""Open a backup: into a scratch database to verify it, or into a new one to go on from it."""

import hashlib
import secrets
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import psycopg2
from psycopg2 import sql
from sqlalchemy import Connection, text

from ops.age import CHUNK, Damaged, decrypted
from ops.backup import making, record, witness
from ops.backup.archive import DATABASE, FILES, MANIFEST, ROLES, Part, read_manifest, read_roles, reading
from ops.backup.manifest import FileFacts, Manifest, TableFacts
from ops.backup.place import Place
from ops.backup.snapshot import differences, libpq, restoring, snapshot, table_facts, with_database
from ops.console import err, literal
from ops.errors import OperationError
from ops.proof import VerifierKey

ROLES_BYTES_MAX: Final = 1 << 20
MANIFEST_BYTES_MAX: Final = 256 << 20
LEAVES_AT_ONCE: Final = 10_000
_LEAVES = text(
    "SELECT sequenced.leaf_index, leaf.leaf_hash FROM ledger.sequenced JOIN ledger.leaf USING (event_id) "
    "WHERE sequenced.leaf_index < :size ORDER BY sequenced.leaf_index"
)


@dataclass(frozen=True, slots=True)
class Verified:
    """What was looked at, and found as it was backed up."""

    manifest: Manifest
    tables: int
    rows: int
    files: int
    log_size: int


def backup_path(place: Place, name: str) -> Path:
    """The file of a backup by its name, by a path, or the newest one for `latest`. Raises OperationError."""
    if name == "latest":
        newest = record.read(place.folder).newest
        if newest is None:
            raise OperationError(f"There is no backup in {place.folder}. `lumiere backup create` makes one.")
        name = newest.name
    path = Path(name) if Path(name).is_file() else place.folder / f"{name.removesuffix(making.SUFFIX)}{making.SUFFIX}"
    if not path.is_file():
        raise OperationError(f"There is no backup {name} in {place.folder}. `lumiere backup list` names them.")
    return path


def require_as_recorded(place: Place, path: Path, *, unrecorded: bool = False) -> None:
    """Raise Damaged for what is not what was made: anybody could encrypt something for our keys, and what a backup holds is run
    as the database's administrator. `unrecorded` takes what the record does not know, never another file under a known name.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    known = record.read(place.folder)
    named = known.named(path.name.removesuffix(making.SUFFIX))
    if named is not None and digest.hexdigest() != named.sha256:
        raise Damaged(
            f"{path.name} is not the file that was made: its SHA-256 is not the one in the record. Take another backup."
        )
    if not unrecorded and digest.hexdigest() not in {each.sha256 for each in known.backups}:
        raise Damaged(
            f"The record in {place.folder} knows no such backup: whoever has the public keys could have made {path.name}. "
            "Bring the record that was kept with it; --unrecorded takes it all the same, when you know where it comes from."
        )


def verify(place: Place, path: Path, identities: list[Any], *, unrecorded: bool = False) -> Verified:
    """Restore into a scratch database and compare everything; nothing stays. Raises OperationError."""
    require_as_recorded(place, path, unrecorded=unrecorded)
    with scratch_database(place) as url:
        manifest = unpack(path, identities, url, None, roles=False)
        compare(url, manifest, place.log_key)
    # A copy under another name says nothing of the file that the record knows.
    recorded = place.folder / f"{manifest.name}{making.SUFFIX}"
    if path.resolve() == recorded.resolve() and record.read(place.folder).named(manifest.name):
        making.verified_now(place.folder, manifest.name)
    rows = sum(each.rows for each in manifest.tables.values())
    return Verified(manifest, len(manifest.tables), rows, len(manifest.files), manifest.log.size)


def compare(url: str, manifest: Manifest, key: VerifierKey | None) -> None:
    """Compare a restored database with the manifest, and the tree over its leaves with the log's checkpoint. Raises Damaged."""
    with snapshot(url) as (connection, _):
        if found := differences(manifest.tables, table_facts(connection)):
            raise Damaged("The restored database is not the one that was backed up.", details="\n".join(found))
        _require_tree(connection, manifest, key)


def _require_tree(connection: Connection, manifest: Manifest, key: VerifierKey | None) -> None:
    note = manifest.log.checkpoint
    if note is None:
        return
    head = witness.judged(note, key)
    if _root(connection, head.size) != head.root:
        raise Damaged(
            f"The {head.size} leaves in the backup do not give the root that the log has signed. Take another backup, and keep "
            "this one: either it or the log was changed."
        )


def _root(connection: Connection, size: int) -> bytes:
    """The root over the first `size` leaves as they are stored, computed anew."""
    from services.ledger.domain import merkle

    edge: dict[merkle.Node, bytes] = {}
    done = 0
    rows = connection.execution_options(yield_per=LEAVES_AT_ONCE).execute(_LEAVES, {"size": size})
    for rows_of_part in rows.partitions():
        grown = {**edge, **merkle.grow(done, edge, [bytes(row.leaf_hash) for row in rows_of_part])}
        done += len(rows_of_part)
        edge = {node: grown[node] for node in merkle.frontier(done)}
    return merkle.root(done, edge) if done == size else b""


def unpack(path: Path, identities: list[Any], url: str, storage: Path | None, *, roles: bool) -> Manifest:
    """Restore the database into an empty one and the files into `storage` (None: only look at them).

    Raises WrongKey, Damaged, OperationError. Nothing that was written may be believed unless this returns.
    """
    found: dict[str, FileFacts] = {}
    manifest: Manifest | None = None
    with decrypted(path, identities) as stream, reading(stream) as parts, ExitStack() as stack:
        sink: IO[bytes] | None = None
        for part in parts:
            if part.name == ROLES:
                if roles:
                    _require_roles(url, read_roles(part.content.read(ROLES_BYTES_MAX)))
                continue
            if part.name.startswith(DATABASE):
                sink = sink or stack.enter_context(restoring(url, roles=roles))
                _copy(part, sink)
                continue
            # The database is whole: pg_restore comes to its end, or says why not.
            stack.close()
            if part.name == MANIFEST:
                manifest = read_manifest(part.content.read(MANIFEST_BYTES_MAX))
            else:
                place = part.name.removeprefix(FILES)
                found[place] = _take(part, storage / place if storage else None)
    if manifest is None:
        raise Damaged("The backup has no manifest: it was cut short. Take another backup.")
    if found != manifest.files:
        wrong = sorted(name for name in {*found, *manifest.files} if found.get(name) != manifest.files.get(name))
        raise Damaged("The files in the backup are not those that its manifest names.", details="\n".join(wrong))
    return manifest


def _require_roles(url: str, names: list[str]) -> None:
    """Make the roles that this server does not know, unable to sign in: whose they are, their owner gives a password again."""
    known = _roles(url)
    made = [name for name in names if name not in known]
    for name in made:
        run_on_server(url, "CREATE ROLE {} NOLOGIN", name)
    if made:
        err.print(f"[yellow]![/] Roles that this server did not know were made, and cannot sign in: {literal(', '.join(made))}")


def _roles(url: str) -> set[str]:
    with closing(psycopg2.connect(**libpq(url))) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT rolname FROM pg_roles")
        return {name for (name,) in cursor.fetchall()}


def _copy(part: Part, sink: IO[bytes]) -> None:
    while chunk := part.content.read(CHUNK):
        sink.write(chunk)


def _take(part: Part, target: Path | None) -> FileFacts:
    """Read a file of the backup; keep it under its place unless that is taken (a key never has two contents)."""
    digest, size = hashlib.sha256(), 0
    draft = None
    if target is not None and not target.exists():
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    with ExitStack() as stack:
        file = stack.enter_context(draft.open("wb")) if draft else None
        while chunk := part.content.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
            if file:
                file.write(chunk)
    if draft and target:
        draft.chmod(0o600)
        draft.replace(target)
    return FileFacts(size=size, sha256=digest.hexdigest())


@contextmanager
def scratch_database(place: Place) -> Iterator[str]:
    """A database that exists for as long as the block."""
    name = f"lumiere_verify_{secrets.token_hex(6)}"
    admin = place.scratch_url("postgres")
    run_on_server(admin, "CREATE DATABASE {}", name)
    try:
        yield with_database(admin, name)
    finally:
        run_on_server(admin, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


def run_on_server(admin_url: str, statement: str, *names: str) -> None:
    """One statement about databases or roles, in no transaction. Raises OperationError."""
    try:
        with closing(psycopg2.connect(**{"connect_timeout": "10", **libpq(admin_url)})) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql.SQL(statement).format(*(sql.Identifier(name) for name in names)))
    except psycopg2.Error as error:
        raise OperationError("The database server refused.", details=str(error).strip()) from error


def tree_head(manifest: Manifest) -> dict[str, Any] | None:
    """The log of a backup as documents tell it."""
    if manifest.log.checkpoint is None:
        return None
    head = witness.head_of(manifest.log.checkpoint)
    return {"origin": head.origin, "size": head.size, "root_hash": b64encode(head.root).decode()}


def sum_of_rows(tables: dict[str, TableFacts]) -> int:
    """How many rows all tables have together."""
    return sum(each.rows for each in tables.values())
