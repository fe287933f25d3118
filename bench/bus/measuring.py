"""All figures of the bus, in one run."""

from bench.bus import growth, latency, peers, throughput
from bench.bus.stage import stage
from bench.figures import Figure
from bench.timing import bounded

MEASURE_SECONDS = 280
"""The longest that all may take, once the servers run and the peers are installed."""
GROWTH_SECONDS = 1_800


def measure(seconds: float) -> list[Figure]:
    """Events a second of each half, time across both idle and under load, and other libraries on the same broker."""
    peers.install()
    with bounded(MEASURE_SECONDS), stage() as set_up:
        halves = throughput.measure(set_up, seconds)
        times = latency.measure(set_up, seconds)
        ours = next(each for each in halves if each.name == throughput.ONE_BY_ONE)
        return [*halves, *times, *peers.measure(set_up.amqp_url, seconds, ours)]


def measure_growth(seconds: float) -> list[Figure]:
    """The same rates with an empty archive and with ten million events in it."""
    with bounded(GROWTH_SECONDS), stage() as set_up:
        return growth.measure(set_up, seconds)
