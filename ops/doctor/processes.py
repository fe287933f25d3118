"""What the platform's processes say of themselves, read from their `/metrics` inside the network."""

import ssl
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from libs.common.telemetry.introduction import PROCESS, SETTING

ANSWER_SECONDS: Final = 3.0
ASKED_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class Address:
    """Where one process answers."""

    name: str
    """For people: `tasks-worker-2`, or a container's name and address."""
    url: str
    """Of its `/metrics`."""
    service: str
    kind: str
    host: str | None = None
    """The name that its certificate is for, where it has one."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process, in its own words."""

    name: str
    service: str
    kind: str
    revision: str
    python: str
    user: int
    environment: str
    settings: Mapping[str, bool]
    """Optional setting → whether it is made."""
    figures: Mapping[str, float]
    """Samples without labels."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A process that does not say anything, and why."""

    name: str
    reason: str


def read(addresses: Iterable[Address], trust: ssl.SSLContext | None = None) -> list[Process | Unread]:
    """Ask every process, side by side; `trust` where they speak TLS and want to see a certificate."""
    chosen = list(addresses)
    with httpx.Client(timeout=ANSWER_SECONDS, trust_env=False, verify=True if trust is None else trust) as client:
        with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
            return list(pool.map(lambda each: _one(client, each), chosen))


def _one(client: httpx.Client, address: Address) -> Process | Unread:
    extensions = {"sni_hostname": address.host} if address.host else {}
    try:
        answer = client.get(address.url, extensions=extensions)
        answer.raise_for_status()
        return understood(address.name, answer.text)
    except (httpx.HTTPError, ValueError) as error:
        return Unread(address.name, type(error).__name__)


def understood(name: str, exposition: str) -> Process:
    """What an exposition tells. Raises ValueError when it does not say what process it is."""
    samples = [sample for family in text_string_to_metric_families(exposition) for sample in family.samples]
    about = next((each.labels for each in samples if each.name == PROCESS), None)
    if about is None:
        raise ValueError("no introduction")
    return Process(
        name=name,
        service=about["service"],
        kind=about["process"],
        revision=about["revision"],
        python=about["python"],
        user=int(about["user"]),
        environment=about["environment"],
        settings={each.labels["setting"]: bool(each.value) for each in samples if each.name == SETTING},
        figures={each.name: each.value for each in samples if not each.labels},
    )
