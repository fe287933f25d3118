"""What changes between two policies, in words that a reviewer reads. What lets more callers or larger requests in is marked."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gateway import limits
from gateway.manifest import Manifest, Route
from libs.common.auth.policy import Access, Rate

Key = tuple[str, str, str]
_BREADTH = {Access.SERVICE: 0, Access.CRON: 1, Access.SIGNED_IN: 3, Access.PUBLIC: 4}
_BY_ROLE = 2
_WORDS = {
    Access.PUBLIC: "everybody",
    Access.SIGNED_IN: "anybody who is signed in",
    Access.CRON: "schedulers that know the secret",
    Access.SERVICE: "services inside only",
}
_IDENTITY = frozenset({"method", "path", "parameters", "allow", "rate", "body_limit", "timeout", "step_up", "scope", "source"})


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `widens` is whether more callers or larger requests pass than before."""

    service: str
    route: str
    what: str
    widens: bool
    place: str

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def differences(before: Iterable[Manifest], after: Iterable[Manifest]) -> list[Change]:
    """Every change, by service and path; none when both decide alike. Where a route is declared does not matter."""
    old, new = _by_key(before), _by_key(after)
    changes: list[Change] = []
    for key in sorted({*old, *new}, key=lambda key: (key[0], key[2], key[1])):
        left, right = old.get(key), new.get(key)
        if left is None and right is not None:
            changes.append(_change(key, right, f"added for {who(right)}, {summary(right)}", right.exposed))
        elif right is None and left is not None:
            changes.append(_change(key, left, f"removed; it was for {who(left)}", False))
        elif left is not None and right is not None:
            changes += [_change(key, right, what, widens) for what, widens in _compared(left, right)]
    return changes


def who(route: Route) -> str:
    """Who may, in a word or by role."""
    return _WORDS[route.allow] if isinstance(route.allow, Access) else ", ".join(sorted(route.allow))


def summary(route: Route) -> str:
    """Rate class, body and time of a route."""
    return f"class {route.rate}, body {route.body_limit} bytes, {route.timeout:g} s"


def _by_key(manifests: Iterable[Manifest]) -> Mapping[Key, Route]:
    return {(each.service, route.method, _shape(route)): route for each in manifests for route in each.routes}


def _shape(route: Route) -> str:
    """The path with its parameters named by kind: another name for one changes nothing."""
    return "/" + "/".join(literal if kind is None else f"{{{kind}}}" for kind, literal in route.kinds)


def _change(key: Key, route: Route, what: str, widens: bool) -> Change:
    return Change(key[0], route.name, what, widens, route.place)


def _compared(left: Route, right: Route) -> Iterator[tuple[str, bool]]:
    yield from _allow(left, right)
    if left.rate != right.rate:
        old, new = limits.LIMITS[Rate(left.rate)], limits.LIMITS[Rate(right.rate)]
        numbers = (
            f"{old.subject} → {new.subject} a subject, {old.address} → {new.address} an address, in {limits.WINDOW_SECONDS} s"
        )
        yield f"rate class {left.rate} → {right.rate}: {numbers}", new.subject > old.subject or new.address > old.address
    if left.body_limit != right.body_limit:
        yield f"body limit {left.body_limit} → {right.body_limit} bytes", right.body_limit > left.body_limit
    if left.timeout != right.timeout:
        yield f"timeout {left.timeout:g} → {right.timeout:g} s", False
    if left.step_up != right.step_up:
        yield _step_up(left.step_up, right.step_up)
    if left.scope != right.scope:
        yield f"tokens of other clients {_scoped(left)} → {_scoped(right)}", right.scope is not None
    for name in sorted(set(Route.model_fields) - _IDENTITY):
        old, new = getattr(left, name), getattr(right, name)
        if old != new:
            yield (
                f"{name.replace('_', ' ')} {_shown(old)} → {_shown(new)}",
                bool(old)
                if name == "step_up_acr"
                else name in {"stream", "during_maintenance", "machines", "enrolment", "cookies"} and bool(new),
            )


def _allow(left: Route, right: Route) -> Iterator[tuple[str, bool]]:
    if left.allow == right.allow:
        return
    if isinstance(left.allow, Access) or isinstance(right.allow, Access):
        yield f"for {who(left)} → {who(right)}", _breadth(right) > _breadth(left)
        return
    gained, lost = sorted(set(right.allow) - set(left.allow)), sorted(set(left.allow) - set(right.allow))
    if gained:
        yield f"roles gained: {', '.join(gained)}", True
    if lost:
        yield f"roles lost: {', '.join(lost)}", False


def _breadth(route: Route) -> int:
    return _BREADTH[route.allow] if isinstance(route.allow, Access) else _BY_ROLE


def _step_up(old: Any, new: Any) -> tuple[str, bool]:
    if new is None:
        return f"a recent sign-in (within {old} s) is no longer needed", True
    if old is None:
        return f"a sign-in within {new} s is needed now", False
    return f"a sign-in within {old} → {new} s", _number(new) > _number(old)


def _scoped(route: Route) -> str:
    return "never" if route.scope is None else f"with {route.scope}"


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _shown(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value)) or "none"
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
