"""The platform's main promise, seen from outside: what a validation causes, and how soon."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.figures import Figure, NothingMeasured, against, limit, percentile
from bench.timing import MILLISECONDS, bounded, timed
from libs.common import clock
from ops.command_line import this_platform
from ops.demo.command import access_to
from ops.demo.report import Report
from ops.demo.story import Latency, Story
from ops.lifecycle import Platform
from ops.settings import ROOT
from ops.testing import live_platform

TASKS = 20
READS = 50
STORIES_SECONDS = 40.0
"""No further story begins after this long."""
FOLDER: Path = ROOT / ".local" / "bench" / "platform"


def measure(_seconds: float) -> list[Figure]:
    """Milliseconds from the reviewer's request, over TASKS tasks or as many as there was time for."""
    with _platform() as platform, bounded():
        stories = _stories(platform)
        latencies = [latency for story in stories for latency in story.latencies][:TASKS]
        reads = [timed(lambda: stories[-1].admin.get("/profile"))[1] * MILLISECONDS for _ in range(READS)]
    base = limit("one read through the gateway, p50", percentile(reads, 50), "ms")
    return [base, *_figures(base, latencies)]


def _figures(base: Figure, latencies: list[Latency]) -> Iterator[Figure]:
    told = {"booked": "Lumens booked", "proved": "proof recorded", "noticed": "notice on the stream", "all": "all three"}
    for name, words in told.items():
        values = [float(getattr(latency, name)) for latency in latencies]
        yield against(base, f"validated → {words}, p50 of {len(values)} tasks", percentile(values, 50))
    yield against(base, "validated → all three, the slowest", max(latency.all for latency in latencies))


def _stories(platform: Platform) -> list[Story]:
    """Whole stories, each with a film of its own, until enough tasks were validated. Raises NothingMeasured."""
    told, deadline = list[Story](), clock.monotonic() + STORIES_SECONDS
    while sum(len(each.latencies) for each in told) < TASKS and (not told or clock.monotonic() < deadline):
        report = Report(quiet=True)
        story = Story(access_to(platform), report)
        story.run()
        if report.failed:
            failed = report.steps[-1]
            raise NothingMeasured(f"The story ended at “{failed.title}”: {failed.fault}")
        told.append(story)
    return told


@contextmanager
def _platform() -> Iterator[Platform]:
    """The developer's platform when it runs, else one that is started here and stopped again."""
    present = this_platform()
    if present.supervisor.pid() is not None:
        yield present
        return
    with live_platform(FOLDER) as live:
        yield live.operations
