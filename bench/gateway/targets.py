"""What the gateway promised, as bounds on figures of one run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.figures import Figure
from bench.gateway import changes, growth, latency, streams, throughput
from bench.gateway.peers import FAST, FLASK

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


TARGETS = (
    Target(f"{throughput.AGAIN}; at once", "≥", 0.25, ratio=True),
    Target(f"{throughput.AGAIN}; beside {FLASK.name}", "≥", 10, ratio=True),
    Target(f"{throughput.AGAIN}; beside {FAST.name}", "≥", 3, ratio=True),
    Target(f"{throughput.AGAIN}; cost", "≤", 80),
    Target(throughput.MEMORY, "≤", 40),
    Target(throughput.PYTHON_MEMORY, "≤", 60),
    Target(latency.ADDED_P50, "≤", 0.5),
    Target(latency.ADDED_P99, "≤", 3),
    *(Target(f"{size} routes", "≤", 1.25, ratio=True) for size in growth.SIZES[1:]),
    Target(f"{changes.RELOADED}: failed", "≤", 0),
    Target(f"{changes.SCALED}: failed", "≤", 0),
    Target(streams.OPENED, "≥", streams.STREAMS),
    Target(streams.DROPPED, "≤", 0),
    Target(streams.TOLD_P50, "≤", 10),
)


def target_of(figure: Figure) -> Target | None:
    """The bound that this figure is to keep, if any."""
    return next((each for each in TARGETS if figure.name.startswith(each.figure)), None)


def missed(figures: Sequence[Figure]) -> list[str]:
    """A sentence for each bound that is not kept, or whose figure is missing."""
    found = []
    for each in TARGETS:
        figure = each.of(figures)
        if figure is None:
            found.append(f"{each.figure}: not measured")
        elif not each.met(figure):
            seen = figure.ratio if each.ratio else figure.value
            found.append(f"{figure.name}: {seen:.4g}, wanted {each}")
    return found
