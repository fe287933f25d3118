"""Which distributions an image needs: those that its code imports and what these require, pinned as in runtime.lock.

Nothing is resolved anew and no registry is asked: what is installed here, in the locked versions, says who needs whom.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Final

from packaging.markers import Environment, default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ops.images.contents import ROOT, Image

PYTHON: Final = "3.12"
"""The Python of the images; deploy/Dockerfile names it too."""
MACHINES: Final = ("x86_64", "aarch64")
NAMED: Final = {"gateway": ("flask_swagger_ui",), "libs.common.service.hub": ("packaging",)}
"""What no import shows: packages read as data, and what a library needs and does not say. By image or module of ours."""
NOTICE: Final = "# What the image {name} holds, of runtime.lock. `make lock` writes it from what the code imports."
_BLOCK: Final = re.compile(r"^(?=[A-Za-z0-9])", re.MULTILINE)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Unmet(LookupError):
    """An image imports or needs what no lock has; the message says what to do."""


@dataclass
class Needed:
    """One distribution of an image, and who asked for it."""

    name: str
    by: set[str] = field(default_factory=set)


def needed(image: Image) -> dict[str, Needed]:
    """Every distribution that the image must hold, by canonical name. Raises Unmet."""
    found: dict[str, Needed] = {}
    waiting = [(_provider(module, image), image.name, frozenset[str]()) for module in _outside(image)]
    seen = set[tuple[str, frozenset[str]]]()
    while waiting:
        name, by, extras = waiting.pop()
        found.setdefault(name, Needed(name)).by.add(by)
        if (name, extras) not in seen:
            seen.add((name, extras))
            waiting += [(canonicalize_name(each.name), name, frozenset(each.extras)) for each in _requires(name, extras)]
    return dict(sorted(found.items()))


def lock_text(image: Image, runtime: Path | None = None) -> str:
    """The image's lock as it must stand in its file. Raises Unmet."""
    blocks = _blocks((runtime or image.root / "requirements" / "runtime.lock").read_text(encoding="utf-8"))
    lines = [NOTICE.format(name=image.name)]
    for name, each in needed(image).items():
        if name not in blocks:
            raise Unmet(f"{name} is needed by {_said(each.by)} and not in runtime.lock; run `make lock`")
        lines += [blocks[name], f"    # via {_said(each.by)}"]
    return "\n".join(lines) + "\n"


def _said(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _outside(image: Image) -> Iterable[str]:
    named = [each for name in (image.name, *image.entries) for each in NAMED.get(name, ())]
    return sorted({*image.reach.outside, *named})


def _blocks(lock: str) -> dict[str, str]:
    """Each pin with its hashes, without comments, by canonical name."""
    found: dict[str, str] = {}
    for block in _BLOCK.split(lock):
        if name := _NAME.match(block):
            kept = [line for line in block.splitlines() if not line.lstrip().startswith("#")]
            found[canonicalize_name(name[0])] = "\n".join(kept)
    return found


def _provider(module: str, image: Image) -> str:
    """The distribution whose files hold this module; of names inside a module, the module's. Raises Unmet."""
    owners = _owners()
    place = module
    while place:
        if place in owners:
            return owners[place]
        place = place.rpartition(".")[0]
    raise Unmet(f"{image.name} imports {module}, which nothing installed here provides: add it to pyproject.toml, `make lock`")


@cache
def _owners() -> Mapping[str, str]:
    """Module → distribution, from the files that each installed distribution lists."""
    return dict(_owned())


def _owned() -> Iterator[tuple[str, str]]:
    for each in metadata.distributions():
        for file in each.files or ():
            if module := _module(file):
                yield module, canonicalize_name(each.metadata["Name"])


def _module(file: PurePosixPath) -> str:
    """The module that a file of a distribution is; nothing for other files."""
    if file.suffix not in (".py", ".so", ".pyd") or ".." in file.parts:
        return ""
    parts = [*file.parts[:-1], file.name.partition(".")[0]]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _requires(name: str, extras: frozenset[str]) -> list[Requirement]:
    """What an installed distribution asks for on the images' Python, on any machine that they are built for. Raises Unmet."""
    try:
        texts = metadata.distribution(name).requires or ()
    except metadata.PackageNotFoundError:
        raise Unmet(
            f"{name} is needed on Python {PYTHON} and not installed here: add it to pyproject.toml, then `make lock`"
        ) from None
    return [each for each in map(Requirement, texts) if _applies(each, extras)]


def _applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    if requirement.marker is None:
        return True
    return any(requirement.marker.evaluate(place) for place in _environments(extras))


def _environments(extras: frozenset[str]) -> Iterator[dict[str, str]]:
    for machine in MACHINES:
        base: Environment = default_environment()
        for extra in extras or {""}:
            yield {
                **base,  # type: ignore[dict-item]
                "python_version": PYTHON,
                "python_full_version": f"{PYTHON}.0",
                "platform_machine": machine,
                "extra": extra,
            }


def lock_faults(images: Iterable[Image], root: Path = ROOT) -> list[str]:
    """A line for every lock of an image that is not what its code asks for."""
    found = []
    for image in images:
        place = image.lock.relative_to(root)
        try:
            wanted = lock_text(image)
        except LookupError as error:
            found.append(f"{place}: {error}")
            continue
        if not image.lock.is_file():
            found.append(f"{place}: is missing; `make lock` writes it")
        elif image.lock.read_text(encoding="utf-8") != wanted:
            found.append(f"{place}: is not what the image imports; `python -m ops.checks.locks --images` writes it anew")
    return found


def write_locks(images: Iterable[Image]) -> None:
    """Write the lock of every image. Raises Unmet."""
    for image in images:
        image.lock.parent.mkdir(parents=True, exist_ok=True)
        image.lock.write_text(lock_text(image), encoding="utf-8")
