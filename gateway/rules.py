"""What manifests must not say together, whoever wrote them: each fault by file, line and route, all at once."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from pathlib import Path

from gateway import limits, manifest, paths
from gateway.manifest import GATEWAY, Manifest, ManifestError, Route

HTTP_PROCESSES = frozenset({"web", "stream"})


def declared(files: Iterable[Path]) -> tuple[Manifest, ...]:
    """Manifests that may be compiled together. Raises ManifestError with every fault of each and of all."""
    try:
        found = manifest.read(files)
    except ManifestError as error:
        raise ManifestError([*error.faults, *faults(error.readable)], error.readable) from None
    refuse(found)
    return found


def refuse(manifests: Sequence[Manifest]) -> None:
    """Raise ManifestError when they may not be compiled together."""
    if found := faults(manifests):
        raise ManifestError(found)


def faults(manifests: Sequence[Manifest]) -> list[str]:
    """Every fault, in the order of the rules."""
    return [fault for rule in _RULES for fault in rule(manifests)]


def _processes_exist(manifests: Sequence[Manifest]) -> Iterator[str]:
    for each in manifests:
        for route in each.routes:
            if route.process not in each.processes:
                known = ", ".join(each.processes)
                yield f"{route.described}: process: the service has no process {route.process!r}; it has {known}"
            elif each.service != GATEWAY and route.exposed and route.process not in HTTP_PROCESSES:
                yield f"{route.described}: process {route.process!r} takes no requests"


def _operations_are_unique(manifests: Sequence[Manifest]) -> Iterator[str]:
    seen: dict[str, Route] = {}
    for each in manifests:
        for route in each.routes:
            first = seen.setdefault(route.operation, route)
            if first is not route:
                yield f"{route.described}: operations must be unique: {route.operation} is also {first.described}"


def _bodies_fit(manifests: Sequence[Manifest]) -> Iterator[str]:
    for each in manifests:
        for route in each.routes:
            if route.body_limit > limits.UNSTREAMED_BODY_MAX and not route.streams:
                yield (
                    f"{route.described}: body_limit: {route.body_limit} bytes are over {limits.UNSTREAMED_BODY_MAX}, "
                    "which a service holds in memory at most; declare stream=True or rate=Rate.UPLOAD"
                )


def _nothing_overlaps(manifests: Sequence[Manifest]) -> Iterator[str]:
    routes = [route for each in manifests for route in each.routes if route.exposed]
    for left, right in combinations(routes, 2):
        if not paths.overlap(left, right):
            continue
        if left.method == right.method:
            yield f"{left.described} and {right.described} overlap: one request could mean both"
        elif paths.is_like_parameter(left, right):
            yield f"{left.described} and {right.described} stand beside each other: a literal looks like the other's parameter"


_RULES = (_processes_exist, _operations_are_unique, _bodies_fit, _nothing_overlaps)
