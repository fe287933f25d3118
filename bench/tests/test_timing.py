"""The loops that measure, on a clock of the test's own."""

import threading

import pytest

from bench.figures import NothingMeasured
from bench.timing import CHUNK, ROUNDS, bounded, costs, rates, timed


class Meter:
    """A clock that advances by what each call is said to cost."""

    def __init__(self) -> None:
        self.value = 0.0
        self.order: list[str] = []

    def work(self, name: str, cost: float) -> None:
        self.value += cost
        self.order.append(name)

    def read(self) -> float:
        return self.value


def test_the_cost_of_a_call_is_what_the_clock_says_it_takes() -> None:
    meter = Meter()
    took = costs({"dear": lambda: meter.work("dear", 3.0), "cheap": lambda: meter.work("cheap", 0.5)}, 1e-6, meter.read)
    assert took == {"dear": pytest.approx(3.0), "cheap": pytest.approx(0.5)}


def test_works_are_measured_in_turns() -> None:
    meter = Meter()
    costs({"one": lambda: meter.work("one", 1.0), "other": lambda: meter.work("other", 1.0)}, 1e-6, meter.read)
    assert meter.order == ["one", "other"] + (["one"] * CHUNK + ["other"] * CHUNK) * ROUNDS


def test_works_side_by_side_run_at_the_same_time() -> None:
    meeting = threading.Barrier(2, timeout=10)
    assert rates({"pair": [meeting.wait, meeting.wait]}, 1e-6)["pair"] > 0


def test_a_timed_call_gives_its_result() -> None:
    result, took = timed(lambda: 42)
    assert result == 42
    assert took >= 0


def test_what_runs_too_long_is_ended() -> None:
    with pytest.raises(NothingMeasured, match="not done within"), bounded(0.05):
        threading.Event().wait(30)


def test_what_ends_in_time_is_left_alone() -> None:
    with bounded(30):
        result, _ = timed(lambda: "done")
    assert result == "done"
