"""What a running platform tells of itself: everywhere inside, nothing of anybody, and not a word on the published port."""

import re
from collections import Counter

import httpx
import pytest

from ops.doctor.places import local
from ops.observability.exported import sample_names
from ops.testing import LivePlatform
from ops.top.reading import Reading, read
from tests.journeys.conftest import Lumiere
from tests.journeys.people import Studio

pytestmark = pytest.mark.platform

SERIES_MAX = 3_000
"""Series of one family in one process: routes times decisions and statuses stay far below."""
VALUE_MAX = 80
PERSONAL = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}|@|^\d{1,3}(\.\d{1,3}){3}|[0-9a-f]{32}|[A-Za-z0-9_-]{43}|[0-9a-f]{1,4}:[0-9a-f:]+:",
    re.IGNORECASE,
)
"""Ids, e-mail addresses, addresses of machines, tokens."""


@pytest.fixture(scope="module")
def readings(platform: LivePlatform, studio: Studio) -> list[Reading]:
    """Every process, after people were at work."""
    person = studio.newcomer()
    studio.finish(person, studio.plan_task(studio.film(), "Measured"))
    studio.anyone.http.get(f"{platform.origin}/api/v1/films/{person.id}/nothing?email={person.email}")
    with httpx.Client(trust_env=False) as client:
        return read(client, local(production=False, layout=platform.layout).addresses.processes())


def strange(value: str) -> bool:
    """Whether a label's value could be about somebody, or have no bound."""
    return len(value) > VALUE_MAX or PERSONAL.search(value) is not None


@pytest.mark.parametrize(
    "planted", ["019ad0f1-1c1d-7000-8000-000000000001", "ada@example.org", "192.0.2.7", "2001:db8::1", "a" * 81, "f" * 32]
)
def test_a_label_that_could_be_about_somebody_would_be_noticed(planted: str) -> None:
    assert strange(planted)


def test_every_process_answers_with_figures(readings: list[Reading]) -> None:
    assert {each.address.name: each.failure for each in readings if not each.samples} == {}


def test_no_label_holds_an_identity_or_anything_that_somebody_wrote(readings: list[Reading]) -> None:
    found = {
        (name, label, value)
        for each in readings
        for name, labels in each.samples
        for label, value in labels
        if strange(value) and label not in {"revision", "le"}
    }

    assert found == set()


def test_no_family_grows_without_a_bound(readings: list[Reading]) -> None:
    for each in readings:
        assert max(Counter(name for name, _ in each.samples).values()) < SERIES_MAX, each.address.name


def test_what_is_told_stands_on_the_page_of_metrics(readings: list[Reading]) -> None:
    told = {name for each in readings for name, _ in each.samples if not name.endswith("_created")}

    assert told - sample_names() == set()


def test_the_published_port_knows_no_figures(platform: LivePlatform) -> None:
    for path in ("/metrics", "/metrics/haproxy", "/api/v1/metrics", "/tasks/metrics", "/health/../metrics", "/%6detrics"):
        answer = httpx.get(platform.origin + path, trust_env=False)
        assert answer.status_code in {400, 401, 404}, path
        assert "lumiere_" not in answer.text


def test_lumiere_top_tells_every_process_every_queue_and_that_the_book_balances(lumiere: Lumiere) -> None:
    code, now = lumiere("top", "--every", "1")

    assert code == 0
    assert all(each["answers"] for each in now["processes"])
    assert {each["service"] for each in now["outboxes"]} == {"auth", "ledger", "media", "notify", "payments", "tasks"}
    assert "payments.tasks.task" in {each["name"] for each in now["subscriptions"]}
    assert all(each["consumers"] for each in now["subscriptions"])
    assert (now["lumens_difference"], now["door"]["maintenance"]) == (0, False)
    assert now["ledger"]["size"] > 0
