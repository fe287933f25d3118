"""`lumiere secrets`: sealed in the repository, opened where they are used, replaced in time."""

import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from libs.common import clock
from ops import console
from ops.age import identities_of, write_identity
from ops.command_line import json_option, this_platform, told
from ops.compose import FOLDER as COMPOSE_FOLDER
from ops.console import literal, out
from ops.errors import OperationError
from ops.secrets import checking, register
from ops.secrets import rotating as rotations
from ops.secrets.checking import Finding
from ops.secrets.editing import edited
from ops.secrets.sealed import FOLDER, SealedFile, sealed_path
from ops.settings import ROOT
from ops.vault import Vault

LOCAL, COMPOSE = "local", "compose"

_folder = click.option(
    "--sealed",
    "folder",
    default=FOLDER,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the sealed files; deploy/sealed if not given.",
)
_identity = click.option(
    "--identity",
    required=True,
    envvar="LUMIERE_AGE_IDENTITY",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The age private key that opens them.",
)


@click.group(name="secrets")
def group() -> None:
    """Secrets: sealed in the repository, opened where they are used, replaced in time."""


@group.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@told
def key(file: Path) -> None:
    """Make a key pair for yourself: FILE is the private half, the other is printed and may be told to everybody."""
    out.print(write_identity(file))


@group.command()
@click.argument("environment")
@click.argument("name", required=False)
@click.option(
    "--recipient", "recipients", multiple=True, metavar="AGE1…", help="Who may open them; needed for the first time only."
)
@click.option(
    "--from",
    "source",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Seal every file of this folder, such as deploy/secrets, under its name.",
)
@_folder
@json_option
@told
def seal(
    environment: str, name: str | None, *, recipients: tuple[str, ...], source: Path | None, folder: Path, as_json: bool
) -> None:
    """Seal the value on standard input as NAME of ENVIRONMENT, or a whole folder with --from."""
    if (name is None) == (source is None):
        raise OperationError("Give either the NAME of one secret, whose value comes from standard input, or --from FOLDER.")
    values = _from_folder(source) if source else {str(name): _given(str(name))}
    path = sealed_path(environment, folder)
    if not path.exists() and not recipients:
        raise OperationError(
            f"{path} is new: say with --recipient who may open it (`lumiere secrets key FILE` makes a key pair)."
        )
    if path.exists() and recipients:
        raise OperationError(f"{path} has recipients. `lumiere secrets rekey {environment}` changes them.")
    file = SealedFile(path) if path.exists() else SealedFile.create(path, environment, recipients)
    sealed = file.seal(values, clock.now())
    _report({"sealed": sealed, "file": str(path)}, f"{len(sealed)} sealed in {path}: {', '.join(sealed)}", as_json=as_json)


@group.command()
@click.argument("environment")
@click.argument("names", nargs=-1)
@click.option("--into", type=click.Path(file_okay=False, path_type=Path), default=COMPOSE_FOLDER, show_default="deploy/secrets")
@_identity
@_folder
@json_option
@told
def unseal(environment: str, names: tuple[str, ...], *, into: Path, identity: Path, folder: Path, as_json: bool) -> None:
    """Open the secrets of ENVIRONMENT (or NAMES of them) into a folder, a file each that only you may read."""
    values = SealedFile(sealed_path(environment, folder)).unseal(identities_of(identity), names or None)
    vault = Vault(into)
    for name, value in values.items():
        vault.write(name, value)
    # Their age is that of the value, not of its being opened here.
    known = register.read(sealed_path(environment, folder))
    for name in values.keys() & known.keys():
        register.note(into, [name], known[name])
    _report({"unsealed": sorted(values), "folder": str(into)}, f"{len(values)} opened into {into}", as_json=as_json)


@group.command()
@click.argument("environment")
@_identity
@_folder
@json_option
@told
def edit(environment: str, *, identity: Path, folder: Path, as_json: bool) -> None:
    """Change the secrets of ENVIRONMENT in $EDITOR. The open text is in memory only; what is unchanged keeps its line."""
    file = SealedFile(sealed_path(environment, folder))
    before = file.unseal(identities_of(identity))
    after = edited(before)
    changed = {name: value for name, value in after.items() if before.get(name) != value}
    removed = sorted(before.keys() - after.keys())
    if changed:
        file.seal(changed, clock.now())
    if removed:
        file.remove(removed)
    words = f"{len(changed)} changed, {len(removed)} removed, {len(after) - len(changed)} as they were"
    _report({"changed": sorted(changed), "removed": removed}, words, as_json=as_json)


@group.command()
@click.argument("environment")
@click.option("--add", "added", multiple=True, metavar="AGE1…", help="Who may open them from now on.")
@click.option("--remove", "removed", multiple=True, metavar="AGE1…", help="Who may not any more.")
@_identity
@_folder
@json_option
@told
def rekey(
    environment: str, *, added: tuple[str, ...], removed: tuple[str, ...], identity: Path, folder: Path, as_json: bool
) -> None:
    """Seal everything of ENVIRONMENT anew, for other recipients.

    Who has left can still open what stands in earlier commits: replace the secrets themselves too (`lumiere secrets rotate`).
    """
    file = SealedFile(sealed_path(environment, folder))
    if strangers := [each for each in removed if each not in file.recipients]:
        raise OperationError(f"{strangers[0]} is no recipient of {environment}.")
    wanted = [each for each in (*file.recipients, *added) if each not in removed]
    if not wanted:
        raise OperationError("Somebody must be able to open them: add another recipient first.")
    file.rekey(identities_of(identity), wanted)
    words = f"{len(file.names)} sealed anew for {len(wanted)} recipients"
    if removed:
        words += ". Who left may have kept what was: rotate the secrets themselves too."
    _report({"recipients": wanted, "sealed": file.names}, words, as_json=as_json)


@group.command()
@_folder
@json_option
@told
def check(folder: Path, as_json: bool) -> None:
    """Name every secret that is over 90 days old, of unknown age, or the same in two environments. Exit code 1 if any is."""
    sealed = [SealedFile(path) for path in sorted(folder.glob("*.yaml"))] if folder.is_dir() else []
    local = this_platform().layout.secrets
    folders = {name: path for name, path in ((LOCAL, local), (COMPOSE, COMPOSE_FOLDER)) if path.is_dir()}
    found = checking.check(sealed, folders, clock.now())
    if as_json:
        console.print_json({"ok": not found, "findings": [_told_finding(each) for each in found]})
    else:
        _tell(found, [file.environment for file in sealed] + list(folders))
    sys.exit(1 if found else 0)


@group.command()
@click.argument("name")
@click.option("--finish", is_flag=True, help="AUTH_SECRET: let the old one go, once every replica has the new one.")
@json_option
@told
def rotate(name: str, *, finish: bool, as_json: bool) -> None:
    """Give a secret of the platform on this machine a new value while it runs: passwords of the database and the broker,
    AUTH_SECRET, NOTIFY_PRIVATE_KEY and the tokens that we generated. docs/secrets.md says how each goes, in containers too.
    """
    done = rotations.rotate(this_platform(), name, finish=finish)
    words = f"{name} is a new one." + (f" {len(done.restarted)} processes started anew." if done.restarted else "")
    document = {"name": name, "restarted": done.restarted, "remark": done.remark or None}
    _report(document, f"{words} {done.remark}".strip(), as_json=as_json)


@group.command()
@click.argument("place")
@click.argument("names", nargs=-1, required=True)
@click.option("--on", "day", type=click.DateTime(["%Y-%m-%d"]), required=True, help="The day on which it was set.")
@_folder
@told
def note(place: str, names: tuple[str, ...], *, day: datetime, folder: Path) -> None:
    """Tell the register when secrets were set, where it does not know: PLACE is local, compose, or an environment."""
    moment = day.replace(tzinfo=UTC)
    if moment > clock.now():
        raise OperationError("That day is yet to come.")
    places = {LOCAL: this_platform().layout.secrets, COMPOSE: COMPOSE_FOLDER}
    target = places.get(place) or sealed_path(place, folder)
    if not target.exists():
        raise OperationError(f"There is no {place}: neither a folder of secrets nor {target}.")
    register.note(
        target, names, moment, {name: value for name, value in register.fingerprints(target).items() if name in names}
    )
    out.print(f"{len(names)} noted in {register.register_path(target)}")


def _given(name: str) -> str:
    if sys.stdin.isatty():
        return str(click.prompt(name, hide_input=True, err=True))
    return sys.stdin.read().removesuffix("\n")


def _from_folder(source: Path) -> dict[str, str]:
    return {name: (source / name).read_text(encoding="utf-8").strip() for name in checking.secret_files(source)}


def _report(document: dict[str, Any], words: str, *, as_json: bool) -> None:
    if as_json:
        console.print_json(document)
    else:
        out.print(literal(words))


def _told_finding(each: Finding) -> dict[str, str]:
    return {"place": each.place, "name": each.name, "problem": each.problem, "detail": each.detail, "fix": each.fix}


def _tell(found: Iterable[Finding], places: list[str]) -> None:
    if not found:
        out.print(f"[green]✓[/] Every secret is younger than {register.AGE_DAYS_MAX} days, and no two environments share one")
        out.print(f"  looked at: {', '.join(places) or f'nothing: there is no sealed file in {FOLDER.relative_to(ROOT)}'}")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("PLACE", "SECRET", "PROBLEM", "WHAT TO DO"):
        table.add_column(title)
    for each in found:
        table.add_row(each.place, each.name, literal(each.detail), literal(each.fix))
    out.print(table)
