"""What each image weighs and how soon its program stands, beside an interpreter that does nothing in the same container."""

from collections.abc import Sequence
from statistics import median
from typing import Final

from bench.figures import Figure, NothingMeasured, against, limit
from bench.output import number
from libs.common import clock
from libs.common.config import process_environment
from ops.containers import docker
from ops.errors import OperationError
from ops.images import engine
from ops.images.contents import GATEWAY, OPERATOR, ROOT, images
from ops.images.group import version_of
from ops.images.selection import pins

TAG: Final = process_environment().get("LUMIERE_TAG", "local")
TURNS: Final = 3
MEBIBYTE: Final = 1_048_576
BARE: Final = "an interpreter that does nothing"
BASE: Final = "the base image"
PROGRAMS: Final = {GATEWAY: ("gateway", "--help"), OPERATOR: ("ops.cli", "--help")}
"""What stands for the start of a program that is no service; a service says its policy, for which all of it is put together."""
HEAD: Final = [
    "| image | size | beside the base | distributions | start | times a bare interpreter |",
    "|---|--:|--:|--:|--:|--:|",
]


def measure(_seconds: float) -> list[Figure]:
    """Sizes in MiB, distributions, and milliseconds from `docker run` to its end. Raises OperationError and NothingMeasured."""
    stamp = engine.stamp_of(ROOT, version_of(ROOT))
    built = [engine.build(name, TAG, stamp, ROOT) for name in images()]
    found = [limit(BASE, _base(built) / MEBIBYTE, "MiB")]
    found += [against(found[0], each.name, each.size / MEBIBYTE) for each in built]
    found += [limit(f"{name}, distributions", len(pins(image.lock)), "count") for name, image in images().items()]
    bare = limit(BARE, _milliseconds(built[0], "-c", "pass"), "ms")
    return [*found, bare, *(against(bare, f"{each.name}, start", _start(each)) for each in built)]


def _base(built: Sequence[engine.Built]) -> float:
    reference = built[0].labels["org.opencontainers.image.base.name"]
    try:
        return float(docker("image", "inspect", "--format", "{{.Size}}", reference))
    except (OperationError, ValueError):
        raise NothingMeasured(
            f"The engine does not keep {reference}: `docker pull {reference}` lets sizes be compared."
        ) from None


def _start(built: engine.Built) -> float:
    module, *words = PROGRAMS.get(built.name, (f"services.{built.name}", "manifest"))
    return _milliseconds(built, "-m", module, *words)


def _milliseconds(built: engine.Built, *arguments: str) -> float:
    """The median of TURNS containers that start, do this and end."""
    took = []
    for _ in range(TURNS):
        begun = clock.monotonic()
        engine.inside(built, "python", *arguments)
        took.append((clock.monotonic() - begun) * 1_000)
    return median(took)


def rows(figures: Sequence[Figure]) -> list[str]:
    """A line an image, for docs/images.md."""
    named = {each.name: each for each in figures}
    base = named[BASE]
    lines = [f"| {BASE} | {number(base.value)} MiB | | | {number(named[BARE].value)} ms | 1 |"]
    for name in images():
        size, start = named[name], named[f"{name}, start"]
        held = named[f"{name}, distributions"]
        cells = (name, f"{number(size.value)} MiB", f"{number(size.value - base.value)} MiB", number(held.value))
        lines.append(f"| {' | '.join(cells)} | {number(start.value)} ms | {start.ratio or 0:.2g} |")
    return [*HEAD, *lines]
