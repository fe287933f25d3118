"""The event stream: immediate, resumable, bounded, and ended when its reason ends."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from libs.common import clock
from libs.common.auth import Role, Subject
from libs.common.auth.tokens import LIFETIME_SECONDS
from libs.common.db.database import POOL_SIZE
from libs.common.ids import new_id
from libs.common.testing import Harness
from libs.common.testing.harness import ORIGIN
from services.notify import queries, use_cases
from services.notify.adapters import hub as hub_module
from services.notify.domain import STREAM_READERS_MAX, STREAMS_PER_USER_MAX, SWEEP_SECONDS, NoticeKind
from services.notify.tests.factories import lumens_changed, task_validated, user_registered
from services.notify.tests.listening import PATH, Heard, StreamProcess

TOLD = {"amount": 10, "balance_after": 10, "reason": "TASK_VALIDATED"}


@pytest.fixture
def contributor(harness: Harness) -> Subject:
    return harness.subject(Role.CONTRIBUTOR)


def notice(harness: Harness, subject: Subject, amount: int) -> None:
    harness.deliver(lumens_changed(subject.id, amount=amount))


def amounts(notices: list[dict[str, dict[str, int]]]) -> list[int]:
    return [each["data"]["amount"] for each in notices]


def test_a_notice_arrives_on_the_open_stream(harness: Harness, stream_process: StreamProcess, contributor: Subject) -> None:
    harness.deliver(user_registered(contributor.id, locale="fr"))
    listening = stream_process.listen(contributor)

    harness.deliver(task_validated(contributor.id))

    (told,) = listening.notified(1)
    assert (told["type"], told["title"], told["read"]) == ("TASK_VALIDATED", "Votre travail est accepté", False)
    listed = harness.client(contributor).get("/api/v1/notifications").json["items"]
    assert told == listed[0]
    assert listening.heard.last_event_id == told["id"]


def test_the_stream_begins_with_the_unread_count_and_the_time_to_retry(
    stream_process: StreamProcess, contributor: Subject
) -> None:
    response = stream_process.get(contributor)
    first = next(response.iter_encoded())
    response.close()

    assert response.content_type == "text/event-stream; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-store"
    assert first == b'retry: 2000\nevent: connected\ndata: {"last_event_id":null,"unread":0}\n\n'


def test_a_stream_tells_of_its_own_person_only(harness: Harness, stream_process: StreamProcess, contributor: Subject) -> None:
    other = harness.subject(Role.CONTRIBUTOR)
    listening, others = stream_process.listen(contributor), stream_process.listen(other)

    notice(harness, other, 1)
    notice(harness, contributor, 2)

    assert amounts(others.notified(1)) == [1]
    assert amounts(listening.notified(1)) == [2]


def test_coming_back_with_the_last_id_misses_nothing(
    harness: Harness, stream_process: StreamProcess, contributor: Subject
) -> None:
    listening = stream_process.listen(contributor)
    notice(harness, contributor, 1)
    listening.notified(1)
    last = listening.heard.last_event_id
    listening.close()
    for amount in (2, 3, 4):
        notice(harness, contributor, amount)

    again = stream_process.listen(contributor, last)
    notice(harness, contributor, 5)

    assert amounts(again.notified(4)) == [2, 3, 4, 5]
    assert again.heard.data("connected") == [{"last_event_id": last, "unread": 4}]


def test_the_last_id_may_come_in_the_query_and_the_header_wins(
    harness: Harness, stream_process: StreamProcess, contributor: Subject
) -> None:
    for amount in (1, 2, 3):
        notice(harness, contributor, amount)
    listed = harness.client(contributor).get("/api/v1/notifications").json["items"]
    _, second, first = (item["id"] for item in listed)

    assert amounts(stream_process.listen(contributor, query_id=first).notified(2)) == [2, 3]
    assert amounts(stream_process.listen(contributor, second, query_id=first).notified(1)) == [3]


@pytest.mark.parametrize("unknown", ["018f0000-0000-7000-8000-000000000000", "not-an-id", "7"])
def test_an_unknown_last_id_is_told_so_that_the_list_is_read_again(
    harness: Harness, stream_process: StreamProcess, contributor: Subject, unknown: str
) -> None:
    notice(harness, contributor, 1)

    listening = stream_process.listen(contributor, unknown)
    notice(harness, contributor, 2)

    assert listening.heard.data("connected") == [{"last_event_id": None, "unread": 1}]
    assert amounts(listening.notified(1)) == [2]


def test_the_last_id_of_another_person_opens_nothing(
    harness: Harness, stream_process: StreamProcess, contributor: Subject
) -> None:
    other = harness.subject(Role.CONTRIBUTOR)
    notice(harness, other, 1)
    foreign = harness.client(other).get("/api/v1/notifications").json["items"][0]["id"]

    assert stream_process.listen(contributor, foreign).heard.data("connected") == [{"last_event_id": None, "unread": 0}]


def test_a_long_absence_is_told_in_full(
    harness: Harness, stream_process: StreamProcess, contributor: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "STREAM_BATCH_ROWS", 3)
    for amount in range(1, 9):
        notice(harness, contributor, amount)
    oldest = harness.client(contributor).get("/api/v1/notifications").json["items"][-1]["id"]

    assert amounts(stream_process.listen(contributor, oldest).notified(7)) == list(range(2, 9))


def test_two_processes_both_tell(
    harness: Harness, start_stream_process: Callable[[], StreamProcess], contributor: Subject
) -> None:
    listeners = [start_stream_process().listen(contributor) for _ in range(2)]

    notice(harness, contributor, 1)

    assert [amounts(each.notified(1)) for each in listeners] == [[1], [1]]


def test_notices_written_at_once_all_arrive_in_the_order_of_the_list(
    harness: Harness, stream_process: StreamProcess, contributor: Subject
) -> None:
    listening = stream_process.listen(contributor)
    envelopes = [harness.envelope(lumens_changed(contributor.id, amount=number), sequence=number) for number in range(1, 25)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(harness.deliver, envelopes))

    heard = [each["id"] for each in listening.notified(24)]
    listed = harness.client(contributor).get("/api/v1/notifications", query_string={"limit": 100}).json["items"]
    assert heard == [item["id"] for item in listed][::-1]
    assert len(heard) == 24


def test_reading_elsewhere_changes_the_count_on_the_stream(
    harness: Harness, stream_process: StreamProcess, contributor: Subject
) -> None:
    listening = stream_process.listen(contributor)
    notice(harness, contributor, 1)
    listening.until(lambda heard: heard.data("count") == [{"unread": 1}])

    assert harness.client(contributor).post("/api/v1/notifications/read-all").status_code == 204

    listening.until(lambda heard: heard.data("count") == [{"unread": 1}, {"unread": 0}])


def test_a_wake_up_that_was_lost_is_made_good_by_polling(
    harness: Harness, stream_process: StreamProcess, contributor: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "POLL_SECONDS", 0)
    listening = stream_process.listen(contributor)
    monkeypatch.setattr(harness.database, "_notify", lambda _notifications: None)

    notice(harness, contributor, 1)

    assert amounts(listening.notified(1)) == [1]


def test_a_silent_stream_has_a_heartbeat(
    stream_process: StreamProcess, contributor: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "HEARTBEAT_SECONDS", 0.05)

    stream_process.listen(contributor).until(lambda heard: heard.heartbeats >= 2)


def ended(heard: Heard) -> bool:
    return heard.ended


def test_the_stream_ends_within_a_second_of_its_sessions_revocation(
    harness: Harness, stream_process: StreamProcess, contributor: Subject
) -> None:
    other_session = harness.subject(Role.CONTRIBUTOR, id=contributor.id)
    listening, other = stream_process.listen(contributor), stream_process.listen(other_session)

    stream_process.assembled.revocations.revoke_session(contributor.session_id)
    listening.until(ended)

    assert SWEEP_SECONDS < 1
    assert not other.heard.ended
    assert stream_process.hub.open_streams == 1


def test_every_stream_of_a_person_ends_when_all_their_sessions_do(
    harness: Harness, stream_process: StreamProcess, contributor: Subject
) -> None:
    listeners = [
        stream_process.listen(contributor),
        stream_process.listen(harness.subject(Role.CONTRIBUTOR, id=contributor.id)),
    ]

    stream_process.assembled.revocations.revoke_subject(contributor.id, clock.epoch() + 60)

    for each in listeners:
        each.until(ended)


def test_the_stream_ends_with_its_token(
    harness: Harness, stream_process: StreamProcess, contributor: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    listening = stream_process.listen(contributor)
    later = contributor.expires_at + timedelta(seconds=1)

    monkeypatch.setattr(clock, "now", lambda: later)

    listening.until(ended)


def test_streams_end_when_the_key_that_signed_their_token_is_withdrawn(
    harness: Harness, stream_process: StreamProcess, contributor: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    listening = stream_process.listen(contributor)

    monkeypatch.setattr(harness.keys, "find", lambda _: None)

    listening.until(ended)


@pytest.mark.parametrize("token_age", [1, LIFETIME_SECONDS - 60])
def test_a_stream_ends_by_the_age_of_its_token_and_one_opened_with_a_newer_token_goes_on(
    harness: Harness, stream_process: StreamProcess, contributor: Subject, token_age: int
) -> None:
    now = int(clock.epoch())
    other = stream_process.listen(contributor)
    old = stream_process.listen(contributor, iat=now - token_age, nbf=now - token_age)

    stream_process.assembled.revocations.revoke_subject(contributor.id, now)

    old.until(ended)
    notice(harness, contributor, 1)
    assert amounts(other.notified(1)) == [1]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": ORIGIN}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Origin": "https://attacker.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": f"{ORIGIN}.attacker.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_a_page_of_another_origin_is_refused_here_too(
    stream_process: StreamProcess, contributor: Subject, headers: dict[str, str], status: int
) -> None:
    response = stream_process.get(contributor, headers=headers)
    response.close()

    assert response.status_code == status
    assert status == 200 or response.json["type"] == "https://lumiere.film/problems/foreign-origin"


def test_streams_end_when_their_process_is_about_to_stop(stream_process: StreamProcess, contributor: Subject) -> None:
    listening = stream_process.listen(contributor)

    stream_process.health.draining.set()

    listening.until(ended)
    assert stream_process.hub.open_streams == 0


def test_a_person_has_so_many_streams_and_no_more(
    harness: Harness, stream_process: StreamProcess, contributor: Subject
) -> None:
    listeners = [stream_process.listen(contributor) for _ in range(STREAMS_PER_USER_MAX)]

    refused = stream_process.get(contributor)
    assert (refused.status_code, refused.json["type"]) == (429, "https://lumiere.film/problems/too-many-streams")
    assert refused.headers["Retry-After"] == "15"
    assert stream_process.listen(harness.subject(Role.VIEWER))

    listeners[0].close()
    assert stream_process.listen(contributor)


def test_a_process_carries_so_many_streams_and_no_more(
    harness: Harness, stream_process: StreamProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "STREAMS_PER_PROCESS_MAX", 2)
    for _ in range(2):
        stream_process.listen(harness.subject(Role.VIEWER))

    refused = stream_process.get(harness.subject(Role.VIEWER))

    assert (refused.status_code, refused.json["type"]) == (503, "https://lumiere.film/problems/streams-exhausted")


def test_what_concerns_everybody_is_read_by_a_few_at_a_time_and_heard_by_all(
    harness: Harness, stream_process: StreamProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, most = [0], [0]
    asked = queries.notices_after

    def counted(*arguments: Any) -> Any:
        reading[0] += 1
        most[0] = max(most[0], reading[0])
        try:
            return asked(*arguments)
        finally:
            reading[0] -= 1

    monkeypatch.setattr("services.notify.queries.notices_after", counted)
    people = [harness.subject(Role.CONTRIBUTOR) for _ in range(3 * STREAM_READERS_MAX)]
    listening = [stream_process.listen(each) for each in people]
    with harness.transaction() as tx:
        for each in people:
            use_cases.write_notice(tx, user_id=each.id, kind=NoticeKind.LUMENS_CHANGED, data=TOLD, event_id=new_id())

    for one in listening:
        one.notified(1)
    assert most[0] <= STREAM_READERS_MAX < POOL_SIZE


def test_a_listener_that_goes_away_leaves_nothing_behind(stream_process: StreamProcess, contributor: Subject) -> None:
    stream_process.get(contributor).close()
    stream_process.listen(contributor).close()

    assert stream_process.hub.open_streams == 0


def test_a_stream_that_cannot_begin_leaves_nothing_behind(
    stream_process: StreamProcess, contributor: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.notify.queries.unread_count", lambda *_: 1 / 0)

    assert stream_process.get(contributor).status_code == 500
    assert stream_process.hub.open_streams == 0


def test_nobody_opens_a_stream_without_a_token(stream_process: StreamProcess) -> None:
    assert stream_process.client().get(PATH).status_code == 401


def test_streams_are_no_business_of_the_web_process(harness: Harness, contributor: Subject) -> None:
    assert harness.client(contributor).get(PATH).status_code == 404


def test_two_listeners_of_one_person_hear_the_same(
    harness: Harness, stream_process: StreamProcess, contributor: Subject
) -> None:
    listeners = [stream_process.listen(contributor) for _ in range(2)]

    notice(harness, contributor, 1)

    assert listeners[0].notified(1) == listeners[1].notified(1)
