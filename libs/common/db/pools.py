"""How busy the pools of database connections of this process are."""

from collections.abc import Iterator
from typing import Final
from weakref import WeakKeyDictionary

from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine
from sqlalchemy.pool import QueuePool


class Pools(Collector):
    """Reads the pools when somebody asks. An engine that is gone is forgotten."""

    def __init__(self) -> None:
        self._engines: WeakKeyDictionary[Engine, tuple[str, str]] = WeakKeyDictionary()

    def watch(self, engine: Engine, service: str, name: str) -> None:
        """Tell of this engine's pool from now on."""
        self._engines[engine] = (service, name)

    def collect(self) -> Iterator[Metric]:
        """Connections in use, and how many there may be."""
        labels = ["service", "pool"]
        in_use = GaugeMetricFamily("lumiere_database_connections_in_use", "Connections of a pool that work", labels=labels)
        limit = GaugeMetricFamily("lumiere_database_connections_limit", "Connections that a pool may have", labels=labels)
        used: dict[tuple[str, str], int] = {}
        allowed: dict[tuple[str, str], int] = {}
        for engine, key in list(self._engines.items()):
            if isinstance(engine.pool, QueuePool):
                used[key] = used.get(key, 0) + engine.pool.checkedout()
                allowed[key] = allowed.get(key, 0) + engine.pool.size()
        for key in sorted(used):
            in_use.add_metric(key, used[key])
            limit.add_metric(key, allowed[key])
        yield in_use
        yield limit


POOLS: Final = Pools()
REGISTRY.register(POOLS)
