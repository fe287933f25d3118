"""What is wrong with secrets that no program notices by itself: too old, of unknown age, or the same in two environments."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from pathlib import Path
from typing import Final, Literal

from libs.common.config import variables
from ops.secrets import register
from ops.secrets.sealed import SealedFile
from ops.settings import PlatformSettings

KEPT: Final = {
    "LOG_SIGNING_KEY": "a new key is a new log (docs/proofs.md); it signs checkpoints and opens nothing",
}
"""Secrets that no age makes wrong, and why."""
OPEN: Final = frozenset({"LOG_ORIGIN", "NOTIFY_PUBLIC_KEY"})
"""What stands beside secrets and is none."""
CERTIFICATES: Final = "TLS_"
"""Certificates and their keys say themselves how long they are good, and are renewed by `lumiere compose prepare`."""
Problem = Literal["old", "unknown", "equal", "recipients"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One secret that somebody has to look after."""

    place: str
    name: str
    problem: Problem
    detail: str
    fix: str


def check(sealed: Sequence[SealedFile], folders: Mapping[str, Path], now: datetime) -> list[Finding]:
    """Everything that is wrong with these sealed files, and with these folders of secret files by the name of each."""
    found: list[Finding] = []
    for file in sealed:
        found += _of_age(file.environment, file.path, _judged(file.names), now)
        if not file.current:
            fix = f"lumiere secrets rekey {file.environment} --identity FILE"
            found.append(Finding(file.environment, "*", "recipients", "sealed for others than the recipients it names", fix))
    for name, folder in folders.items():
        found += _of_age(name, folder, _judged(secret_files(folder)), now)
    prints = {file.environment: register.fingerprints(file.path) for file in sealed}
    found += _equal({place: {name: prints[place][name] for name in _judged(prints[place])} for place in prints})
    found += _equal({place: _hashes(folder) for place, folder in folders.items()})
    return found


def secret_files(folder: Path) -> list[str]:
    """The files in a folder of secrets that hold something."""
    return sorted(
        path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith(".") and path.stat().st_size
    )


def _judged(names: Iterable[str]) -> list[str]:
    # What an operator sets for the whole platform stands in files too, secret or not.
    handed_on = {each.name for each in variables(PlatformSettings) if not each.secret}
    return [name for name in names if name not in OPEN | handed_on and not name.startswith(CERTIFICATES)]


def _of_age(place: str, target: Path, names: Iterable[str], now: datetime) -> list[Finding]:
    found = []
    for each in register.stale(target, [name for name in names if name not in KEPT], now):
        detail = f"set {each.age_days} days ago" if each.age_days is not None else "nobody knows when it was set"
        found.append(Finding(place, each.name, each.reason, detail, f"lumiere secrets rotate {each.name} (docs/secrets.md)"))
    return found


def _equal(values: Mapping[str, Mapping[str, str]]) -> list[Finding]:
    found = []
    for (one, of_one), (other, of_other) in combinations(sorted(values.items()), 2):
        places = {value: name for name, value in of_one.items()}
        for name, value in sorted(of_other.items()):
            if value in places:
                detail = f"the same as {places[value]} of {one}"
                fix = f"give {other} a value of its own: lumiere secrets rotate {name}"
                found.append(Finding(other, name, "equal", detail, fix))
    return found


def _hashes(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes().strip()).hexdigest() for name in _judged(secret_files(folder))}
