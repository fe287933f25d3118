"""`lumiere images`: build the container images and say what each holds."""

import sys
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from ops import console
from ops.command_line import json_option, told
from ops.console import out
from ops.errors import OperationError
from ops.images import engine, scan
from ops.images.contents import ROOT, Image, images
from ops.images.selection import pins

MEBIBYTE = 1_048_576


@click.group(name="images")
def group() -> None:
    """The container images: one a service, each with its own dependencies and code alone."""


@group.command()
@click.argument("names", nargs=-1, metavar="[NAME…]")
@click.option("--tag", default="local", show_default=True, help="The tag that the images get; compose takes LUMIERE_TAG.")
@click.option("--fresh", is_flag=True, help="Use nothing that was built before.")
@json_option
@told
def build(names: tuple[str, ...], tag: str, fresh: bool, as_json: bool) -> None:
    """Build all images, or those named, with labels and dates of the commit that is checked out."""
    stamp = engine.stamp_of(ROOT, version_of(ROOT))
    built = []
    for name in chosen(names):
        with console.step(f"Building {engine.reference(name, tag)}"):
            built.append(engine.build(name, tag, stamp, ROOT, fresh=fresh))
    show([_row(each) for each in built], as_json)


@group.command(name="list")
@click.option("--tag", default="local", show_default=True, help="The tag to look at.")
@json_option
@told
def list_images(tag: str, as_json: bool) -> None:
    """The images of a tag that the engine has: size, layers, where they come from."""
    show([_row(engine.inspect(name, tag)) for name in images()], as_json)


@group.command()
@click.argument("name")
@json_option
@told
def contents(name: str, as_json: bool) -> None:
    """What image NAME holds of ours and of others, told from the source; needs no engine."""
    image = one(name)
    if not image.lock.is_file():
        raise OperationError(f"{image.lock.relative_to(ROOT)} is missing. Write it with `make lock`.")
    pinned, files = pins(image.lock), [str(each) for each in image.files]
    if as_json:
        console.print_json({"image": name, "files": files, "distributions": pinned})
        return
    out.print(f"[bold]{name}[/]: {len(files)} files of ours, {len(pinned)} distributions")
    for each in files:
        out.print(f"  {console.literal(each)}")
    for distribution, version in pinned.items():
        out.print(f"  [dim]{distribution}[/] {version}")


@group.command(name="scan")
@click.argument("names", nargs=-1, metavar="[NAME…]")
@click.option("--tag", default="local", show_default=True, help="The tag to look into.")
@json_option
@told
def scan_images(names: tuple[str, ...], tag: str, as_json: bool) -> None:
    """Look into every layer for keys, files of secrets and the secrets of this checkout. Exit code 1 when any is there."""
    values, found = secrets_of(ROOT), list[scan.Found]()
    for name in chosen(names):
        with console.step(f"Looking into {engine.reference(name, tag)}"):
            found += scan.scan(engine.inspect(name, tag), values)
    if as_json:
        console.print_json({"found": [asdict(each) for each in found]})
    elif not found:
        out.print("[green]✓[/] No key, no file of secrets and none of this checkout's secrets in any layer.")
    for each in () if as_json else found:
        out.print(f"[red]✗[/] {console.literal(each.path)}: {each.what} [dim]({each.layer[:19]}…)[/]")
    sys.exit(int(bool(found)))


def secrets_of(root: Path) -> set[bytes]:
    """The values of the secrets that this checkout keeps for containers, so that a layer can be searched for them."""
    folder = root / "deploy" / "secrets"
    return {path.read_bytes().strip() for path in folder.glob("*") if path.is_file()} if folder.is_dir() else set()


def chosen(names: tuple[str, ...]) -> list[str]:
    """All images, or those named. Raises OperationError for a name that is none."""
    return [one(name).name for name in names] or list(images())


def one(name: str) -> Image:
    """The image of this name. Raises OperationError."""
    known = images()
    if name not in known:
        raise OperationError(f"There is no image {name}. There are: {', '.join(known)}.")
    return known[name]


def version_of(root: Path) -> str:
    """The version that pyproject.toml states."""
    version: str = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    return version


def show(rows: list[dict[str, Any]], as_json: bool) -> None:
    """A row an image, for people or for machines."""
    if as_json:
        console.print_json({"images": rows})
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("IMAGE", "SIZE", "LAYERS", "VERSION", "REVISION", "DIGEST"):
        table.add_column(title, justify="right" if title in ("SIZE", "LAYERS") else "left")
    for row in rows:
        size = f"{row['size'] / MEBIBYTE:.0f} MiB"
        digest = row["identity"].removeprefix("sha256:")[:12]
        table.add_row(row["reference"], size, str(len(row["layers"])), row["version"], row["revision"][:12], digest)
    out.print(table)


def _row(built: engine.Built) -> dict[str, Any]:
    labels = {key.rpartition(".")[2]: value for key, value in built.labels.items()}
    told_of = {key: labels.get(key, engine.UNKNOWN) for key in ("version", "revision", "created")}
    kept = {key: value for key, value in asdict(built).items() if key != "labels"}
    return {"reference": built.reference, **kept, **told_of}
