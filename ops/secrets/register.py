"""When each secret was set: a JSON file beside what it speaks of, so that old ones are noticed.

It holds no secret, and may be committed. `deploy/sealed/production.yaml` has `deploy/sealed/production.register.json`, a folder
of secret files `.local/secrets` has `.local/secrets.register.json`.
"""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal

AGE_DAYS_MAX: Final = 90
"""Days after which a secret must have been replaced."""
SUFFIX: Final = ".register.json"
SEALED_SUFFIXES: Final = frozenset({".yaml", ".yml", ".json", ".env"})


@dataclass(frozen=True, slots=True)
class Stale:
    """A secret that has to be looked after."""

    name: str
    reason: Literal["old", "unknown"]
    age_days: int | None
    """None where nobody knows when it was set."""


def register_path(target: Path) -> Path:
    """The register of a sealed file or of a folder of secret files."""
    stem = target.stem if target.suffix in SEALED_SUFFIXES else target.name
    return target.with_name(stem + SUFFIX)


def read(target: Path) -> dict[str, datetime]:
    """Secret → when it was set; empty where there is no register yet. Raises ValueError when the file is none."""
    return {name: datetime.fromisoformat(entry["set_at"]) for name, entry in _entries(target).items()}


def fingerprints(target: Path) -> dict[str, str]:
    """Secret → what equal values have in common, of those of which it is known."""
    return {name: entry["fingerprint"] for name, entry in _entries(target).items() if "fingerprint" in entry}


def _entries(target: Path) -> dict[str, dict[str, str]]:
    path = register_path(target)
    if not path.exists():
        return {}
    found: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
    return found


def note(target: Path, names: Iterable[str], moment: datetime, prints: Mapping[str, str] | None = None) -> None:
    """Remember that these secrets were set at this moment; `prints` are their fingerprints."""
    with _changing(target) as known:
        for name in names:
            entry = {"set_at": moment.isoformat(timespec="seconds")}
            known[name] = entry | ({"fingerprint": prints[name]} if prints and name in prints else {})


def forget(target: Path, names: Iterable[str]) -> None:
    """Remove what no longer exists."""
    with _changing(target) as known:
        for name in names:
            known.pop(name, None)


def stale(target: Path, names: Iterable[str], now: datetime, days: int = AGE_DAYS_MAX) -> list[Stale]:
    """Those of these secrets that are older than `days`, or of which nobody knows how old they are."""
    known = read(target)
    found = []
    for name in sorted(names):
        if name not in known:
            found.append(Stale(name, "unknown", None))
        elif now - known[name] > timedelta(days=days):
            found.append(Stale(name, "old", (now - known[name]).days))
    return found


@contextmanager
def _changing(target: Path) -> Iterator[dict[str, dict[str, str]]]:
    """The register, to be changed by one process at a time; written when something is different."""
    path = register_path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = _entries(target)
        known = dict(before)
        yield known
        if known == before:
            return
        content = {name: known[name] for name in sorted(known)}
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        draft.replace(path)
