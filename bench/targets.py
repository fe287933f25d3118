"""What was promised of a figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.figures import Figure

Bound = Literal["≥", "≤"]


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on the value of a figure, or on its ratio."""

    figure: str
    """How the figure's name begins."""
    bound: Bound
    value: float
    ratio: bool = False

    def of(self, figures: Sequence[Figure]) -> Figure | None:
        """The figure that it is about, if it was measured."""
        return next((each for each in figures if each.name.startswith(self.figure)), None)

    def met(self, figure: Figure) -> bool:
        """Whether the figure keeps it."""
        seen = figure.ratio if self.ratio else figure.value
        if seen is None:
            return False
        return seen >= self.value if self.bound == "≥" else seen <= self.value

    def __str__(self) -> str:
        return f"{self.bound} {self.value:g}{' as a ratio' if self.ratio else ''}"
