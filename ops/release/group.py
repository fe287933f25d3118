"""`lumiere release`: cut, build, sign and verify."""

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click
from rich.table import Table

from libs.common import clock
from libs.common.config import load
from ops import console
from ops.command_line import json_option, told
from ops.console import err, literal, out
from ops.errors import OperationError
from ops.release import assemble as assembling
from ops.release import files, versions
from ops.release.cut import CHECKS, PROJECT, Checkout
from ops.release.minisign import PublicKey, SecretKey, Unusable
from ops.release.settings import ReleaseSettings
from ops.settings import ROOT

PUBLISHED_KEY: Final = ROOT / "deploy" / "release.pub"
FOLDER: Final = ROOT / ".local" / "release"


@click.group(name="release")
def group() -> None:
    """Releases: cut one, build and sign it, verify one (docs/images.md)."""


@group.command()
@click.argument("version", metavar="major|minor|patch|VERSION")
@click.option("--dry-run", is_flag=True, help="Say what would happen, and refuse what would be refused; change nothing.")
@json_option
@told
def cut(version: str, dry_run: bool, as_json: bool) -> None:
    """State VERSION and its changes in a commit with a tag, once everything is green. Nothing is pushed."""
    checkout = Checkout(ROOT)
    plan = checkout.plan(version)
    revision = None
    if not dry_run:
        checkout.check(tell=lambda command: err.print(f"[dim]… {command}[/]"))
        revision = checkout.cut(plan, clock.now().date())
    if as_json:
        console.print_json({**asdict(plan), "tag": plan.tag, "dry_run": dry_run, "revision": revision})
        return
    out.print(f"[bold]{plan.current} → {plan.version}[/]\n\n{literal(plan.notes, lines=True)}")
    if dry_run:
        checks = ", ".join(" ".join(command) for command in CHECKS)
        out.print(f"[dim]A dry run: nothing changed. Would run {checks}; commit version and changelog; tag {plan.tag}.[/]")
        return
    out.print(f"[green]✓[/] {plan.tag} on {(revision or '')[:12]}")
    out.print(f"[dim]next:[/] lumiere release build · git push origin main {plan.tag}")


@group.command()
@click.argument("tag", required=False)
@click.option("--to", "target", type=click.Path(path_type=Path), help="The folder to write; default: .local/release/TAG.")
@json_option
@told
def build(tag: str | None, target: Path | None, as_json: bool) -> None:
    """Build the images of TAG (default: the version checked out) with bills of materials, digests and a signature.

    The key comes from LUMIERE_RELEASE_KEY or LUMIERE_RELEASE_KEY_FILE.
    """
    chosen = tag or f"v{versions.stated_version((ROOT / PROJECT).read_text(encoding='utf-8'))}"
    key = _secret_key()
    folder = target or FOLDER / chosen
    built = assembling.assemble(Checkout(ROOT), chosen, folder, key, lambda text: err.print(f"[dim]… {text}[/]"))
    if as_json:
        console.print_json({"folder": str(folder), "key": key.public.name, "images": [asdict(each) for each in built]})
        return
    out.print(f"[green]✓[/] {len(built)} images, signed with {key.public.name}: {literal(folder)}")
    out.print(f"[dim]next:[/] lumiere release verify {literal(folder)} --images {chosen.removeprefix('v')}")


@group.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--key", "key_text", help="The public key: its line (RW…) or its file. Default: deploy/release.pub.")
@click.option("--images", "tag", metavar="TAG", help="Compare the images of this tag on this machine's engine too.")
@json_option
@told
def verify(folder: Path, key_text: str | None, tag: str | None, as_json: bool) -> None:
    """Verify that FOLDER is a release as it was signed. Exit code 1 when anything is not."""
    findings = files.verify(folder, _public_key(key_text))
    if tag and all(each.ok for each in findings):
        findings += [assembling.compared(each, tag) for each in files.images_of(folder)]
    if as_json:
        console.print_json({"ok": all(each.ok for each in findings), "findings": [asdict(each) for each in findings]})
    else:
        table = Table(box=None, pad_edge=False, show_header=False)
        for each in findings:
            table.add_row("[green]✓[/]" if each.ok else "[red]✗[/]", literal(each.name), literal(each.evidence))
        out.print(table)
    sys.exit(0 if all(each.ok for each in findings) else 1)


@group.command(name="key")
@click.argument("file", type=click.Path(path_type=Path))
@told
def make_key(file: Path) -> None:
    """Make a key pair: FILE, for the vault, and FILE.pub, to publish as deploy/release.pub."""
    key = SecretKey.generate()
    public = file.with_name(f"{file.name}.pub")
    if file.exists() or public.exists():
        raise OperationError(f"{file} or {public} is there already. A key is never overwritten: choose another name.")
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as written:
        written.write(key.text)
    public.write_text(key.public.text, encoding="utf-8")
    out.print(f"[green]✓[/] {key.public.name}: {literal(public)} is public, {literal(file)} signs: keep it in the vault only.")


def _secret_key() -> SecretKey:
    given = load(ReleaseSettings).lumiere_release_key
    if given is None:
        raise OperationError(
            "No key to sign with: set LUMIERE_RELEASE_KEY_FILE to a minisign secret key. `lumiere release key FILE` makes one."
        )
    try:
        return SecretKey.parse(given.get_secret_value())
    except Unusable as error:
        raise OperationError(str(error)) from None


def _public_key(text: str | None) -> PublicKey:
    if text is None and not PUBLISHED_KEY.is_file():
        raise OperationError("Say whose signature you expect: --key RW…, or --key FILE.")
    place = PUBLISHED_KEY if text is None else Path(text)
    try:
        return PublicKey.parse(place.read_text(encoding="utf-8") if text is None or place.is_file() else text)
    except Unusable as error:
        raise OperationError(str(error)) from None
