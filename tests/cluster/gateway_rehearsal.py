"""Two gateways: a session that ends at one is refused at the other, and what a person may do is counted together."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from gateway.limits import LIMITS
from libs.common import clock
from libs.common.auth.policy import Rate
from ops.demo.client import API, wait_for
from ops.testing import LivePlatform
from tests.cluster.gateways import AnotherGateway, two_gateways
from tests.journeys.people import POLL_SECONDS, Person, Studio

BITES_WITHIN_SECONDS: Final = 1.0
PROFILE: Final = f"{API}/profile"


@dataclass(frozen=True)
class Rehearsed:
    """What came of it."""

    refused_after: list[float]
    """For each gateway, the seconds from the answer that a session has ended to its first refusal, the slowest of all turns."""
    limit: int
    """Reads that one gateway permits a person in a minute."""
    in_turns: int
    """Reads permitted when they went to the two in turns, one after another."""
    at_once: int
    """Reads permitted when both were asked at once, as fast as they answered."""


def rehearse(platform: LivePlatform, folder: Path, turns: int = 5) -> Rehearsed:
    """Raises AssertionError when a revocation takes longer than a second."""
    studio = Studio(platform)
    try:
        person = studio.newcomer("Méliès the younger")
        with two_gateways(platform, folder) as gateways:
            measured = [_end_a_session(studio, person, gateways) for _ in range(turns)]
            refused = [max(times) for times in zip(*measured, strict=True)]
            limit = LIMITS[Rate.READ].subject
            in_turns = _permitted(gateways, studio.newcomer("Bleuette").authorization, 2 * limit)
            headers = studio.newcomer("Jehanne").authorization
            with ThreadPoolExecutor(len(gateways)) as pool:
                at_once = sum(pool.map(lambda each: _permitted((each,), headers, 2 * limit), gateways))
            return Rehearsed(refused, limit, in_turns, at_once)
    finally:
        studio.close()


def _end_a_session(studio: Studio, person: Person, gateways: tuple[AnotherGateway, ...]) -> list[float]:
    ended = studio.another_session(person)
    for each in gateways:
        assert ended.status(base=each.url) == 200
    answer = httpx.post(f"{gateways[0].url}{API}/auth/logout", headers=ended.authorization, trust_env=False)
    assert answer.status_code == 204
    begun = clock.monotonic()

    def refused_after(gateway: AnotherGateway) -> float:
        wait_for("401", lambda: _status(gateway, ended) == 401, seconds=BITES_WITHIN_SECONDS, every=POLL_SECONDS)
        return clock.monotonic() - begun

    with ThreadPoolExecutor(len(gateways)) as pool:
        return list(pool.map(refused_after, gateways))


def _status(gateway: AnotherGateway, person: Person) -> int:
    return httpx.get(f"{gateway.url}{PROFILE}", headers=person.authorization, trust_env=False).status_code


def _permitted(gateways: tuple[AnotherGateway, ...], headers: dict[str, str], requests: int) -> int:
    """How many of these reads, sent to the gateways in turns, are not refused for being too many."""
    clients = [httpx.Client(base_url=each.url, headers=headers, trust_env=False, timeout=30) for each in gateways]
    try:
        answers = [clients[number % len(clients)].get(PROFILE).status_code for number in range(requests)]
    finally:
        for client in clients:
            client.close()
    return sum(status != 429 for status in answers)
