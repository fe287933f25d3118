"""The files of a release: what they are called, how they are listed, and whether they are what was signed."""

import hmac
import json
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from ops.errors import OperationError
from ops.release.minisign import PublicKey, Refused, SecretKey, Unusable

SUMS: Final = "SHA256SUMS"
SIGNATURE: Final = f"{SUMS}.minisig"
IMAGES: Final = "images.json"
NOTES: Final = "NOTES.md"
FILE_BYTES_MAX: Final = 64 * 1024 * 1024
"""A bill of materials has some hundred kilobytes; more than this is none of ours."""
_LINE: Final = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9][A-Za-z0-9._-]{0,127})", re.ASCII)


@dataclass(frozen=True)
class Finding:
    """One thing that was verified."""

    name: str
    ok: bool
    evidence: str


def bill_of(image: str) -> str:
    """The file name of an image's bill of materials."""
    return f"{image}.cdx.json"


def seal(folder: Path, key: SecretKey, comment: str) -> None:
    """List every file of the folder with its digest, and sign the list."""
    names = sorted(path.name for path in folder.iterdir() if path.name not in (SUMS, SIGNATURE))
    listed = "".join(f"{_digest(folder / name)}  {name}\n" for name in names)
    (folder / SUMS).write_text(listed, encoding="ascii")
    (folder / SIGNATURE).write_text(key.sign(listed.encode(), comment), encoding="utf-8")


def verify(folder: Path, key: PublicKey) -> list[Finding]:
    """Whether the list is signed with this key and the folder holds what it lists and nothing else. Raises OperationError."""
    for name in (SUMS, SIGNATURE):
        if not (folder / name).is_file():
            raise OperationError(f"{folder} holds no {name}. Name the folder of a release, as it was published.")
    listed = _read(folder / SUMS)
    try:
        comment = key.verify(listed, _read(folder / SIGNATURE).decode("utf-8"))
    except (Unusable, Refused, UnicodeDecodeError) as error:
        # What nobody signed is not worth comparing.
        return [Finding("signature", ok=False, evidence=str(error))]
    findings = [Finding("signature", ok=True, evidence=f"key {key.name}: {comment}")]
    digests = _listed(listed.decode("ascii", errors="replace"))
    findings += [_compared(folder / name, digest) for name, digest in digests.items()]
    strangers = sorted({path.name for path in folder.iterdir()} - set(digests) - {SUMS, SIGNATURE})
    findings += [Finding(name, ok=False, evidence="is here and was not signed") for name in strangers]
    return findings


def images_of(folder: Path) -> list[dict[str, Any]]:
    """The images that the release names. Raises OperationError."""
    try:
        found: list[dict[str, Any]] = json.loads(_read(folder / IMAGES))["images"]
    except (OSError, ValueError, KeyError) as error:
        raise OperationError(f"{folder / IMAGES} cannot be read as the images of a release ({type(error).__name__}).") from None
    return found


def _compared(path: Path, wanted: str) -> Finding:
    if not path.is_file():
        return Finding(path.name, ok=False, evidence="is missing")
    same = hmac.compare_digest(_digest(path), wanted)
    return Finding(path.name, ok=same, evidence=f"sha256 {wanted[:16]}…" if same else "is not what was signed")


def _listed(text: str) -> dict[str, str]:
    lines = [_LINE.fullmatch(line) for line in text.splitlines()]
    found = {line[2]: line[1] for line in lines if line}
    if len(found) != len(lines):
        raise OperationError(f"{SUMS} has lines that are no digest and name: it was not made by `lumiere release build`.")
    return found


def _digest(path: Path) -> str:
    return sha256(_read(path)).hexdigest()


def _read(path: Path) -> bytes:
    if path.stat().st_size > FILE_BYTES_MAX:
        raise OperationError(f"{path} is larger than {FILE_BYTES_MAX} bytes, which no file of a release is.")
    return path.read_bytes()
