"""Build a release that was cut: images from the tag alone, a bill of materials each, digests, notes, one signature over all."""

import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ops.errors import OperationError
from ops.images import engine
from ops.images.contents import images
from ops.release import files, versions
from ops.release.cut import CHANGELOG, PROJECT, Checkout
from ops.release.minisign import SecretKey
from ops.settings import ROOT


def assemble(checkout: Checkout, tag: str, target: Path, key: SecretKey, tell: Callable[[str], None]) -> list[engine.Built]:
    """Write the release of `tag` into the empty or absent folder `target`. Raises OperationError."""
    if target.exists() and any(target.iterdir()):
        raise OperationError(f"{target} is not empty. Remove it, or name another folder with --to.")
    with source_of(checkout, tag) as source:
        version = versions.stated_version((source / PROJECT).read_text(encoding="utf-8"))
        told = versions.notes_of((source / CHANGELOG).read_text(encoding="utf-8"), version)
        stamp = _stamp(checkout, tag, version)
        built = []
        target.mkdir(parents=True, exist_ok=True)
        for name in images(source):
            tell(f"Building {engine.reference(name, version)} and its bill of materials")
            built.append(engine.build(name, version, stamp, source))
            (target / files.bill_of(name)).write_text(_bill(name, version, source), encoding="utf-8")
    (target / files.NOTES).write_text(told, encoding="utf-8")
    (target / files.IMAGES).write_text(_document(stamp, built), encoding="utf-8")
    files.seal(target, key, f"Lumiere {version} revision {stamp.revision} created {stamp.created}")
    return built


@contextmanager
def source_of(checkout: Checkout, tag: str) -> Iterator[Path]:
    """What the tag holds, and nothing that merely lies beside it in the checkout. Raises OperationError."""
    with tempfile.TemporaryDirectory(prefix="lumiere-release-") as place:
        folder, archive = Path(place) / "source", Path(place) / "source.tar"
        try:
            checkout.git("archive", "--format=tar", f"--output={archive}", tag)
        except OperationError as error:
            raise OperationError(f"There is no tag {tag}. Cut the release first: `lumiere release cut`.") from error
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
        yield folder


def _stamp(checkout: Checkout, tag: str, version: str) -> engine.Stamp:
    revision, seconds = checkout.git("show", "--no-patch", "--format=%H %ct", f"{tag}^{{commit}}").split()
    return engine.Stamp(version, revision, datetime.fromtimestamp(int(seconds), UTC))


def _bill(name: str, tag: str, source: Path) -> str:
    """In a process of its own: what writes it is installed where releases are made, not in the operator's image."""
    command = [sys.executable, "-m", "ops.images.sbom", name, tag, "--root", str(source)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OperationError(f"The bill of materials of {name} cannot be written.", details=done.stderr.strip()[-2_000:])
    return done.stdout


def _document(stamp: engine.Stamp, built: list[engine.Built]) -> str:
    rows = [
        {
            "name": each.name,
            "reference": each.reference,
            "digest": each.identity,
            "layers": list(each.layers),
            "bytes": each.size,
            "bill": files.bill_of(each.name),
        }
        for each in built
    ]
    head = {"version": stamp.version, "revision": stamp.revision, "created": stamp.created}
    return json.dumps({**head, "images": rows}, indent=2) + "\n"


def compared(wanted: dict[str, Any], tag: str) -> files.Finding:
    """Whether the engine's image of this tag is the one that the release names."""
    name = f"image {wanted['name']}"
    try:
        there = engine.inspect(wanted["name"], tag)
    except OperationError as error:
        return files.Finding(name, ok=False, evidence=str(error.details or error))
    if there.identity == wanted["digest"]:
        return files.Finding(name, ok=True, evidence=there.identity)
    same = list(there.layers) == wanted["layers"]
    evidence = "the layers are the same, labels or settings are not" if same else "is another image"
    return files.Finding(name, ok=False, evidence=f"{there.reference}: {evidence}")
