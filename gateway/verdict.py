"""What the rules make of a request, worked out from the declarations alone: for operators, and as the second opinion that the
compiled rules are tested against.

It says what the policy decides. Limits, the token's own validity and the body's content are for the request itself to show.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property

from gateway import limits, paths
from gateway.manifest import Manifest, Route
from libs.common.auth.policy import Access, Role

NEAREST = 3
LIKENESS_MIN = 0.6


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is answered, and why. `status` is None when the service answers."""

    decision: str
    status: int | None
    reason: str
    service: str | None = None
    route: Route | None = None
    allowed: tuple[str, ...] = ()
    nearest: tuple[str, ...] = ()

    @property
    def passes(self) -> bool:
        """Whether the service gets to see it."""
        return self.status is None


class Policy:
    """All manifests together, as a caller outside sees them."""

    def __init__(self, manifests: Iterable[Manifest]) -> None:
        self.manifests = tuple(manifests)

    @cached_property
    def exposed(self) -> tuple[tuple[str, Route], ...]:
        """Service and route, for every route that can be reached from outside."""
        return tuple((each.service, route) for each in self.manifests for route in each.routes if route.exposed)

    def judge(self, method: str, path: str, roles: Iterable[Role] | None, *, cron: bool = False) -> Verdict:
        """The verdict on a request by a caller of these roles, or without a token (None). `path` is without its query.

        `cron` is whether the caller presents the schedulers' secret: without it their routes are not there.
        """
        if len(path) > limits.ADDRESS_MAX:
            return Verdict("address_too_long", 414, f"path and query are longer than {limits.ADDRESS_MAX} bytes")
        if wrong := paths.why_not_canonical(path):
            return Verdict("path_not_canonical", 400, wrong)
        found = list(self._at(path))
        asked = "GET" if method == "HEAD" else method
        open_now = ((service, route) for service, route in found if cron or route.allow is not Access.CRON)
        hit = next(((service, route) for service, route in open_now if route.method == asked), None)
        if hit is None:
            return self._unrouted(method, path, [route for _, route in found if not route.concealed])
        return self._entitled(*hit, roles)

    def _at(self, path: str) -> Iterator[tuple[str, Route]]:
        segments = path[1:].split("/")
        return ((service, route) for service, route in self.exposed if fits(route, segments))

    def _unrouted(self, method: str, path: str, found: Sequence[Route]) -> Verdict:
        allowed = sorted(
            {each for route in found for each in ((route.method, "HEAD") if route.method == "GET" else (route.method,))}
        )
        if allowed:
            return Verdict("method_not_allowed", 405, f"this address does not take {method}", allowed=tuple(allowed))
        return Verdict("not_found", 404, "no route is at this address", nearest=self._nearest(path))

    def _nearest(self, path: str) -> tuple[str, ...]:
        likely = get_close_matches(path, sorted({route.path for _, route in self.exposed}), NEAREST, LIKENESS_MIN)
        names: dict[str, list[str]] = {each: [] for each in likely}
        for _, route in self.exposed:
            if route.path in names:
                names[route.path].append(route.method)
        return tuple(f"{', '.join(sorted(names[each]))} {each}" for each in likely)

    def _entitled(self, service: str, route: Route, roles: Iterable[Role] | None) -> Verdict:
        if route.allow is Access.PUBLIC:
            return Verdict("public", None, "anybody may", service, route)
        if route.allow is Access.CRON:
            return Verdict("public", None, "schedulers that know the secret may", service, route)
        if roles is None:
            return Verdict("token_missing", 401, "there is no access token, and the route is not public", service, route)
        roles = tuple(roles)
        if not roles and not route.enrolment:
            return Verdict("role_withheld", 403, "the token holds no role, and nothing is enrolled here", service, route)
        if isinstance(route.allow, Access):
            return Verdict("permitted", None, "anybody who is signed in may", service, route)
        held = [str(role) for role in roles if role in route.allow]
        if held:
            return Verdict("permitted", None, f"{', '.join(sorted(held))} may", service, route)
        return Verdict("role_missing", 403, f"it takes one of {', '.join(sorted(route.allow))}", service, route)


def fits(route: Route, segments: Sequence[str]) -> bool:
    """Whether a path, cut at its slashes, is one of the route's."""
    kinds = route.kinds
    if kinds[-1][0] == "path":
        if len(segments) < len(kinds):
            return False
        segments = [*segments[: len(kinds) - 1], "/".join(segments[len(kinds) - 1 :])]
    if len(segments) != len(kinds):
        return False
    return all(
        segment == literal if kind is None else re.fullmatch(paths.PATTERNS[kind], segment) is not None
        for segment, (kind, literal) in zip(segments, kinds, strict=True)
    )
