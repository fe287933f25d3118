"""From templates to look-ups: properties of shapes, expressions, overlaps and canonical form."""

import re
from typing import Any
from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st

from gateway import paths
from gateway.manifest import Kind, Route
from gateway.tests.running import route

LITERALS = st.sampled_from(["films", "tasks", "7", "12", "a.b", "x-y", "~", "01890a5d-ac96-774b-bcce-b302099a8057"])
KINDS = st.sampled_from(["uuid", "int", "string"])
TEXTS = st.text("aZ09_~-.", min_size=1, max_size=6).filter(lambda text: text not in {".", ".."})
SAMPLES: dict[Kind, st.SearchStrategy[str]] = {
    "uuid": st.uuids().map(str),
    "int": st.integers(0, 10**18 - 1).map(str),
    "string": TEXTS,
    "path": st.lists(TEXTS, min_size=1, max_size=3).map("/".join),
}


@st.composite
def templates(draw: st.DrawFn) -> Route:
    """A route with any mix of literals and parameters."""
    segments = draw(st.lists(st.one_of(LITERALS, KINDS.map(lambda kind: f"<{kind}>")), min_size=1, max_size=4))
    if draw(st.booleans()):
        segments.append("<path>")
    parameters: dict[str, Any] = {}
    names = []
    for number, segment in enumerate(segments):
        name = f"p{number}"
        if segment.startswith("<"):
            parameters[name] = segment[1:-1]
            names.append(f"{{{name}}}")
        else:
            names.append(segment)
    return Route.model_validate(route("GET", "/" + "/".join(names), "public", parameters=parameters, operation="a.b"))


def sample(data: st.DataObject, chosen: Route) -> str:
    """A path that fits the route."""
    return "/" + "/".join(literal if kind is None else data.draw(SAMPLES[kind]) for kind, literal in chosen.kinds)


@given(st.data())
def test_a_path_that_fits_is_found_by_its_expression(data: st.DataObject) -> None:
    chosen = data.draw(templates())

    assert re.fullmatch(paths.expression(chosen), sample(data, chosen))


@given(st.data())
def test_a_path_that_fits_a_shaped_route_has_its_shape(data: st.DataObject) -> None:
    chosen = data.draw(templates().filter(paths.is_shaped))
    path = sample(data, chosen)

    shaped = re.sub(f"/{paths.UUID}(?=/|$)", "/{uuid}", path)
    shaped = re.sub(f"/{paths.INTEGER}(?=/|$)", "/{int}", shaped)

    assert shaped == paths.shape(chosen)


@given(st.data())
def test_two_routes_that_a_path_fits_overlap(data: st.DataObject) -> None:
    left, right = data.draw(templates()), data.draw(templates())
    path = sample(data, left)

    if re.fullmatch(paths.expression(right), path):
        assert paths.overlap(left, right)
        assert paths.overlap(right, left)


@given(st.data())
def test_a_route_overlaps_itself_and_overlap_is_mutual(data: st.DataObject) -> None:
    left, right = data.draw(templates()), data.draw(templates())

    assert paths.overlap(left, left)
    assert paths.overlap(left, right) == paths.overlap(right, left)


@given(st.data())
def test_a_path_that_fits_a_template_is_canonical(data: st.DataObject) -> None:
    assert paths.is_canonical(sample(data, data.draw(templates())))


@given(st.text("/.%aA0fF25cCeE;~-", max_size=24).map(lambda text: f"/{text}"))
def test_decoding_a_canonical_path_adds_no_segment_and_no_dots(path: str) -> None:
    if paths.is_canonical(path):
        decoded = unquote(path)
        assert decoded.count("/") == path.count("/")
        assert "//" not in decoded
        assert not {".", ".."} & set(decoded.split("/"))
        # What is still encoded could not have been written plainly: no second spelling of the same path exists.
        assert not re.search(r"%(2[DdEeFf]|5[Ff]|7[Ee]|[3][0-9]|[46][1-9A-Fa-f]|[57][0-9Aa])", path)
