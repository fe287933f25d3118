"""`lumiere backup`: make, list, verify and restore backups of the whole platform."""

from base64 import b64encode
from pathlib import Path
from typing import Any

import click
import httpx
from rich.table import Table

from libs.common import clock
from libs.common.config import process_environment
from ops import console
from ops.age import identities_of, write_identity
from ops.backup import making, opening, record, restoration, witness
from ops.backup.place import FOLDER_MODE, RECIPIENTS, Place, this_place
from ops.backup.place import require_database as _require_database
from ops.backup.restoration import Restored
from ops.command_line import json_option, this_platform, told
from ops.console import err, literal, out, step
from ops.errors import OperationError

FETCH_TIMEOUT_SECONDS = 10
BYTES = (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10))

_identity = click.option(
    "--identity",
    required=True,
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The age private key that opens backups.",
)
UNRECORDED = f"{__name__}.unrecorded"


def _keep(context: click.Context, _option: click.Parameter, given: bool) -> None:
    context.meta[UNRECORDED] = given


_unrecorded = click.option(
    "--unrecorded",
    is_flag=True,
    expose_value=False,
    callback=_keep,
    help="Take a backup that the record does not know, such as an old copy.",
)


@click.group(name="backup")
def group() -> None:
    """The whole platform at one moment, encrypted; verified by restoring it."""


def _takes_unrecorded() -> bool:
    return bool(click.get_current_context().meta[UNRECORDED])


def _place() -> Place:
    return this_place(this_platform().layout, process_environment())


@group.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
@told
def key(file: Path, as_json: bool) -> None:
    """Make a key pair: FILE is the private half, to be kept away from this machine; backups are encrypted for the other."""
    place = _place()
    public = write_identity(file)
    place.folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    with (place.folder / RECIPIENTS).open("a", encoding="ascii") as stream:
        stream.write(f"{public}\n")
    if as_json:
        console.print_json({"recipient": public, "identity": str(file), "recipients": str(place.folder / RECIPIENTS)})
        return
    out.print(f"{public}")
    out.print(f"Backups in {place.folder} are encrypted for it from now on.")
    out.print(f"[bold]Move {file} to where this machine cannot reach it[/], twice: without it no backup can be opened.")


@group.command()
@json_option
@told
def create(as_json: bool) -> None:
    """Make a backup now; the platform goes on meanwhile. The oldest go when there are more than LUMIERE_BACKUP_KEEP."""
    place = _place()
    _require_database(place)
    with step("The database and its files are read, encrypted and written"):
        made = making.create(place)
    backup = made.backup
    if made.warning:
        err.print(f"[yellow]![/] {literal(made.warning)}")
    if as_json:
        console.print_json(_told_backup(backup) | {"removed": list(made.removed), "warning": made.warning or None})
        return
    rows, files = opening.sum_of_rows(made.manifest.tables), len(made.manifest.files)
    out.print(f"[green]✓[/] {backup.name}: {rows:,} rows, {files:,} files, {backup.log_size:,} leaves, {_size(backup.bytes)}")
    out.print(f"  {place.folder}   [dim]next:[/] lumiere backup verify {backup.name} --identity FILE")


@group.command(name="list")
@json_option
@told
def list_backups(as_json: bool) -> None:
    """Every backup, and when it was verified."""
    place = _place()
    known = record.read(place.folder)
    if as_json:
        console.print_json({"folder": str(place.folder), "backups": [_told_backup(each) for each in known.backups]})
        return
    if not known.backups:
        out.print(f"No backup in {place.folder}. `lumiere backup create` makes one.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("BACKUP", "SIZE", "LEAVES", "VERIFIED"):
        table.add_column(title, no_wrap=True)
    for each in known.backups:
        verified = f"{each.verified_at:%Y-%m-%d %H:%M} UTC" if each.verified_at else "[yellow]never[/]"
        table.add_row(each.name, _size(each.bytes), f"{each.log_size:,}", verified)
    out.print(table)


@group.command()
@click.argument("name", default="latest")
@_identity
@_unrecorded
@json_option
@told
def verify(name: str, identity: Path, as_json: bool) -> None:
    """Restore the backup NAME (the newest one if not given) into a scratch database and compare everything with what was
    backed up: rows, files, and the tree over the log's leaves with its signed checkpoint. Nothing of it stays.
    """
    place = _place()
    path = opening.backup_path(place, name)
    with step(f"{path.name} is restored into a scratch database and compared"):
        found = opening.verify(place, path, identities_of(identity), unrecorded=_takes_unrecorded())
    if as_json:
        head = opening.tree_head(found.manifest)
        counts = {"tables": found.tables, "rows": found.rows, "files": found.files, "log": head}
        console.print_json({"name": found.manifest.name, "verified": True, **counts, "missing": list(found.manifest.missing)})
        return
    log = f"the tree of {found.log_size:,} leaves is the one that was signed"
    out.print(f"[green]✓[/] {found.manifest.name}: {found.rows:,} rows in {found.tables} tables, {found.files:,} files; {log}")
    for each in found.manifest.missing:
        out.print(f"  [yellow]![/] {literal(each)} was missing or damaged when the backup was made")


@group.command()
@click.argument("name", default="latest")
@_identity
@click.option(
    "--witness",
    "notes",
    multiple=True,
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A checkpoint of the log that somebody kept; the newest there is. May be given several times.",
)
@click.option("--replace", is_flag=True, help="Set the database that is here aside under another name, and restore beside it.")
@click.option("--no-start", is_flag=True, help="Leave the platform stopped.")
@_unrecorded
@json_option
@told
def restore(name: str, identity: Path, notes: tuple[Path, ...], *, replace: bool, no_start: bool, as_json: bool) -> None:
    """Restore the backup NAME as the platform on this machine, and start it.

    The secrets that it needs must be here: `make up` finds them where `lumiere secrets unseal` puts them. The transparency log
    signs nothing until `lumiere ledger resume`.
    """
    platform = this_platform()
    place = this_place(platform.layout, {})
    path = opening.backup_path(place, name)
    texts = [each.read_text(encoding="utf-8") for each in notes]
    source = restoration.Source(path, identities_of(identity), texts, _takes_unrecorded())
    done = restoration.restore(platform, place, source, replace=replace, start=not no_start)
    if as_json:
        console.print_json(_told_restored(done))
        return
    _tell_restored(done)


@group.command(name="witness")
@click.option("--origin", default=None, metavar="URL", help="The platform's public address; the local one if not given.")
@json_option
@told
def witness_now(origin: str | None, as_json: bool) -> None:
    """Keep the log's newest checkpoint beside the backups, once it is shown to continue the last one kept. Run it often: what a
    restore loses is proved by it. Exit code 1 when the log was rewritten or went back.
    """
    place = _place()
    base = f"{origin or this_platform().layout.origin}/api/v1/proofs"
    try:
        with httpx.Client(timeout=FETCH_TIMEOUT_SECONDS) as client:
            note = client.get(f"{base}/checkpoint").raise_for_status().text
            head = witness.judged(note, place.log_key)
            last = witness.newest(place.folder, head.origin)
            proof: tuple[str, ...] = ()
            if last and 0 < last.head.size < head.size:
                asked = client.get(f"{base}/consistency", params={"first": last.head.size, "second": head.size})
                proof = tuple(asked.raise_for_status().json()["hashes"])
    except httpx.HTTPError as error:
        raise OperationError(f"The log at {base} cannot be asked: {type(error).__name__}. Is the platform up?") from None
    new = witness.note_checkpoint(place.folder, note, proof, clock.now())
    if as_json:
        console.print_json({"origin": head.origin, "size": head.size, "root": b64encode(head.root).decode(), "new": new})
    else:
        out.print(f"{head.origin}: {head.size:,} leaves{', kept' if new else ', as before'}")


def _told_backup(backup: record.Backup) -> dict[str, Any]:
    return {
        "name": backup.name,
        "created_at": backup.created_at.isoformat(timespec="seconds"),
        "bytes": backup.bytes,
        "sha256": backup.sha256,
        "log_size": backup.log_size,
        "verified_at": backup.verified_at.isoformat(timespec="seconds") if backup.verified_at else None,
    }


def _told_restored(done: Restored) -> dict[str, Any]:
    published = done.published
    return {
        "name": done.manifest.name,
        "created_at": done.manifest.created_at.isoformat(timespec="seconds"),
        "set_aside": done.set_aside,
        "log": {
            "restored": opening.tree_head(done.manifest),
            "published": {"origin": published.origin, "size": published.size} if published else None,
            "lost": {"first": done.lost[0], "last": done.lost[1]} if done.lost else None,
            "proved": done.proved,
        },
        "queues_purged": done.purged,
        "replayed": done.replayed,
    }


def _tell_restored(done: Restored) -> None:
    out.print(f"[green]✓[/] Restored {done.manifest.name}, made at {done.manifest.created_at:%Y-%m-%d %H:%M:%S} UTC")
    if done.set_aside:
        out.print(f"  What was here stands in the database {done.set_aside}; drop it when nobody needs it any more.")
    applied = sum(each["applied"] for each in done.replayed.values())
    failed = {name: each["failed"] for name, each in done.replayed.items() if each["failed"]}
    if done.replayed:
        out.print(f"  {applied:,} events that were under way took effect from the archives.")
    for name, count in failed.items():
        out.print(f"  [yellow]![/] {count} of {name} could not; `lumiere replay` names them. Archives hold no mail.")
    if done.lost:
        first, last = done.lost
        words = "proved by the witness's chain" if done.proved else "as the witnessed checkpoint says"
        out.print(f"  [yellow]![/] Leaves {first:,} to {last:,} of the log are lost ({last - first + 1:,}), {words}.")
    elif done.published is None:
        out.print("  [yellow]![/] No checkpoint newer than the backup is known here: ask those who may have kept one.")
    out.print("  The log signs nothing until you say how it goes on: [bold]lumiere ledger status[/]")


def _size(count: int) -> str:
    for unit, factor in BYTES:
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} bytes"
