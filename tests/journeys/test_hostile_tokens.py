"""The same hostile tokens at every door of the running platform: none opens one."""

from collections.abc import Iterator

import httpx
import pytest

from gateway.manifest import GATEWAY
from gateway.tests.running import RunningGateway, eventually
from libs.common.auth.policy import Role
from ops.testing import LivePlatform
from tests.journeys.doors import Declared, Doors, guarded_route_of_each_service
from tests.journeys.people import Studio
from tests.tokens import Attempt, Forge, corpus

pytestmark = [pytest.mark.platform, pytest.mark.timeout(300)]  # the first test starts the platform

SECONDS_UNTIL_IT_BITES = 1
REFUSED = {400, 401, 431}
"""Not understood, not believed, or (of the overlong one) not even read."""


TARGETS = list(guarded_route_of_each_service())
ROLE = Role.ADMIN
NAMES = [each.name for each in corpus(Forge(RunningGateway.key_of_tests(), "key", "http://x", "y", ("a", "b", "c")), ROLE)]


@pytest.fixture(scope="module")
def attempts(doors: Doors) -> list[Attempt]:
    """The corpus, signed with the platform's own key."""
    return corpus(doors.forge, ROLE)


def answer(base: str, each: Declared, attempt: Attempt) -> int:
    """The status that an attempt gets."""
    return httpx.get(base + each.address(), params=attempt.query, headers=list(attempt.headers), timeout=30).status_code


@pytest.mark.parametrize("door", [GATEWAY, *(each.service for each in TARGETS)])
def test_no_hostile_token_opens_a_door(door: str, attempts: list[Attempt], doors: Doors) -> None:
    target = next((each for each in TARGETS if each.service == door), TARGETS[0])
    base = doors.of(GATEWAY if door == GATEWAY else "service", target)

    opened = {attempt.name: status for attempt in attempts if (status := answer(base, target, attempt)) not in REFUSED}

    assert opened == {}
    assert len(attempts) >= len(NAMES)
    assert doors.status(base, target, doors.bearer(ROLE)) not in {401, 403, 500, 502, 503}


@pytest.fixture(scope="module")
def administrator(studio: Studio) -> Iterator[dict[str, str]]:
    """Somebody who exists and can sign in, and whose sessions may end."""
    person = studio.administrators[1]
    yield {"email": person.email, "password": person.password}
    person.sign_in(person.email, person.password)


def sign_in(platform: LivePlatform, person: dict[str, str]) -> dict[str, str]:
    """Headers of a new session."""
    signed_in = httpx.post(f"{platform.origin}/api/v1/auth/login", json=person, timeout=30)
    signed_in.raise_for_status()
    return {"Authorization": f"Bearer {signed_in.json()['access_token']}"}


def test_an_ended_session_is_refused_at_every_door_within_a_second_and_others_go_on(
    platform: LivePlatform, doors: Doors, administrator: dict[str, str]
) -> None:
    ended, kept = sign_in(platform, administrator), sign_in(platform, administrator)
    bases = [(doors.of(GATEWAY, TARGETS[0]), TARGETS[0]), *((doors.of("service", each), each) for each in TARGETS)]
    assert all(doors.status(base, each, ended) not in {401, 403} for base, each in bases)

    httpx.post(f"{platform.origin}/api/v1/auth/logout", headers=ended, timeout=30).raise_for_status()

    assert eventually(lambda: all(doors.status(base, each, ended) == 401 for base, each in bases), SECONDS_UNTIL_IT_BITES)
    assert all(doors.status(base, each, kept) not in {401, 403} for base, each in bases)


def test_all_sessions_of_a_person_end_together_and_a_new_one_begins_at_once(
    platform: LivePlatform, doors: Doors, administrator: dict[str, str]
) -> None:
    one, two = sign_in(platform, administrator), sign_in(platform, administrator)
    base = doors.of(GATEWAY, TARGETS[0])

    httpx.post(f"{platform.origin}/api/v1/auth/logout-all", headers=one, timeout=30).raise_for_status()

    assert eventually(
        lambda: [doors.status(base, TARGETS[0], each) for each in (one, two)] == [401, 401], SECONDS_UNTIL_IT_BITES
    )
    assert doors.status(base, TARGETS[0], sign_in(platform, administrator)) not in {401, 403}
