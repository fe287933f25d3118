"""`python selection.py NAME INSTALLED FOLDER`: the part of all that is installed that the image's lock names.

Runs while images are built. Everything is fetched, verified by hash and compiled once for all images; each then gets its own
part, in two trees: `shared`, what every service needs, which comes out the same for all of them and so is one layer that they
share; and `own`, the rest. Standard library only, and nothing of ours: it is there before our code, so that a change of that
leaves what was selected as it is.
"""

import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from importlib.util import cache_from_source
from pathlib import Path
from typing import Final

NO_SERVICES: Final = frozenset({"gateway", "operator"})
SHARED: Final = "shared"
OWN: Final = "own"
_PIN: Final = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)", re.MULTILINE)
_LEFT_OUT: Final = frozenset({"..", "tests", "SelfTest"})
_SEPARATORS: Final = re.compile(r"[-_.]+")


class Mismatch(LookupError):
    """What is installed is not what the lock names."""


def pins(lock: Path) -> dict[str, str]:
    """Versions by normalised name, as a lock pins them."""
    return {_normal(name): version for name, version in _PIN.findall(lock.read_text(encoding="utf-8"))}


def select(name: str, installed: Path, target: Path, root: Path) -> dict[str, int]:
    """Copy the image's distributions from `installed`; returns how many went into each tree. Raises Mismatch."""
    locks = {path.stem: path for path in sorted((root / "requirements" / "images").glob("*.lock"))}
    if name not in locks:
        raise Mismatch(f"There is no image {name}: build with --build-arg SERVICE=one of {', '.join(locks)}.")
    common = set.intersection(*(set(pins(lock)) for each, lock in locks.items() if each not in NO_SERVICES))
    distributions = {_normal(each.metadata["Name"]): each for each in metadata.distributions(path=[str(installed)])}
    counts = {SHARED: 0, OWN: 0}
    for tree in counts:
        (target / tree).mkdir(parents=True)
    for wanted, version in pins(locks[name]).items():
        tree = SHARED if wanted in common else OWN
        _copy(wanted, version, distributions, target / tree / installed.relative_to("/"))
        counts[tree] += 1
    return counts


def _copy(name: str, version: str, distributions: Mapping[str, metadata.Distribution], target: Path) -> None:
    found = distributions.get(name)
    if found is None or found.version != version:
        there = found.version if found else "absent"
        raise Mismatch(f"{name} is {there}, the image's lock names {version}: run `make lock`.")
    for source, place in _files(found):
        copied = target / place
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, copied)


def _files(distribution: metadata.Distribution) -> Iterator[tuple[Path, Path]]:
    """Files with what they were compiled to; not programs, which nobody calls, nor tests, which hold private keys."""
    for file in distribution.files or ():
        source = Path(str(distribution.locate_file(file)))
        if not _LEFT_OUT.isdisjoint(file.parts) or file.parts[0] == "bin" or not source.is_file():
            continue
        yield source, Path(*file.parts)
        compiled = Path(cache_from_source(str(source))) if source.suffix == ".py" else source
        if compiled != source and compiled.is_file():
            yield compiled, Path(*file.parts).parent / "__pycache__" / compiled.name


def _normal(name: str) -> str:
    return _SEPARATORS.sub("-", name).lower()


def main(arguments: Sequence[str]) -> int:
    """Exit code 2 when the image cannot be made."""
    if len(arguments) != 3:
        sys.stderr.write("usage: python selection.py NAME INSTALLED FOLDER\n")
        return 2
    try:
        counts = select(arguments[0], Path(arguments[1]), Path(arguments[2]), Path.cwd())
    except Mismatch as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{arguments[0]}: {counts[SHARED]} distributions that all services share, {counts[OWN]} of its own\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
