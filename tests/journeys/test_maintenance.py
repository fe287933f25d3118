"""The door is shut for maintenance and opened again: by an administrator, and by an operator when auth is down."""

from collections.abc import Iterator

import pytest

from gateway.limits import MAINTENANCE_RETRY_SECONDS
from libs.common import clock
from libs.common.ids import new_id
from ops.console import out
from ops.demo.client import wait_for
from tests.journeys.conftest import Lumiere
from tests.journeys.inside import Inside
from tests.journeys.people import POLL_SECONDS, Person, Studio, listening

pytestmark = [pytest.mark.platform, pytest.mark.timeout(240)]

SHUT, OPEN = {"enabled": True, "reason": "The database moves."}, {"enabled": False}
BITES_WITHIN_SECONDS = 5.0
PATH = "/admin/maintenance"


@pytest.fixture(scope="module")
def contributor(studio: Studio) -> Person:
    return studio.newcomer("Georgette Méliès")


@pytest.fixture(autouse=True)
def open_again(studio: Studio, lumiere: Lumiere) -> Iterator[None]:
    """Whatever happened, everybody who comes after finds the door open."""
    yield
    studio.platform.operations.up()
    lumiere("gateway", "maintenance", "follow")
    studio.administrator.call("PUT", PATH, json=OPEN)
    wait_for("an open door", lambda: studio.anyone.http.get("/api/v1/films").status_code == 200, every=POLL_SECONDS)


def awaited(what: str, person: Person, status: int) -> None:
    """Wait until this person is answered so, and say how long it took."""
    begun = clock.monotonic()
    wait_for(what, lambda: person.status() == status, seconds=BITES_WITHIN_SECONDS)
    out.print(f"{what}: {(clock.monotonic() - begun) * 1000:.0f} ms after the answer to the PUT")


def test_an_administrator_shuts_the_door_works_on_and_opens_it_again(
    studio: Studio, inside: Inside, contributor: Person, lumiere: Lumiere
) -> None:
    admin = studio.administrator
    seen = admin.call("GET", PATH)
    with listening(contributor) as stream:
        shut = admin.call("PUT", PATH, json=SHUT, headers={"If-Match": seen.headers["ETag"]})
        awaited("the door is shut", contributor, 503)

        answer = contributor.http.get("/api/v1/profile", headers=contributor.authorization)
        assert answer.headers["retry-after"] == str(MAINTENANCE_RETRY_SECONDS)
        assert answer.headers["content-type"] == "application/problem+json"
        assert not stream.ended
    contributor.sign_in(contributor.email, contributor.password)
    assert admin.call("GET", "/admin/users").json()["items"]
    code, told = lumiere("gateway", "maintenance", "status")
    assert (code, told["enforced"], told["auth"]["revision"]) == (0, True, shut.json()["revision"])

    admin.call("PUT", PATH, json=OPEN, headers={"If-Match": shut.headers["ETag"]})
    awaited("the door is open", contributor, 200)
    rows = inside.rows(
        "SELECT action, details FROM auth.audit_record WHERE entity = 'maintenance' ORDER BY occurred_at DESC LIMIT 2"
    )
    assert [row.details["enabled"] for row in rows] == [False, True]


def test_with_auth_and_the_control_process_down_the_operator_shuts_the_door_and_ends_a_session(
    studio: Studio, contributor: Person, lumiere: Lumiere
) -> None:
    session = contributor.tokens["session_id"]
    studio.platform.operations.supervisor.stop(["auth-web-1", "gateway-control"])

    code, told = lumiere("gateway", "maintenance", "on", "--reason", f"auth is down {new_id()}")
    assert (code, told["enforced"]) == (0, True)
    assert contributor.status() == 503
    code, told = lumiere("gateway", "maintenance", "off")
    assert (code, told["enforced"]) == (0, False)
    assert contributor.status("/films") == 200
    assert lumiere("gateway", "revoke", "--session", session)[0] == 0
    assert contributor.status() == 401

    studio.platform.operations.up()
    wait_for("both words", lambda: lumiere("gateway", "maintenance", "status")[1]["auth"], every=POLL_SECONDS)
    assert contributor.status() == 401
    code, told = lumiere("gateway", "maintenance", "follow")
    assert (code, told["operator"], told["enabled"]) == (0, None, False)
