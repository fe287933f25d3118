"""One look at every process: all samples of its `/metrics`, and when they were read."""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from libs.common import clock
from ops.doctor.processes import Address

ANSWER_SECONDS: Final = 3.0
ASKED_AT_ONCE: Final = 16
Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Reading:
    """What one process told, or why it told nothing."""

    address: Address
    at: float
    """Seconds on a clock that never goes back."""
    samples: Mapping[tuple[str, Labels], float] = field(default_factory=dict)
    failure: str = ""

    def of(self, name: str, **wanted: str) -> Iterator[tuple[dict[str, str], float]]:
        """The samples of this name with these labels."""
        for (each, labels), value in self.samples.items():
            if each == name and wanted.items() <= dict(labels).items():
                yield dict(labels), value

    def one(self, name: str, **wanted: str) -> float | None:
        """The sum of these samples; None when there is none."""
        found = [value for _, value in self.of(name, **wanted)]
        return sum(found) if found else None


def read(client: httpx.Client, addresses: Iterable[Address]) -> list[Reading]:
    """Ask every process, side by side."""
    chosen = list(addresses)
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        return list(pool.map(lambda each: _one(client, each), chosen))


def _one(client: httpx.Client, address: Address) -> Reading:
    try:
        extensions = {"sni_hostname": address.host} if address.host else {}
        answer = client.get(address.url, timeout=ANSWER_SECONDS, extensions=extensions)
        answer.raise_for_status()
        return Reading(address, clock.monotonic(), understood(answer.text))
    except (httpx.HTTPError, ValueError) as error:
        return Reading(address, clock.monotonic(), failure=type(error).__name__)


def understood(exposition: str) -> dict[tuple[str, Labels], float]:
    """The samples of an exposition. Raises ValueError when it is none."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
    }
