"""A figure and its ratio to another of the same run."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles

DIGITS = 4
"""Significant digits that are written: more would tell of the machine's mood."""


class NothingMeasured(Exception):
    """A benchmark could not see what it is there to measure; the message says what was missing."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; `ratio` is it divided by the figure that `ratio_to` names."""

    name: str
    value: float
    unit: str
    ratio_to: str | None = None
    ratio: float | None = None


def limit(name: str, value: float, unit: str) -> Figure:
    """A figure that others are compared with. Raises NothingMeasured unless it is positive."""
    if value <= 0:
        raise NothingMeasured(f"{name}: nothing was measured; give it more --seconds.")
    return Figure(name, value, unit)


def against(base: Figure, name: str, value: float) -> Figure:
    """A figure in the unit of its limit, and its ratio to it."""
    return Figure(name, value, base.unit, base.name, value / base.value)


def significant(value: float) -> float:
    """The value with DIGITS significant digits."""
    return float(f"{value:.{DIGITS}g}")


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that `percent` (1 to 99) of all lie at or below, interpolated. Raises NothingMeasured when there is none."""
    if not values:
        raise NothingMeasured("No value to take a percentile of.")
    if len(values) == 1:
        return values[0]
    return quantiles(values, n=100, method="inclusive")[percent - 1]
