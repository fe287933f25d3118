"""A server is away: people go on or are asked for patience, and what they did is told to everyone once it is back."""

from collections.abc import Iterator

import httpx
import pytest

from libs.common.ids import new_id
from ops.demo.client import API, wait_for
from tests.journeys.inside import Inside
from tests.journeys.people import FRAME, ONCE, POLL_SECONDS, Film, Person, Studio, Work, hand_in, upload

pytestmark = [pytest.mark.platform, pytest.mark.timeout(240)]

NEXT_POLL_SECONDS = 20.0
"""Revocation lists are read anew every 10 s when no broadcast comes."""


@pytest.fixture(scope="module")
def contributor(studio: Studio) -> Person:
    return studio.newcomer("Bluette")


@pytest.fixture(scope="module")
def film(studio: Studio) -> Film:
    return studio.film()


@pytest.fixture
def waiting(studio: Studio, contributor: Person, film: Film) -> Work:
    """Work that waits for an administrator."""
    work = studio.deliver(contributor, studio.plan_task(film, f"Before the broker went {new_id()}"))
    studio.advised(contributor, work)
    return work


@pytest.fixture
def without_broker(studio: Studio, waiting: Work) -> Iterator[None]:
    """Stops RabbitMQ; starts it again if the test did not."""
    studio.platform.operations.supervisor.stop(["rabbitmq"])
    yield
    studio.platform.operations.up()


@pytest.mark.usefixtures("without_broker")
def test_without_the_broker_commands_succeed_and_their_facts_flow_once_it_is_back(
    studio: Studio, inside: Inside, contributor: Person, film: Film, waiting: Work
) -> None:
    studio.approve(waiting)
    newcomer = studio.register("Late comer")
    task = studio.plan_task(film, f"While the broker is away {new_id()}")
    lease = contributor.post(f"/tasks/{task['id']}/claim")
    media = upload(contributor, FRAME)
    assert media["status"] == "READY"
    ended = studio.another_session(contributor)
    ended.post("/auth/logout", status=204)
    wait_for("401 by the next poll", lambda: ended.status() == 401, seconds=NEXT_POLL_SECONDS, every=POLL_SECONDS)
    assert contributor.status() == 200
    assert not inside.outboxes_are_empty()
    assert studio.effects(contributor, waiting.task) == dict.fromkeys(ONCE, 0)
    for service in inside.services:
        answer = httpx.get(f"{inside.straight(service)}/health/ready", trust_env=False)
        assert answer.status_code == 200, service

    studio.platform.operations.up()

    studio.wait_for_effects(contributor, waiting.task, seconds=60)
    wait_for("empty outboxes", inside.outboxes_are_empty, seconds=60, every=POLL_SECONDS)
    newcomer.post("/auth/verify-email", {"token": studio.mailed_token(newcomer)}, status=204)
    submission = hand_in(contributor, task["id"], lease["lease_token"], media["media_id"])
    work = Work(task, lease, media, submission)
    studio.advised(contributor, work)
    studio.approve(work)
    studio.wait_for_effects(contributor, task)
    assert [studio.effects(contributor, each) for each in (waiting.task, task)] == [ONCE, ONCE]


@pytest.fixture
def without_postgres(studio: Studio) -> Iterator[None]:
    """Stops Postgres; starts it again if the test did not."""
    studio.platform.operations.supervisor.stop(["postgres"])
    yield
    studio.platform.operations.up()


@pytest.mark.long
@pytest.mark.usefixtures("without_postgres")
def test_without_postgres_everybody_is_refused_for_now_and_work_goes_on_once_it_is_back(
    studio: Studio, inside: Inside, contributor: Person, film: Film
) -> None:
    for service in inside.services:
        address = f"{inside.straight(service)}/health/ready"
        wait_for(f"{service} is not ready", lambda address=address: httpx.get(address, trust_env=False).status_code == 503)  # type: ignore[misc]
    for path in ("/films", "/profile", "/lumens"):
        answer = contributor.http.get(f"{API}{path}", headers=contributor.authorization)
        assert (answer.status_code, int(answer.headers["Retry-After"]) > 0) == (503, True), answer.text
        assert answer.headers["Content-Type"].startswith("application/problem+json")

    studio.platform.operations.up()

    wait_for("people are answered", lambda: contributor.status() == 200, seconds=60, every=POLL_SECONDS)
    task = studio.plan_task(film, f"After the database came back {new_id()}")
    studio.finish(contributor, task)
    studio.wait_for_effects(contributor, task, seconds=60)
    assert studio.effects(contributor, task) == ONCE
