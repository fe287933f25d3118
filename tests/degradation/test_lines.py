"""Postgres and RabbitMQ, missing when processes start and lost while they run: real processes, and lines that are cut."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from libs.common.events.tests.live import eventually
from libs.common.testing import Harness
from services.auth.app import service
from services.auth.tests.conftest import SETTINGS
from tests.degradation.stage import FINE, SHUT, Listening, Stage, line_to

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

HEALS_WITHIN_SECONDS = 45.0


@dataclass
class Begun:
    """What was seen while the processes started into nothing, and then got first the one server, then the other."""

    stage: Stage
    listening: Listening
    without_postgres: tuple[int, dict[str, Any]]
    refused: httpx.Response
    without_broker: tuple[int, dict[str, Any]]
    accepted: httpx.Response
    waiting: int
    taken: list[str]
    told: list[str]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begun]:
    """Auth, started where there is neither Postgres nor RabbitMQ."""
    harness = Harness(service, SETTINGS)
    with ExitStack() as stack:
        stack.callback(harness.drop)
        postgres, broker = (stack.enter_context(line_to(harness.environ[name])) for name in ("DATABASE_URL", "AMQP_URL"))
        postgres.weather(SHUT)
        broker.weather(SHUT)
        stage = Stage(harness, tmp_path_factory.mktemp("stage"), postgres, broker)
        listening = Listening(harness.environ["AMQP_URL"])
        stack.callback(listening.close)
        stack.callback(stage.stop)
        yield _begin(stage, listening)


def _begin(stage: Stage, listening: Listening) -> Begun:
    stage.start()
    without_postgres, refused = stage.readiness(), stage.command()
    stage.postgres.weather(FINE)
    eventually(lambda: stage.readiness()[0] == 200, "ready for requests", HEALS_WITHIN_SECONDS)
    accepted = stage.command()
    eventually(lambda: stage.registered() == 1 and stage.outbox_depth() > 0, "facts wait", HEALS_WITHIN_SECONDS)
    without_broker, waiting = stage.readiness(), stage.outbox_depth()
    stage.broker.weather(FINE)
    eventually(lambda: stage.ready("web") and stage.ready("worker"), "all is well", HEALS_WITHIN_SECONDS)
    eventually(lambda: stage.outbox_depth() == 0, "nothing waits", HEALS_WITHIN_SECONDS)
    return Begun(
        stage, listening, without_postgres, refused, without_broker, accepted, waiting, listening.taken(), stage.told()
    )


def settle(begun: Begun) -> None:
    """All is well, and what was told so far has been taken note of."""
    begun.stage.postgres.weather(FINE)
    begun.stage.broker.weather(FINE)
    eventually(lambda: begun.stage.ready("web") and begun.stage.ready("worker"), "all is well", HEALS_WITHIN_SECONDS)
    eventually(lambda: begun.stage.outbox_depth() == 0, "nothing waits", HEALS_WITHIN_SECONDS)


def assert_unavailable(answer: httpx.Response) -> None:
    """Refused for now, in words and with a time to come again."""
    assert (answer.status_code, answer.json()["type"]) == (503, "https://lumiere.film/problems/unavailable")
    assert int(answer.headers["Retry-After"]) > 0


def test_processes_that_start_without_postgres_say_so_and_are_ready_by_themselves_once_it_is_there(begun: Begun) -> None:
    status, document = begun.without_postgres
    assert (status, document["status"]) == (503, "unavailable")
    assert document["checks"]["database"].startswith("failed: ")
    assert_unavailable(begun.refused)
    assert begun.accepted.status_code == 202
    assert begun.stage.alive()


def test_processes_that_start_without_the_broker_take_commands_and_their_facts_leave_once_when_it_is_there(
    begun: Begun,
) -> None:
    status, document = begun.without_broker
    assert (status, document["status"]) == (200, "degraded")
    assert document["checks"]["broadcast"] == "degraded: polling only"
    assert begun.waiting > 0
    assert sorted(begun.taken) == begun.told
    assert begun.stage.alive()


def test_while_postgres_is_lost_requests_are_refused_for_now_and_it_is_found_again_without_a_restart(begun: Begun) -> None:
    stage = begun.stage
    settle(begun)
    stage.postgres.weather(SHUT)
    assert stage.postgres.cut() > 0

    eventually(lambda: stage.readiness()[0] == 503, "the gateway is told", HEALS_WITHIN_SECONDS)
    assert_unavailable(stage.command())
    assert stage.get("/health/live").status_code == 200
    before = stage.registered()

    settle(begun)
    assert stage.command().status_code == 202
    eventually(lambda: stage.registered() == before + 1, "the command took effect", HEALS_WITHIN_SECONDS)
    assert stage.alive()


def test_while_the_broker_is_lost_commands_succeed_the_outbox_grows_and_everything_leaves_once(begun: Begun) -> None:
    stage = begun.stage
    settle(begun)
    before, known = stage.registered(), set(stage.told())
    begun.listening.taken()
    stage.broker.weather(SHUT)
    assert stage.broker.cut() > 0

    assert [stage.command().status_code for _ in range(3)] == [202] * 3
    eventually(lambda: stage.registered() == before + 3, "accounts are opened", HEALS_WITHIN_SECONDS)
    eventually(lambda: stage.outbox_depth() >= 3, "the metric tells", HEALS_WITHIN_SECONDS)
    for kind in ("web", "worker"):
        eventually(lambda kind=kind: stage.readiness(kind)[1]["status"] == "degraded", kind, HEALS_WITHIN_SECONDS)  # type: ignore[misc]
        assert stage.readiness(kind)[0] == 200

    settle(begun)
    assert sorted(begun.listening.taken()) == sorted(set(stage.told()) - known)
    assert stage.alive()
