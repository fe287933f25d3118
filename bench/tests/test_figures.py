"""Ratios, significant digits and percentiles."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import tokens
from bench.figures import Figure, NothingMeasured, against, limit, percentile, significant

VALUES = st.floats(min_value=1e-6, max_value=1e9)


def test_a_figure_is_quoted_with_its_ratio_to_the_limit_of_the_same_run() -> None:
    base = limit("bare", 200.0, "ms")
    assert against(base, "ours", 300.0) == Figure("ours", 300.0, "ms", "bare", 1.5)
    assert (base.ratio_to, base.ratio) == (None, None)


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_limit_that_was_not_measured_is_refused(value: float) -> None:
    with pytest.raises(NothingMeasured, match="bare"):
        limit("bare", value, "ms")


@given(VALUES)
def test_significant_digits_keep_the_value_to_a_thousandth(value: float) -> None:
    assert math.isclose(significant(value), value, rel_tol=1e-3)


@given(st.lists(VALUES, min_size=1), st.integers(1, 99))
def test_a_percentile_lies_between_the_smallest_and_the_largest(values: list[float], percent: int) -> None:
    found = percentile(values, percent)
    assert min(values) * (1 - 1e-9) <= found <= max(values) * (1 + 1e-9)


@given(st.lists(VALUES, min_size=1))
def test_percentiles_do_not_fall_and_do_not_depend_on_the_order(values: list[float]) -> None:
    assert percentile(values, 50) <= percentile(values, 99) * (1 + 1e-9)
    assert percentile(values, 90) == percentile(sorted(values), 90)


def test_the_median_of_an_odd_number_of_values_is_the_middle_one() -> None:
    assert percentile([9.0, 1.0, 5.0], 50) == 5.0


def test_no_value_has_no_percentile() -> None:
    with pytest.raises(NothingMeasured):
        percentile([], 50)


def test_a_promise_about_tokens_is_kept_at_its_bound_and_missed_beyond_it_or_unmeasured() -> None:
    kept = [Figure(name, bound, "CPU µs") for name, bound in tokens.PROMISED.items()]
    assert tokens.missed(kept) == []
    late = [Figure(name, bound + 0.1, "CPU µs") for name, bound in tokens.PROMISED.items()]
    assert len(tokens.missed(late)) == len(tokens.missed([])) == len(tokens.PROMISED)
