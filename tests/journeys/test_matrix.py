"""Every declared route × every role, through the gateway and straight at the service. Nothing here is written by hand."""

from collections.abc import Iterable

import pytest

from gateway.manifest import GATEWAY
from libs.common.auth.policy import Access, Scope
from tests.journeys.doors import Declared, Doors, declared

pytestmark = [pytest.mark.platform, pytest.mark.timeout(300)]  # the first test starts the platform

ROUTES = declared()
GARBAGE = b"\x00 this is no JSON"
"""A body that no schema takes: who is refused for a role must be refused before anybody looks at it."""


def through_both_doors(routes: Iterable[Declared]) -> list[tuple[str, Declared]]:
    """Each route at the gateway; and at its service, unless the gateway itself answers it."""
    return [(door, each) for each in routes for door in (GATEWAY, "service") if door == GATEWAY or each.service != GATEWAY]


def names(value: object) -> str:
    """Test ids."""
    return value.name if isinstance(value, Declared) else str(value)


EXPOSED = through_both_doors(each for each in ROUTES if each.route.exposed)
FOR_SCHEDULERS = [(door, each) for door, each in EXPOSED if each.route.allow is Access.CRON]
GUARDED = [pair for pair in EXPOSED if not pair[1].public and pair not in FOR_SCHEDULERS]
FOR_ROLES = [(door, each) for door, each in GUARDED if each.refused()]
INSIDE = [each for each in ROUTES if each.route.allow is Access.SERVICE]


@pytest.mark.parametrize(("door", "each"), GUARDED, ids=names)
def test_nobody_is_let_in_without_a_token(door: str, each: Declared, doors: Doors) -> None:
    assert doors.status(doors.of(door, each), each, content=GARBAGE) == 401


@pytest.mark.parametrize(("door", "each"), FOR_ROLES, ids=names)
def test_every_other_role_is_refused_before_its_input_is_looked_at(door: str, each: Declared, doors: Doors) -> None:
    base = doors.of(door, each)
    given = {role: doors.status(base, each, doors.bearer(role), GARBAGE) for role in each.refused()}

    assert given == dict.fromkeys(each.refused(), 403)
    assert doors.status(base, each, doors.bearer(*each.refused()), GARBAGE) == 403
    assert doors.status(base, each, doors.bearer(), GARBAGE) == 403


@pytest.mark.parametrize(("door", "each"), GUARDED, ids=names)
def test_every_permitted_role_reaches_the_service(door: str, each: Declared, doors: Doors) -> None:
    base = doors.of(door, each)
    given = {role: doors.status(base, each, doors.bearer(role)) for role in each.permitted()}

    assert not {role: status for role, status in given.items() if status in {401, 403} or status >= 500}, given


@pytest.mark.parametrize(("door", "each"), GUARDED, ids=names)
def test_a_token_of_another_client_is_for_what_it_was_given_for_and_no_more(door: str, each: Declared, doors: Doors) -> None:
    base, role, scope = doors.of(door, each), each.permitted()[0], each.route.scope
    others = " ".join(other for other in Scope if other != scope)

    assert doors.status(base, each, doors.handed_on(role, others), GARBAGE) == 403
    assert doors.status(base, each, doors.handed_on(role, ""), GARBAGE) == 403
    assert doors.status(base, each, doors.handed_on(role, None), GARBAGE) == 403
    if scope is not None:
        assert doors.status(base, each, doors.handed_on(role, f"openid {scope}")) not in {401, 403}


@pytest.mark.parametrize(("door", "each"), GUARDED, ids=names)
def test_a_client_that_speaks_for_itself_gets_only_where_that_is_declared(door: str, each: Declared, doors: Doors) -> None:
    status = doors.status(doors.of(door, each), each, doors.machine(*Scope), None if each.route.machines else GARBAGE)

    assert (status == 403) is not each.route.machines, status


@pytest.mark.parametrize(("door", "each"), [pair for pair in EXPOSED if pair[1].public], ids=names)
def test_a_public_route_asks_nobody_for_a_token(door: str, each: Declared, doors: Doors) -> None:
    status = doors.status(doors.of(door, each), each)

    assert status != 401
    assert status < 500 or status == 503


@pytest.mark.parametrize("each", INSIDE, ids=names)
def test_a_route_between_services_does_not_exist_outside(each: Declared, doors: Doors) -> None:
    base = doors.of(GATEWAY, each)

    assert doors.status(base, each) == 404
    assert [doors.status(base, each, doors.bearer(role)) for role in each.permitted()] == [404] * len(each.permitted())
    assert doors.status(doors.of("service", each), each) == 401
    assert doors.status(doors.of("service", each), each, doors.bearer(*each.permitted())) in {401, 403}


@pytest.mark.parametrize(("door", "each"), FOR_SCHEDULERS, ids=names)
def test_a_route_for_schedulers_exists_for_no_role(door: str, each: Declared, doors: Doors) -> None:
    base = doors.of(door, each)

    assert doors.status(base, each, content=GARBAGE) == 404
    assert [doors.status(base, each, doors.bearer(role)) for role in each.permitted()] == [404] * len(each.permitted())
