"""Make a backup: one snapshot of the database and the files that it names, encrypted while they are read."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, text

from libs.common import clock
from libs.common.db import Reader
from ops.age import encrypted
from ops.backup import record, witness
from ops.backup.archive import Writer
from ops.backup.manifest import FileFacts, Keys, Log, Manifest
from ops.backup.place import FOLDER_MODE, Place
from ops.backup.record import Backup
from ops.backup.snapshot import dump, roles_named, snapshot, table_facts
from ops.errors import OperationError

SUFFIX: Final = ".age"
SIDECAR: Final = ".json"
_CHECKPOINT = text("SELECT note FROM ledger.checkpoint ORDER BY size DESC LIMIT 1")
_ROOTS = text("SELECT secret_id FROM auth.root_key ORDER BY created_at")
_FILES = text(
    "SELECT storage_key, received_sha256 FROM media.upload "
    "WHERE storage_key IS NOT NULL AND status IN ('RECEIVED', 'READY') ORDER BY storage_key"
)
_HAS = text("SELECT to_regclass(:name) IS NOT NULL")


@dataclass(frozen=True, slots=True)
class Made:
    """What `create` did."""

    backup: Backup
    manifest: Manifest
    removed: tuple[str, ...]
    """Backups that were more than are kept."""
    warning: str
    """What the operator must look at; empty when all is well."""


def create(place: Place) -> Made:
    """Make a backup, note the log's checkpoint with the witness, and let the oldest backups go. Raises OperationError."""
    recipients = place.recipients()
    place.folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    with alone(place.folder):
        now = clock.now()
        name = _new_name(place.folder, f"lumiere-{now:%Y%m%dT%H%M%SZ}")
        path = place.folder / f"{name}{SUFFIX}"
        with snapshot(place.database_url) as (connection, shared):
            log, warning = _log(connection, place)
            with encrypted(path, recipients) as (stream, written):
                writer = Writer(stream)
                writer.roles(roles_named(connection))
                with dump(place.database_url, shared) as source:
                    writer.database(source)
                files, missing = _files(connection, writer, place.storage)
                manifest = Manifest(
                    name=name,
                    created_at=now,
                    postgres=str(connection.scalar(text("SHOW server_version"))),
                    tables=table_facts(connection),
                    storage="included" if place.storage else "elsewhere",
                    files=files,
                    missing=tuple(missing),
                    log=log,
                    keys=_keys(connection, log, place.notify_public),
                )
                writer.close(manifest)
        if log.checkpoint and not warning:
            witness.note_checkpoint(place.folder, log.checkpoint, log.proof, now)
        sidecar = place.folder / f"{name}{SIDECAR}"
        sidecar.write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
        backup = Backup(name, now, written.bytes, written.sha256, log.size)
        known = record.read(place.folder).with_backup(backup)
        kept, removed = _retained(known, place.keep)
        record.write(place.folder, kept)
        for old in removed:
            for suffix in (SUFFIX, SIDECAR):
                (place.folder / f"{old}{suffix}").unlink(missing_ok=True)
    if missing:
        warning = f"{warning} {len(missing)} files that the database names were not in the storage folder.".strip()
    return Made(backup, manifest, tuple(removed), warning)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One command at a time works in a folder of backups. Raises OperationError when another does."""
    with (folder / ".lock").open("w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OperationError(f"Another backup command is at work in {folder}. Try again when it is done.") from None
        yield


def _new_name(folder: Path, wanted: str) -> str:
    """A name that no backup has, nor had before it was let go, also within one second."""
    newest = max((_number(each.name, wanted) for each in record.read(folder).backups), default=0)
    return f"{wanted}-{newest + 1}" if newest else wanted


def _number(name: str, wanted: str) -> int:
    """Which one of its second it is, from 1; 0 for one of another second."""
    return int(name.removeprefix(wanted).removeprefix("-") or 1) if name.startswith(wanted) else 0


def _retained(known: record.Record, keep: int) -> tuple[record.Record, list[str]]:
    """The record with the newest `keep` backups, and the last verified one whatever its age."""
    kept = {each.name for each in known.backups[-keep:]}
    if known.newest_verified:
        kept.add(known.newest_verified.name)
    removed = [each.name for each in known.backups if each.name not in kept]
    for name in removed:
        known = known.without(name)
    return known, removed


def _log(connection: Connection, place: Place) -> tuple[Log, str]:
    """The log's newest checkpoint, and the proof that it continues what was witnessed; with a warning when it does not."""
    if not connection.scalar(_HAS, {"name": "ledger.checkpoint"}):
        return Log(), ""
    note = connection.scalar(_CHECKPOINT)
    if note is None:
        return Log(), ""
    head = witness.judged(note, place.log_key)
    log = Log(size=head.size, checkpoint=note, root=note.split("\n")[2])
    try:
        last = witness.newest(place.folder, head.origin)
        if last is None or last.head.size == 0:
            return log, ""
        if last.head.size > head.size:
            raise witness.WitnessRefused(f"The log has {head.size} leaves, and {last.head.size} were witnessed.")
        proof = _proof(connection, last.head.size, head.size)
        return log.model_copy(update={"since": last.head.size, "proof": proof}), ""
    except witness.WitnessRefused as refused:
        return log, f"{refused} The backup was made; `lumiere ledger status` says what is to be done."


def _proof(connection: Connection, first: int, second: int) -> tuple[str, ...]:
    from services.ledger import use_cases

    return tuple(use_cases.prove_consistency(Reader(connection), first, second)) if first < second else ()


def _keys(connection: Connection, log: Log, notify_public: str | None) -> Keys:
    roots: list[Any] = []
    if connection.scalar(_HAS, {"name": "auth.root_key"}):
        roots = [row.secret_id for row in connection.execute(_ROOTS)]
    return Keys(log=_key_of(log.checkpoint), auth_root=tuple(roots), notify_public=notify_public)


def _key_of(note: str | None) -> str | None:
    """Name and key id in the signature line of a checkpoint: `— NAME BASE64`, whose first four bytes are the id."""
    from base64 import b64decode

    if note is None:
        return None
    _, name, encoded = note.rstrip("\n").split("\n")[-1].split(" ")
    return f"{name}+{b64decode(encoded)[:4].hex()}"


def _files(connection: Connection, writer: Writer, storage: Path | None) -> tuple[dict[str, FileFacts], list[str]]:
    """Take in every file that the snapshot names; those that are not there, or not as they were received, are named."""
    found: dict[str, FileFacts] = {}
    missing: list[str] = []
    if storage is None or not connection.scalar(_HAS, {"name": "media.upload"}):
        return found, missing
    for row in connection.execute(_FILES):
        place = f"objects/{row.storage_key[:2]}/{row.storage_key}"
        try:
            facts = writer.file(place, storage / place)
        except FileNotFoundError:
            missing.append(place)
            continue
        found[place] = facts
        if facts.sha256 != row.received_sha256:
            missing.append(place)
    return found, missing


def verified_now(folder: Path, name: str) -> Backup:
    """Remember that a backup was verified. Raises OperationError when the record does not know it."""
    known = record.read(folder)
    backup = known.named(name)
    if backup is None:
        raise OperationError(f"The record in {folder} knows no backup {name}.")
    done = replace(backup, verified_at=clock.now())
    record.write(folder, known.with_backup(done))
    return done
