"""Points and levels: what validated work earns a contributor."""

from collections.abc import Mapping
from types import MappingProxyType

from libs.common.money import Money
from services.tasks.domain.values import Level

LEVEL_POINTS: Mapping[Level, int] = MappingProxyType({Level.ROOKIE: 0, Level.PRO: 500, Level.EXPERT: 2_500, Level.VIP: 10_000})
"""Points from which each level holds, in rising order."""

POINTS_BY_PRICE = ((50_000, 500), (10_000, 100), (0, 50))
"""(price from, in cents; points), highest first."""


def rank(level: Level) -> int:
    """The place of a level in the rising order, from 0."""
    return list(LEVEL_POINTS).index(level)


def level_for(points: int) -> Level:
    """The highest level that `points` (at least 0) reach."""
    return max((level for level, needed in LEVEL_POINTS.items() if points >= needed), key=rank)


def raised(current: Level, points: int) -> Level:
    """The level after a change of points: it rises, it never falls."""
    return max(current, level_for(points), key=rank)


def next_level_at(level: Level) -> int | None:
    """Points at which the next level begins; none at the top."""
    return next((needed for higher, needed in LEVEL_POINTS.items() if rank(higher) > rank(level)), None)


def points_for(price: Money) -> int:
    """Points that validated work of this price earns."""
    return next(points for floor, points in POINTS_BY_PRICE if price.amount >= floor)
