"""What the gateway promised, as bounds on figures of one run."""

from collections.abc import Sequence

from bench.figures import Figure
from bench.gateway import changes, growth, latency, streams, throughput
from bench.gateway.peers import FAST, FLASK
from bench.targets import Target

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
