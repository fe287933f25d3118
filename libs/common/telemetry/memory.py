"""How much memory this process may have, as its container's control group says (cgroup v2, `memory.max`)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

LIMIT_FILE: Final = Path("/sys/fs/cgroup/memory.max")
UNLIMITED: Final = "max"


class MemoryLimit(Collector):
    """The limit, when there is one; a process without one has no sample, and no alert on it."""

    def __init__(self, file: Path = LIMIT_FILE) -> None:
        self._file = file

    def collect(self) -> Iterator[Metric]:
        """For Prometheus."""
        family = GaugeMetricFamily("lumiere_memory_limit_bytes", "Memory that the container of a process may have", labels=[])
        limit = self._read()
        if limit is not None:
            family.add_metric([], limit)
        yield family

    def _read(self) -> int | None:
        try:
            written = self._file.read_text(encoding="ascii").strip()
        except OSError:
            return None
        return None if written == UNLIMITED else int(written)
