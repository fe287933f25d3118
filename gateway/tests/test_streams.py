"""Event streams through the gateway: for whom they are, and how they go on when it goes away."""

from contextlib import suppress

import httpx
import pytest

from gateway.tests.running import ORIGIN, RunningGateway

STREAM = "/api/v1/notices/stream"
FOREIGN = "https://attacker.example"


def opened(gateway: RunningGateway, headers: list[tuple[str, str]]) -> int:
    """What opening the event stream with these headers is answered with."""
    with httpx.stream("GET", f"{gateway.url}{STREAM}", headers=[*headers, *gateway.bearer().items()]) as answer:
        return answer.status_code


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Origin", ORIGIN)],
        [("Origin", ORIGIN), ("Sec-Fetch-Site", "same-origin")],
        [("Sec-Fetch-Site", "same-origin")],
        [("Sec-Fetch-Site", "none")],
    ],
)
def test_an_event_stream_is_for_pages_of_this_origin_and_for_programs(
    headers: list[tuple[str, str]], shared: RunningGateway
) -> None:
    assert opened(shared, headers) == 200


@pytest.mark.parametrize(
    "headers",
    [
        [("Origin", FOREIGN)],
        [("Origin", "null")],
        [("Origin", "")],
        [("Origin", f"{ORIGIN}.attacker.example")],
        [("Origin", f"{ORIGIN}/")],
        [("Origin", ORIGIN.replace("https", "http"))],
        [("Origin", FOREIGN), ("Origin", ORIGIN)],
        [("Origin", ORIGIN), ("Origin", FOREIGN)],
        [("Origin", ORIGIN), ("Origin", ORIGIN)],
        [("Origin", f"{ORIGIN}, {FOREIGN}")],
        [("Sec-Fetch-Site", "cross-site")],
        [("Sec-Fetch-Site", "same-site")],
        [("Origin", ORIGIN), ("Sec-Fetch-Site", "cross-site")],
        [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", "same-origin")],
    ],
)
def test_a_page_of_another_origin_opens_no_event_stream(headers: list[tuple[str, str]], shared: RunningGateway) -> None:
    assert opened(shared, headers) == 403


def test_whose_origin_is_foreign_is_told_before_anything_of_the_token(shared: RunningGateway) -> None:
    answer = httpx.get(f"{shared.url}{STREAM}", headers={"Origin": FOREIGN})

    assert (answer.status_code, answer.json()["type"]) == (403, "https://lumiere.film/problems/forbidden")


def test_origins_matter_to_event_streams_alone(client: httpx.Client, shared: RunningGateway) -> None:
    headers = {"Origin": FOREIGN, "Sec-Fetch-Site": "cross-site", **shared.bearer()}

    assert client.get("/api/v1/mine", headers=headers).status_code == 200


def test_a_listener_whose_gateway_went_away_goes_on_after_the_last_event_it_has(own: RunningGateway) -> None:
    heard: list[str] = []

    def listen(until: int) -> None:
        headers = {**own.bearer(), **({"Last-Event-ID": heard[-1]} if heard else {})}
        with httpx.stream("GET", f"{own.url}{STREAM}", headers=headers) as answer:
            for line in answer.iter_lines():
                heard.extend([line.removeprefix("id: ")] if line.startswith("id: ") else [])
                if len(heard) == until:
                    own.stop()

    with suppress(httpx.RemoteProtocolError):
        listen(until=2)
    assert len(heard) < 5
    own.start()
    listen(until=0)

    assert heard == ["0", "1", "2", "3", "4"]
