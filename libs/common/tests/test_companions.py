"""What may be away makes a service degraded, and asking how it is never waits for it."""

import threading

import pytest
import structlog

from libs.common import clock
from libs.common.companions import PROBE_SECONDS, UP, Companion
from libs.common.events.tests.live import eventually
from libs.common.http.health import Health

MEANWHILE = "each counts alone"


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock, moved by hand."""
    now = [1_000.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    return now


def test_a_service_without_its_companion_is_ready_and_says_what_it_does_meanwhile() -> None:
    companion = Companion("redis", MEANWHILE)
    health = Health({"redis": companion.check})

    companion.lost("ConnectionError")
    answer = health.ready()

    assert (answer.status_code, answer.get_json()) == (
        200,
        {"status": "degraded", "checks": {"redis": f"degraded: {MEANWHILE} (ConnectionError)"}},
    )
    companion.found()
    assert health.ready().get_json() == {"status": "ready", "checks": {"redis": "ok"}}


def test_going_and_coming_back_are_each_told_once_and_measured() -> None:
    companion = Companion("planted", MEANWHILE)
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            companion.lost("Timeout")
        assert (companion.away, UP.labels("planted")._value.get()) == (True, 0)
        for _ in range(3):
            companion.found()
    assert (companion.away, UP.labels("planted")._value.get()) == (False, 1)
    assert [line["event"] for line in lines] == ["companion.away", "companion.back"]


def test_a_companion_that_hangs_holds_up_nobody_who_asks_and_is_asked_once_at_a_time(moment: list[float]) -> None:
    answers, asked = threading.Event(), []

    def probe() -> None:
        asked.append(1)
        answers.wait(10)
        raise TimeoutError

    companion = Companion("slow", MEANWHILE, probe)
    for _ in range(3):
        assert companion.check() == "ok"
        moment[0] += PROBE_SECONDS
    eventually(lambda: len(asked) == 1, "one probe")
    answers.set()
    eventually(lambda: companion.away, "the probe failed")
    assert companion.check() == f"degraded: {MEANWHILE} (TimeoutError)"


@pytest.mark.parametrize(("passed", "asked"), [(PROBE_SECONDS - 0.1, 1), (PROBE_SECONDS, 2), (PROBE_SECONDS + 0.1, 2)])
def test_a_companion_is_probed_so_often_and_no_oftener(moment: list[float], passed: float, asked: int) -> None:
    probes: list[int] = []
    companion = Companion("often", MEANWHILE, lambda: probes.append(1))
    companion.check()
    eventually(lambda: len(probes) == 1 and not companion._probing.locked(), "the first probe")
    moment[0] += passed
    companion.check()
    eventually(lambda: len(probes) == asked and not companion._probing.locked(), "the second probe, if any")
    assert len(probes) == asked
