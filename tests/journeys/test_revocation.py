"""A token is worth nothing from the moment its session ends, at the gateway and at every service behind it."""

from collections.abc import Callable

import httpx
import pytest

from libs.common import clock
from libs.common.auth.policy import Role
from libs.common.ids import new_id
from ops.demo.client import API, wait_for
from tests.journeys.inside import Inside
from tests.journeys.people import POLL_SECONDS, Person, Studio, listening

pytestmark = pytest.mark.platform

OWN_RESOURCES = {
    "auth": "/profile",
    "tasks": "/tasks",
    "payments": "/lumens",
    "media": f"/media/{new_id()}",
    "notify": "/notifications/count",
}
"""One address a service that every signed-in person may read; the ledger has none, for everything in it is public."""
ADMITTED = {"auth": 200, "tasks": 200, "payments": 200, "media": 404, "notify": 200}
BITES_WITHIN_SECONDS = 1.0


@pytest.fixture(scope="module")
def contributor(studio: Studio) -> Person:
    return studio.newcomer("Henri Delannoy", role="CONTRIBUTOR")


def straight(inside: Inside, person: Person) -> dict[str, int]:
    """What each service answers to this person's token past the gateway."""
    return {service: person.status(path, inside.straight(service)) for service, path in OWN_RESOURCES.items()}


def seconds_until(what: str, holds: Callable[[], bool]) -> float:
    """How long it took until something held."""
    begun = clock.monotonic()
    wait_for(what, holds, seconds=BITES_WITHIN_SECONDS, every=POLL_SECONDS)
    return clock.monotonic() - begun


def require_refused_everywhere(inside: Inside, person: Person) -> None:
    """Within a second from now this token opens no door."""
    seconds_until("401 at the gateway", lambda: person.status() == 401)
    seconds_until("401 at every service", lambda: set(straight(inside, person).values()) == {401})


def test_a_logged_out_session_is_refused_at_every_door_and_the_other_one_goes_on(
    studio: Studio, inside: Inside, contributor: Person
) -> None:
    ended, other = studio.another_session(contributor), studio.another_session(contributor)
    assert straight(inside, ended) == ADMITTED
    ended.post("/auth/logout", status=204)
    require_refused_everywhere(inside, ended)
    assert straight(inside, other) == ADMITTED
    assert other.status() == contributor.status() == 200


def test_a_session_that_its_owner_ends_from_another_device_is_refused(
    studio: Studio, inside: Inside, contributor: Person
) -> None:
    lost = studio.another_session(contributor)
    contributor.call("DELETE", f"/auth/sessions/{lost.tokens['session_id']}", status=204)
    require_refused_everywhere(inside, lost)
    listed = contributor.get("/auth/sessions", params={"limit": 100})["items"]
    assert lost.tokens["session_id"] not in [each["id"] for each in listed]


def test_a_refresh_token_of_an_ended_session_is_refused(studio: Studio, contributor: Person) -> None:
    device = studio.another_session(contributor)
    device.post("/auth/logout", status=204)
    answer = device.http.post(f"{API}/auth/refresh", json={"refresh_token": device.tokens["refresh_token"]})
    assert answer.status_code == 401


def test_an_open_event_stream_ends_with_its_session(studio: Studio, contributor: Person) -> None:
    device = studio.another_session(contributor)
    with listening(device) as stream:
        device.post("/auth/logout", status=204)
        wait_for("the end of the stream", lambda: stream.ended, every=POLL_SECONDS)


def test_after_logging_out_everywhere_every_token_of_the_person_is_refused_and_other_people_go_on(
    studio: Studio, inside: Inside, contributor: Person
) -> None:
    person = studio.newcomer("Jeanne Mareyla")
    devices = [studio.another_session(person) for _ in range(2)]
    person.post("/auth/logout-all", status=204)
    for device in (person, *devices):
        require_refused_everywhere(inside, device)
    assert straight(inside, contributor) == ADMITTED
    person.sign_in(person.email, person.password)
    assert straight(inside, person) == ADMITTED


def test_a_change_of_role_voids_the_tokens_that_carry_the_old_one(studio: Studio, inside: Inside) -> None:
    person = studio.newcomer("Victor André")
    admin = studio.administrator
    standing = admin.call("GET", f"/admin/users/{person.id}")
    change(admin, person, standing, {"role": "VIEWER"})
    require_refused_everywhere(inside, person)
    person.sign_in(person.email, person.password)
    assert person.get("/profile")["role"] == Role.VIEWER
    answer = person.http.post(f"{API}/tasks/{new_id()}/claim", headers=person.authorization)
    assert answer.status_code == 403


def test_a_suspended_person_is_out_and_comes_back_when_reactivated(studio: Studio, inside: Inside) -> None:
    person = studio.newcomer("Depierre")
    admin = studio.administrator
    suspended = change(admin, person, admin.call("GET", f"/admin/users/{person.id}"), {"status": "SUSPENDED"})
    require_refused_everywhere(inside, person)
    credentials = {"email": person.email, "password": person.password}
    assert person.http.post(f"{API}/auth/login", json=credentials).status_code == 403
    change(admin, person, suspended, {"status": "ACTIVE"})
    person.sign_in(person.email, person.password)
    assert person.status() == 200


def test_a_change_of_a_standing_that_was_changed_meanwhile_is_refused(studio: Studio) -> None:
    person = studio.newcomer("Farjaux")
    admin = studio.administrator
    standing = admin.call("GET", f"/admin/users/{person.id}")
    change(admin, person, standing, {"role": "CONTRIBUTOR"})
    stale = {**admin.authorization, "If-Match": standing.headers["ETag"]}
    assert admin.http.patch(f"{API}/admin/users/{person.id}", json={"role": "VIEWER"}, headers=stale).status_code == 412


def change(admin: Person, person: Person, seen: httpx.Response, standing: dict[str, str]) -> httpx.Response:
    """Give somebody another role or status, as last seen. It takes a sign-in that is not long ago."""
    admin.sign_in(admin.email, admin.password)
    headers = {"If-Match": seen.headers["ETag"]}
    return admin.call("PATCH", f"/admin/users/{person.id}", json=standing, headers=headers)
