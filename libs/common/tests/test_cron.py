"""The cron door: who knows the secret has a job run now, once at a time; for everybody else there is nothing."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from types import ModuleType

import pytest
from flask import Flask
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import SecretStr

from libs.common.auth import PUBLIC, Revocations, TokenVerifier
from libs.common.auth.policy import CRON_HEADER
from libs.common.config import DOOR_SECRET_LENGTH_MIN, door_secret
from libs.common.db import kernel_tables
from libs.common.events.subscriptions import Subscriptions
from libs.common.events.tests.live import eventually
from libs.common.events.tests.platform import backing
from libs.common.http import NoContent, Routes
from libs.common.http.application import Runtime, create_application
from libs.common.http.health import Health
from libs.common.http.manifest import manifest
from libs.common.http.openapi import openapi
from libs.common.jobs import Job, collect_jobs, every
from libs.common.service.cron import BODY_MAX, cron_routes
from libs.common.tests.conftest import ISSUER, SERVICE_TOKEN, Sample, sample, sample_database
from libs.common.worker import Worker

__all__ = ["sample", "sample_database"]

SECRET = "a cron secret: é"  # pragma: allowlist secret
KNOWN = {CRON_HEADER: SECRET.encode().decode("latin-1")}


@dataclass
class Floor:
    """Counts who sweeps, and lets a test hold a sweep up."""

    runs: int = 0
    at_once: int = 0
    most_at_once: int = 0
    free: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def sweep(self) -> None:
        """Be swept."""
        with self._lock:
            self.runs += 1
            self.at_once += 1
            self.most_at_once = max(self.at_once, self.most_at_once)
        assert self.free.wait(20)
        with self._lock:
            self.at_once -= 1


@every(hours=1)
def sweep(floor: Floor) -> int:
    """Sweep the floor."""
    floor.sweep()
    return 1


@every(hours=1)
def rest(floor: Floor) -> int:
    """Do nothing."""
    return 0 if floor else 1


def jobs() -> tuple[Job, ...]:
    module = ModuleType(__name__)
    module.sweep, module.rest = sweep, rest  # type: ignore[attr-defined]
    return collect_jobs([module])


def application(sample: Sample, secret: str | None, extra: Routes | None = None, **resources: object) -> Flask:
    """The sample service's cron door."""
    verifier = TokenVerifier(ISSUER, "lumiere", sample.keys, Revocations())
    provided = {type(each): each for each in resources.values()}
    runtime = Runtime("sample", sample.database, verifier, SERVICE_TOKEN, provided, Health({}), cron_secret=secret)
    return create_application(runtime, [*cron_routes("sample", jobs()), *(extra.routes if extra else [])])


@contextmanager
def workers(sample: Sample, floor: Floor, count: int) -> Iterator[list[Worker]]:
    """Replicas of the worker."""
    nothing = Subscriptions("sample", (), ())
    resources: dict[type, object] = {Floor: floor}
    running = [
        Worker(sample.database, backing("AMQP_URL"), subscriptions=nothing, jobs=jobs(), resources=resources)
        for _ in range(count)
    ]
    for each in running:
        each.start()
    try:
        yield running
    finally:
        floor.free.set()
        ended = [each.stop() for each in running]
        assert all(ended)


def test_a_trigger_is_accepted_and_recorded_without_the_secret(sample: Sample) -> None:
    answer = application(sample, SECRET).test_client().post("/cron/sweep", headers=KNOWN)

    assert (answer.status_code, answer.get_json()) == (202, {"job": "sweep", "status": "accepted"})
    audit = kernel_tables(sample.database.metadata).audit_record
    with sample.database.reader() as db:
        row = db.one(audit.select())
    assert (row.action, row.entity, row.entity_id, row.roles, row.actor_id) == ("job.trigger", "job", "sweep", "cron", None)
    assert SECRET not in str(row)


@pytest.mark.parametrize("secret", [SECRET, None])
@pytest.mark.parametrize("given", [None, "", SECRET[:-1], SECRET + "x", SECRET.upper(), "None", f"{SECRET}, {SECRET}"])
def test_without_the_secret_the_answer_is_that_of_an_absent_address(
    given: str | None, secret: str | None, sample: Sample
) -> None:
    client = application(sample, secret).test_client()
    headers = {} if given is None else {CRON_HEADER: given.encode().decode("latin-1")}

    for path in ("/cron/sweep", "/cron/sweep?when=now", "/cron/absent"):
        refused, absent = client.post(path, headers=headers), client.post("/cron/absent", headers=headers)
        told = [{**each.get_json(), "request_id": "", "instance": ""} for each in (refused, absent)]
        assert (refused.status_code, told[0]) == (404, told[1])
    assert sample.count(kernel_tables(sample.database.metadata).audit_record) == 0


@pytest.mark.parametrize(
    ("length", "open_"),
    [(0, False), (DOOR_SECRET_LENGTH_MIN - 1, False), (DOOR_SECRET_LENGTH_MIN, True), (DOOR_SECRET_LENGTH_MIN + 1, True)],
)
def test_a_secret_that_is_too_short_opens_nothing(length: int, open_: bool, sample: Sample) -> None:
    secret = door_secret(SecretStr("s" * length))
    client = application(sample, secret).test_client()

    assert client.post("/cron/sweep", headers={CRON_HEADER: "s" * length}).status_code == (202 if open_ else 404)


def test_with_no_secret_not_even_another_method_tells_of_the_door(sample: Sample) -> None:
    client = application(sample, None).test_client()

    assert [client.open("/cron/sweep", method=method).status_code for method in ("GET", "PUT", "POST")] == [404, 404, 404]


@pytest.mark.parametrize(("length", "status"), [(BODY_MAX - 1, 202), (BODY_MAX, 202), (BODY_MAX + 1, 413)])
def test_what_a_scheduler_sends_along_is_not_read_and_not_long(length: int, status: int, sample: Sample) -> None:
    client = application(sample, SECRET).test_client()

    assert client.post("/cron/sweep", headers=KNOWN, data=b"x" * length).status_code == status


def test_many_triggers_at_many_replicas_never_run_a_job_twice_at_once(sample: Sample) -> None:
    floor = Floor()
    client = application(sample, SECRET).test_client()
    with workers(sample, floor, 2):
        eventually(lambda: floor.runs == 1, "it runs at the start, at one replica alone")
        statuses = [client.post("/cron/sweep", headers=KNOWN).status_code for _ in range(5)]
        assert statuses == [202] * 5
        assert floor.runs == 1
        floor.free.set()
        eventually(lambda: floor.runs >= 2, "what was asked for meanwhile is one more run")
        before = floor.runs
        client.post("/cron/sweep", headers=KNOWN)
        eventually(lambda: floor.runs > before, "a trigger runs it again long before the hour is over")
    assert floor.most_at_once == 1


def test_a_trigger_runs_its_own_job_alone(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    floor = Floor()
    floor.free.set()
    client = application(sample, SECRET).test_client()
    with workers(sample, floor, 1) as (worker,):
        eventually(lambda: worker._listener.listening.is_set() and floor.runs >= 1, "it runs at its start")
        woken: list[str] = []
        for name, runner in worker._runners.items():
            monkeypatch.setattr(runner, "wake", partial(woken.append, name))
        client.post("/cron/rest", headers=KNOWN)
        eventually(lambda: bool(woken), "a job is woken")
    assert woken == ["rest"]


def test_the_documents_tell_of_the_door_and_of_what_opens_it(sample: Sample) -> None:
    routes = cron_routes("sample", jobs())
    document = openapi("sample", "1", routes)
    OpenAPIV31SpecValidator(document).validate()
    operation = document["paths"]["/cron/sweep"]["post"]

    assert (operation["summary"], operation["security"], operation["x-roles"]) == (
        "Run now: sweep the floor.",
        [{"cron": []}],
        "cron",
    )
    assert document["components"]["securitySchemes"]["cron"] == {"type": "apiKey", "in": "header", "name": CRON_HEADER}
    assert {"202", "403", "404"} <= set(operation["responses"])
    (entry,) = [each for each in manifest("sample", routes, ["web"])["routes"] if each["path"] == "/cron/sweep"]
    assert (entry["allow"], entry["concealed"], entry["operation"]) == ("cron", True, "sample.sweep")


class Bell:
    """What a concealed route needs."""


concealed = Routes("sample")


@concealed.post("/bell", allow=PUBLIC, root=True, concealed=True)
def ring(bell: Bell) -> NoContent:
    """Ring the bell."""
    assert bell
    return NoContent()


def test_a_concealed_route_is_not_there_until_the_service_has_what_it_needs(sample: Sample) -> None:
    without, having = application(sample, None, concealed), application(sample, None, concealed, bell=Bell())

    assert [without.test_client().open("/bell", method=method).status_code for method in ("GET", "POST")] == [404, 404]
    assert having.test_client().post("/bell").status_code == 204


def test_a_route_that_is_not_concealed_still_needs_everything(sample: Sample) -> None:
    plain = Routes("sample", [replace(each, concealed=False) for each in concealed.routes])

    with pytest.raises(TypeError, match="asks for Bell"):
        application(sample, None, plain)
