"""The gate: any arrival order, any duplication, each event once and in sequence."""

import random

from hypothesis import given
from hypothesis import strategies as st

from libs.common.events.gate import Decision, decide


class Aggregate:
    """One aggregate's gate in memory, driven by decisions alone."""

    def __init__(self) -> None:
        self.last = 0
        self.parked: set[int] = set()
        self.applied: list[int] = []

    def receive(self, arrived: list[int]) -> None:
        decision = decide(self.last, arrived, self.parked)
        self.applied += decision.apply
        self.last = max((self.last, *decision.apply))
        self.parked = {each for each in self.parked | set(decision.park) if each > self.last}


@given(
    length=st.integers(1, 40), duplicates=st.lists(st.integers(1, 40), max_size=20), seed=st.integers(), size=st.integers(1, 7)
)
def test_every_arrival_order_with_duplicates_applies_each_once_in_sequence(
    length: int, duplicates: list[int], seed: int, size: int
) -> None:
    arrivals = [*range(1, length + 1), *(each for each in duplicates if each <= length)]
    random.Random(seed).shuffle(arrivals)  # noqa: S311 - a reproducible order
    aggregate = Aggregate()

    for start in range(0, len(arrivals), size):
        aggregate.receive(arrivals[start : start + size])

    assert aggregate.applied == list(range(1, length + 1))
    assert not aggregate.parked


@given(arrived=st.sets(st.integers(1, 50)), parked=st.sets(st.integers(1, 50)), last=st.integers(0, 50))
def test_nothing_is_applied_past_a_gap(arrived: set[int], parked: set[int], last: int) -> None:
    decision = decide(last, arrived, parked)

    assert list(decision.apply) == list(range(last + 1, last + 1 + len(decision.apply)))
    assert set(decision.apply) <= arrived | parked
    assert last + 1 + len(decision.apply) not in arrived | parked
    assert all(each > last + len(decision.apply) for each in decision.park)
    assert not set(decision.park) & parked


def test_the_next_is_applied_with_its_parked_successors() -> None:
    assert decide(2, [3], [4, 5, 7]) == Decision(apply=(3, 4, 5), park=())


def test_an_early_one_is_parked_and_an_old_one_is_neither() -> None:
    assert decide(2, [1, 4], []) == Decision(apply=(), park=(4,))
