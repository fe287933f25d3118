"""From path templates to what HAProxy can look up.

A path whose parameters are UUIDs and integers has a *shape*: the same path with those segments replaced, `/tasks/{uuid}/claim`.
Shapes are looked up exactly, in the same time however many routes there are. Only routes with free text need regular
expressions.
"""

import re
from collections.abc import Sequence

from gateway.manifest import Kind, Route

UNRESERVED = r"[A-Za-z0-9._~-]"
UUID = r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"
INTEGER = r"[0-9]{1,18}"
PATTERNS: dict[Kind, str] = {
    "uuid": UUID,
    "int": INTEGER,
    "string": f"{UNRESERVED}+",
    "path": f"{UNRESERVED}+(?:/{UNRESERVED}+)*",
}
SHAPED = frozenset({"uuid", "int"})

TWO_WAYS = {
    r"[^A-Za-z0-9._~!$&'()*+,;=:@%/-]": "a character that no path may hold (RFC 3986 section 3.3)",
    r"//": "doubled slashes",
    r"/\.\.?(?:[/;]|$)": "a dot segment",
    r"%(?![0-9A-Fa-f]{2})": "a percent sign that two hexadecimal digits do not follow",
    r"%(?:2[fFdDeE]|5[cCfF]|7[eEfF]|[01][0-9A-Fa-f]|3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa])": (
        "an encoded slash, backslash, control or unreserved character"
    ),
}
"""A path that matches one of these could be read in two ways by two programs; it is refused, never mended."""
NON_CANONICAL = tuple(TWO_WAYS)


def is_canonical(path: str) -> bool:
    """Whether every program must read the path the same way (RFC 3986 section 6.2.2)."""
    return why_not_canonical(path) is None


def why_not_canonical(path: str) -> str | None:
    """What can be read in two ways in a path, and the pattern that says so; None when nothing can."""
    if not path.startswith("/"):
        return "a path begins with a slash"
    return next((f"{what}: {pattern}" for pattern, what in TWO_WAYS.items() if re.search(pattern, path)), None)


def is_shaped(route: Route) -> bool:
    """Whether the route can be looked up by its shape: literal segments that look like a parameter would lose their value."""
    return all(kind in SHAPED if kind else not re.fullmatch(f"{UUID}|{INTEGER}", literal) for kind, literal in route.kinds)


def shape(route: Route) -> str:
    """The path with its parameters replaced by their kinds."""
    return "/" + "/".join(literal if kind is None else f"{{{kind}}}" for kind, literal in route.kinds)


def expression(route: Route) -> str:
    """An anchored regular expression for the whole path."""
    return "^/" + "/".join(re.escape(literal) if kind is None else PATTERNS[kind] for kind, literal in route.kinds) + "$"


def overlap(left: Route, right: Route) -> bool:
    """Whether some path fits both templates."""
    return _overlap(left.kinds, right.kinds)


def is_like_parameter(left: Route, right: Route) -> bool:
    """Whether a literal of one stands where the other has a UUID or integer that it could be: by shape they are one path."""
    pairs = [pair for both in zip(left.kinds, right.kinds, strict=False) for pair in (both, both[::-1])]
    return any(kind is None and other in SHAPED and re.fullmatch(PATTERNS[other], text) for (kind, text), (other, _) in pairs)


def covers(wide: Route, narrow: Route) -> bool:
    """Whether every path of the narrow route fits the wide one too."""
    return overlap(wide, narrow) and all(
        other is None or kind in {other, "path"} or (kind == "string" and other != "path")
        for (kind, _), (other, _) in zip(wide.kinds, narrow.kinds, strict=False)
    )


Segments = Sequence[tuple[Kind | None, str]]


def _overlap(left: Segments, right: Segments) -> bool:
    if not left or not right:
        return not left and not right
    if left[0][0] == "path" or right[0][0] == "path":
        return _overlap_rest(left, right)
    return _meet(left[0], right[0]) and _overlap(left[1:], right[1:])


def _overlap_rest(left: Segments, right: Segments) -> bool:
    """A parameter of kind path is last and takes one or more segments, so it meets whatever is left over."""
    ours, theirs = (left, right) if left[0][0] == "path" else (right, left)
    return len(theirs) >= len(ours) and theirs != ((None, ""),)


def _meet(left: tuple[Kind | None, str], right: tuple[Kind | None, str]) -> bool:
    if left[0] is None and right[0] is None:
        return left[1] == right[1]
    if left[0] is None or right[0] is None:
        kind, literal = (right[0], left[1]) if left[0] is None else (left[0], right[1])
        return kind is not None and re.fullmatch(PATTERNS[kind], literal) is not None
    return left[0] == right[0] or "string" in {left[0], right[0]}
