"""After a journey, what is personal or secret is looked for everywhere: it stands where it must, and nowhere else."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from libs.common.ids import new_id
from libs.common.telemetry.traces import new_traceparent
from ops.demo.client import API, wait_for
from ops.span_receiver import SpanReceiver
from tests.journeys.inside import Inside
from tests.journeys.people import FRAME, Person, Studio, hand_in, upload

pytestmark = pytest.mark.platform

EXPECTED_COLUMNS = {
    "e-mail address": {"auth.user_account.email"},
    "display name": {"auth.user_account.display_name"},
}
"""The only columns of all databases that hold these in the clear; notify keeps both sealed."""
TRACED = (
    b"POST /api/v1/auth/register",
    b"auth.email.requested process",
    b"POST /api/v1/uploads",
    b"media.upload.completed process",
    b"ledger.every.event process together",
)
"""Spans of the journey on both sides of the broker."""
EVENT_STORES = r"\.(outbox|event_archive|parked_events|audit_record|leaf|inbox)\."


@dataclass(frozen=True)
class Journey:
    """The secrets of one journey by what they are, and every message that was sent on its way."""

    person: Person
    secrets: dict[str, str]
    messages: list[bytes]
    traceparent: str


@pytest.fixture(scope="module")
def journey(studio: Studio, inside: Inside) -> Journey:
    secrets: dict[str, str] = {}
    traceparent = new_traceparent(sampled=True)
    with inside.every_message() as messages:
        person = studio.register(f"Ève Tanguy-Öztürk {new_id().hex[-12:]}", headers={"traceparent": traceparent})
        secrets |= {"e-mail address": person.email, "display name": person.display_name, "password": person.password}
        secrets["verification token"] = studio.mailed_token(person)
        person.post("/auth/verify-email", {"token": secrets["verification token"]}, status=204)
        person.sign_in(person.email, person.password)
        secrets |= {"first access token": person.tokens["access_token"], "first refresh token": person.tokens["refresh_token"]}
        person.tokens = person.post("/auth/refresh", {"refresh_token": person.tokens["refresh_token"]})
        secrets |= {"access token": person.tokens["access_token"], "refresh token": person.tokens["refresh_token"]}
        secrets |= make_mistakes(person)
        secrets |= work(studio, person)
        wait_for("every fact to be sealed", inside.everything_is_sealed, seconds=30, every=0.1)
    return Journey(person, secrets, messages, traceparent)


def make_mistakes(person: Person) -> dict[str, str]:
    """What goes wrong for people: none of it may end up in a log."""
    wrong = {"email": person.email, "password": f"wrong {person.password}", "otp": "not a number", "unknown": person.password}
    mistaken = f"x{person.password}"
    login, verify = f"{API}/auth/login", f"{API}/auth/verify-email"
    assert person.http.post(login, json=wrong).status_code == 422
    assert person.http.post(login, json={"email": person.email, "password": mistaken}).status_code == 401
    assert person.http.post(verify, json={"token": mistaken}).status_code in (400, 404, 410, 422)
    assert person.http.post(login, content=f'{{"password": "{mistaken}'.encode()).status_code in (400, 415)
    in_query = person.http.get(f"{API}/profile", params={"access_token": person.tokens["access_token"]})
    assert in_query.status_code == 400
    person.post("/auth/password/forgot", {"email": person.email}, status=202)
    return {"wrong password": mistaken}


def work(studio: Studio, person: Person) -> dict[str, str]:
    """The whole way of a task; returns the tokens of the lease and of both signed addresses."""
    film = studio.film()
    task = studio.plan_task(film, f"In confidence {new_id()}")
    announced = {"category": FRAME.category, "filename": "frame.png", "content_type": FRAME.content_type, "size": 100}
    address = person.post("/uploads", announced, status=201)["url"]
    media = upload(person, FRAME)
    download = person.call("GET", f"/media/{media['media_id']}/content", status=302).headers["Location"]
    assert person.http.get(download).status_code == 200
    lease = person.post(f"/tasks/{task['id']}/claim")["lease_token"]
    submission = hand_in(person, task["id"], lease, media["media_id"])
    wait_for("the validation", lambda: approved(studio, submission["id"]), every=0.1)
    studio.wait_for_effects(person, task)
    return {"lease token": lease, "upload token": token_of(address), "download token": token_of(download)}


def approved(studio: Studio, submission_id: str) -> bool:
    """Validate once the advisory reviewer is done."""
    body = {"verdict": "APPROVE", "feedback": ""}
    admin = studio.administrator
    path = f"{API}/admin/submissions/{submission_id}/review"
    return admin.http.post(path, json=body, headers=admin.authorization).status_code == 200


def token_of(address: str) -> str:
    """The token in a signed address."""
    return parse_qs(urlsplit(address).query)["token"][0]


def forms(secret: str) -> Iterator[bytes]:
    """How a text may be written down: as it is, and as JSON writes what is not ASCII."""
    yield secret.encode()
    yield secret.encode("ascii", "backslashreplace")
    # A token that was cut off is still most of a token.
    if len(secret) >= 40:
        yield secret[: len(secret) * 3 // 4].encode()


def found_in(content: bytes, journey: Journey) -> set[str]:
    """Which of the secrets the content holds."""
    return {name for name, secret in journey.secrets.items() if any(form in content for form in forms(secret))}


def test_no_log_holds_anything_personal_or_secret(inside: Inside, journey: Journey) -> None:
    logs = inside.logs()
    names = {path.name for path in logs}
    assert {"auth-web-1.log", "notify-worker-1.log", "gateway.log", "postgres.log", "rabbitmq.log"} <= names
    found = {path.name: found_in(path.read_bytes(), journey) for path in logs}
    assert {name: secrets for name, secrets in found.items() if secrets} == {}


def test_the_logs_that_were_searched_speak_of_this_journey(inside: Inside, journey: Journey) -> None:
    refused = journey.person.http.get(f"{API}/profile", headers={"Authorization": "Bearer x.y.z"})
    request_id = refused.headers["X-Request-Id"].encode()
    gateway = inside.platform.layout.logs / "gateway.log"
    wait_for("the request in the gateway's log", lambda: request_id in gateway.read_bytes(), every=0.1)


def test_no_log_holds_an_address_of_a_client(inside: Inside) -> None:
    """Each client here comes from an address of its own within the loopback network."""
    client = f"127.3.{new_id().bytes[-1]}.7"
    with httpx.Client(transport=httpx.HTTPTransport(local_address=client), base_url=inside.platform.origin) as http:
        for path in ("/films", "/profile", "/nowhere", f"/films/{new_id()}"):
            request_id = http.get(API + path, headers={"X-Forwarded-For": client}).headers["X-Request-Id"].encode()
    gateway = inside.platform.layout.logs / "gateway.log"
    wait_for("the requests in the gateway's log", lambda: request_id in gateway.read_bytes(), every=0.1)
    assert {path.name for path in inside.logs() if client.encode() in path.read_bytes()} == set()


def test_no_file_of_the_platform_holds_anything_personal_or_secret_but_mail_and_database(
    inside: Inside, journey: Journey
) -> None:
    excepted = {inside.platform.mail, inside.platform.state / "postgres"}
    files = [
        path
        for path in inside.platform.state.rglob("*")
        if path.is_file() and not path.is_symlink() and not excepted & set(path.parents)
    ]
    assert {"rabbitmq", "gateway", "storage"} <= {path.relative_to(inside.platform.state).parts[0] for path in files}
    found = {str(path): found_in(path.read_bytes(), journey) for path in files}
    assert {path: secrets for path, secrets in found.items() if secrets} == {}


def test_no_message_that_was_sent_holds_anything_personal_or_secret(journey: Journey) -> None:
    assert any(journey.person.id.encode() in message for message in journey.messages)
    assert any(b"auth.email.requested" in message for message in journey.messages)
    assert {name for message in journey.messages for name in found_in(message, journey)} == set()


def test_no_message_that_waits_in_any_queue_holds_anything_personal_or_secret(inside: Inside, journey: Journey) -> None:
    assert len(inside.queues()) > len(inside.services)
    waiting = inside.waiting_messages()
    found = {queue: found_in(b"\n".join(messages), journey) for queue, messages in waiting.items()}
    assert {queue: secrets for queue, secrets in found.items() if secrets} == {}


def test_personal_values_stand_in_their_own_columns_and_in_no_other_of_any_schema(inside: Inside, journey: Journey) -> None:
    found = columns_that_hold(inside, journey)
    assert {name: columns for name, columns in found.items() if columns} == EXPECTED_COLUMNS


def test_every_event_store_was_searched(inside: Inside) -> None:
    searched = {column for column in columns(inside) if re.search(EVENT_STORES, column)}
    for service in inside.services:
        assert {f"{service}.outbox.body", f"{service}.outbox.archive_body", f"{service}.event_archive.body"} <= searched
    assert "ledger.leaf.leaf" in searched


def test_the_archive_and_the_log_keep_commitments_in_the_place_of_personal_values(inside: Inside, journey: Journey) -> None:
    (row,) = inside.rows(
        "SELECT convert_from(leaf, 'UTF8') AS leaf FROM ledger.leaf WHERE type = 'auth.user.registered' AND entity_id = :id",
        id=journey.person.id,
    )
    assert re.search(r'"email":\{"commitment":"[A-Za-z0-9_-]{43}"\}', row.leaf)
    assert "sealed" not in row.leaf


def test_no_trace_holds_anything_personal_or_secret(spans: SpanReceiver, journey: Journey) -> None:
    trace_id = bytes.fromhex(journey.traceparent.split("-")[1])

    def exported() -> bool:
        ours = b"".join(each for each in list(spans.received) if trace_id in each)
        return all(name in ours for name in TRACED)

    wait_for("the spans of the journey", exported, every=0.1)
    assert {name for each in spans.received for name in found_in(each, journey)} == set()


def columns(inside: Inside) -> list[str]:
    """Every column of our schemas in which a text could stand, as schema.table.column."""
    found = inside.rows(
        "SELECT c.table_schema || '.' || c.table_name || '.' || c.column_name AS name FROM information_schema.columns AS c"
        " JOIN information_schema.tables AS t USING (table_schema, table_name)"
        " WHERE t.table_type = 'BASE TABLE' AND c.table_schema = ANY(:services)"
        " AND c.data_type IN ('text', 'character varying', 'character', 'bytea', 'jsonb', 'json', 'ARRAY')",
        services=inside.services,
    )
    return sorted(row.name for row in found)


def columns_that_hold(inside: Inside, journey: Journey) -> dict[str, set[str]]:
    """The columns in which each secret stands, looked for as bytes."""
    found: dict[str, set[str]] = {name: set() for name in journey.secrets}
    with inside.database() as connection:
        for column in columns(inside):
            table, _, name = column.rpartition(".")
            raw = connection.exec_driver_sql(f'SELECT "{name}" FROM {table} WHERE "{name}" IS NOT NULL')  # noqa: S608 - our names
            content = b"\n".join(as_bytes(value) for (value,) in raw)
            for secret in found_in(content, journey):
                found[secret].add(column)
    return found


def as_bytes(value: object) -> bytes:
    """A column's value as it would be found in a dump."""
    return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
