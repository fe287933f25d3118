"""What a process says of itself to whoever looks after it: code, Python, user, and which optional settings it was given.

Never a value: a setting is made (1) or not (0). A secret under 16 characters counts as not made, as the doors judge it.
"""

import os
import platform
from collections.abc import Iterator
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import SecretStr

from libs.common.config import Settings, door_secret
from libs.common.telemetry.memory import MemoryLimit

PROCESS: Final = "lumiere_process_info"
SETTING: Final = "lumiere_setting"


class Introduction(Collector):
    """The two families of one process; what they say does not change while it runs."""

    def __init__(self, service: str, process: str, settings: Settings) -> None:
        environment = str(getattr(settings, "lumiere_env", ""))
        revision = str(getattr(settings, "lumiere_revision", ""))
        self._labels = [service, process, revision, platform.python_version(), str(os.geteuid()), environment]
        self._service = service
        self._made = {name: _is_made(getattr(settings, name)) for name in optional(settings)}

    def collect(self) -> Iterator[Metric]:
        """For Prometheus."""
        about = ["service", "process", "revision", "python", "user", "environment"]
        info = GaugeMetricFamily(PROCESS, "What runs here: 1", labels=about)
        info.add_metric(self._labels, 1)
        yield info
        made = GaugeMetricFamily(SETTING, "Whether an optional setting is made, never its value", labels=["service", "setting"])
        for name, is_made in self._made.items():
            made.add_metric([self._service, name], float(is_made))
        yield made


def introduce(service: str, process: str, settings: Settings, registry: CollectorRegistry = REGISTRY) -> None:
    """Let `/metrics` of this process say what it is, and how much memory it may have."""
    registry.register(Introduction(service, process, settings))
    registry.register(MemoryLimit())


def optional(settings: Settings) -> list[str]:
    """The settings that may be left out, and every secret."""
    return [
        name
        for name, field in type(settings).model_fields.items()
        if isinstance(getattr(settings, name), SecretStr) or _is_nothing(field.default)
    ]


def _is_made(value: object) -> bool:
    return door_secret(value) is not None if isinstance(value, SecretStr) else not _is_nothing(value)


def _is_nothing(value: object) -> bool:
    return value is None or (isinstance(value, str | tuple | frozenset) and not value)
