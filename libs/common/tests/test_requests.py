"""One way through for every request: token, role, length, type, shape, idempotency, handler, commit, answer."""

import io
import threading
from uuid import UUID

import pytest

from libs.common import clock
from libs.common.auth import Role
from libs.common.db import kernel_tables
from libs.common.ids import new_id
from libs.common.testing import a_subject
from libs.common.tests.conftest import SERVICE_TOKEN, Sample, metadata, note

PROBLEM = "application/problem+json"


def test_a_route_without_a_token_answers_401_with_a_challenge_and_a_request_id(sample: Sample) -> None:
    response = sample.client().get("/api/v1/notes", headers={"X-Request-Id": "abcdef-123"})

    assert response.status_code == 401
    assert response.content_type == PROBLEM
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="lumiere", DPoP algs="ES256"'
    assert response.headers["X-Request-Id"] == "abcdef-123"
    assert response.json["request_id"] == "abcdef-123"
    assert response.json["type"] == "https://lumiere.film/problems/unauthenticated"


def test_a_role_that_is_not_allowed_answers_403_before_the_shape_is_looked_at(sample: Sample) -> None:
    response = sample.client(Role.VIEWER).post("/api/v1/notes", json={"wrong": True})

    assert response.status_code == 403
    assert response.json["type"].endswith("/role-required")


def test_every_fault_of_a_body_is_named_at_once_and_no_value_is_echoed(sample: Sample) -> None:
    response = sample.client(Role.ARTIST).post("/api/v1/notes", json={"body": "x" * 21, "weight": "5", "hidden": "s3cret"})

    assert response.status_code == 422
    assert {each["pointer"] for each in response.json["errors"]} == {"/body", "/weight", "/hidden"}
    assert "s3cret" not in response.text
    assert "xxx" not in response.text


@pytest.mark.parametrize("text", ["\0", "a\0b"])
def test_the_character_that_no_text_column_takes_is_a_fault_of_the_member_that_holds_it(sample: Sample, text: str) -> None:
    client = sample.client(Role.ARTIST)

    for response, pointer in (
        (client.post("/api/v1/notes", json={"body": text}), "/body"),
        (client.get("/api/v1/notes", query_string={"contains": text}), "/query/contains"),
    ):
        assert response.status_code == 422
        assert response.json["errors"] == [{"pointer": pointer, "detail": "must not contain the character U+0000"}]


@pytest.mark.parametrize(("length", "status"), [(0, 422), (1, 201), (20, 201), (21, 422)])
def test_a_length_limit_holds_at_below_and_above(sample: Sample, length: int, status: int) -> None:
    assert sample.client(Role.ARTIST).post("/api/v1/notes", json={"body": "x" * length}).status_code == status


def test_a_query_parameter_that_nobody_declared_is_refused(sample: Sample) -> None:
    client = sample.client(Role.ARTIST)

    assert client.get("/api/v1/notes?limt=5").json["errors"][0]["pointer"] == "/query/limt"
    assert client.get(f"/api/v1/notes/{new_id()}?x=1").status_code == 422
    assert client.get("/api/v1/notes?limit=5&limit=6").status_code == 422


@pytest.mark.parametrize(("limit", "status"), [("0", 422), ("1", 200), ("100", 200), ("101", 422), ("9" * 30, 422)])
def test_the_page_limit_holds(sample: Sample, limit: str, status: int) -> None:
    assert sample.client(Role.ARTIST).get(f"/api/v1/notes?limit={limit}").status_code == status


def test_pages_follow_one_another_without_gap_or_repeat(sample: Sample) -> None:
    client = sample.client(Role.ARTIST)
    made = [client.post("/api/v1/notes", json={"body": str(number)}).json["id"] for number in range(5)]
    seen: list[str] = []
    cursor = None
    while True:
        page = client.get("/api/v1/notes", query_string={"limit": 2, **({"cursor": cursor} if cursor else {})}).json
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert seen == sorted(made)


@pytest.mark.parametrize("cursor", ["x", "bm9wZQ", "W10", "WyJub3BlIl0", "WzFd", "%00"])
def test_a_cursor_that_is_not_ours_is_refused(sample: Sample, cursor: str) -> None:
    assert sample.client(Role.ARTIST).get(f"/api/v1/notes?cursor={cursor}").status_code == 422


def test_an_unforeseen_error_rolls_back_and_tells_nothing_but_the_request_id(sample: Sample) -> None:
    response = sample.client(Role.ARTIST).post("/api/v1/notes", json={"body": "explode"})

    assert response.status_code == 500
    assert "secret details" not in response.text
    assert sample.count(note) == 0


def test_a_current_entity_tag_answers_304_and_a_stale_one_412(sample: Sample) -> None:
    admin = sample.client(Role.ADMIN)
    made = admin.post("/api/v1/notes", json={"body": "one"}).json
    path = f"/api/v1/notes/{made['id']}"

    assert admin.get(path, headers={"If-None-Match": '"1"'}).status_code == 304
    assert admin.patch(path, json={"body": "two"}, headers={"If-Match": '"1"'}).headers["ETag"] == '"2"'
    stale = admin.patch(path, json={"body": "three"}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    assert admin.get(path).json["body"] == "two"


def test_a_business_refusal_has_its_own_stable_type_and_members(sample: Sample) -> None:
    admin = a_subject(Role.ADMIN)
    response = sample.client(subject=admin).delete(f"/api/v1/notes/{new_id()}")

    assert response.status_code == 409
    assert response.json["type"] == "https://lumiere.film/problems/note-taken"
    assert response.json["holder"] == str(admin.id)


def test_the_same_idempotency_key_gives_the_first_answer_again(sample: Sample) -> None:
    client = sample.client(Role.ARTIST)
    first = client.post("/api/v1/notes", json={"body": "once"}, headers={"Idempotency-Key": "key-00000001"})
    again = client.post("/api/v1/notes", json={"body": "once"}, headers={"Idempotency-Key": "key-00000001"})

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json == again.json
    assert first.headers["Location"] == again.headers["Location"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert sample.count(note) == 1


def test_the_same_idempotency_key_with_another_body_is_422_and_for_another_person_is_free(sample: Sample) -> None:
    client = sample.client(Role.ARTIST)
    headers = {"Idempotency-Key": "key-00000002"}
    client.post("/api/v1/notes", json={"body": "one"}, headers=headers)

    assert client.post("/api/v1/notes", json={"body": "two"}, headers=headers).status_code == 422
    assert sample.client(Role.ARTIST).post("/api/v1/notes", json={"body": "two"}, headers=headers).status_code == 201


def test_many_requests_with_one_key_at_once_have_one_effect(sample: Sample) -> None:
    subject = a_subject(Role.ARTIST)
    statuses: list[int] = []
    barrier = threading.Barrier(6)

    def post() -> None:
        client = sample.client(subject=subject)
        barrier.wait()
        headers = {"Idempotency-Key": "key-00000003"}
        statuses.append(client.post("/api/v1/notes", json={"body": "race"}, headers=headers).status_code)

    threads = [threading.Thread(target=post) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert set(statuses) <= {201, 409}
    assert 201 in statuses
    assert sample.count(note) == 1


def test_a_refused_request_does_not_use_up_its_idempotency_key(sample: Sample) -> None:
    client = sample.client(Role.ARTIST)
    headers = {"Idempotency-Key": "key-00000004"}

    assert client.post("/api/v1/notes", json={"body": "explode"}, headers=headers).status_code == 500
    assert sample.count(kernel_tables(metadata).idempotency_key) == 0


@pytest.mark.parametrize(("key", "status"), [(None, 400), ("x" * 7, 422), ("x" * 8, 201), ("x" * 255, 201), ("x" * 256, 422)])
def test_where_money_moves_an_idempotency_key_is_required_and_bounded(sample: Sample, key: str | None, status: int) -> None:
    headers = {"Idempotency-Key": key} if key else {}

    assert sample.client(Role.ARTIST).post("/api/v1/payouts", json={"body": "pay"}, headers=headers).status_code == status


def test_a_public_route_knows_a_caller_who_shows_a_token_and_refuses_a_bad_one(sample: Sample) -> None:
    subject = a_subject(Role.ARTIST)

    assert sample.client().get("/api/v1/greeting").json["id"] == str(UUID(int=0))
    assert sample.client(subject=subject).get("/api/v1/greeting").json["id"] == str(subject.id)
    assert sample.client().get("/api/v1/greeting", headers={"Authorization": "Bearer nope"}).status_code == 401


@pytest.mark.parametrize(("size", "status"), [(63, 200), (64, 200), (65, 413)])
def test_the_body_limit_of_a_route_holds_at_below_and_above(sample: Sample, size: int, status: int) -> None:
    response = sample.client(Role.ADMIN).post("/api/v1/sheets", data=b"x" * size, content_type="text/csv")

    assert response.status_code == status


@pytest.mark.parametrize(("size", "status"), [(63, 200), (64, 200), (65, 413), (100_000, 413)])
@pytest.mark.parametrize("announced", [True, False])
def test_a_streamed_body_is_cut_off_at_the_limit_of_its_route(sample: Sample, size: int, status: int, announced: bool) -> None:
    body = io.BytesIO(b"x" * size)
    # A server that knows where a chunked body ends says so, and gives no length.
    length = {"content_length": size} if announced else {"environ_base": {"wsgi.input_terminated": True}}

    response = sample.client(Role.ADMIN).put("/api/v1/reels", input_stream=body, content_type="video/mp4", **length)

    assert response.status_code == status
    assert status == 200 or response.json["type"] == "https://lumiere.film/problems/content-too-large"
    assert status != 200 or response.json["version"] == size
    assert body.tell() <= 64 + 10


def test_another_media_type_is_415(sample: Sample) -> None:
    assert sample.client(Role.ADMIN).post("/api/v1/sheets", data=b"x", content_type="text/html").status_code == 415
    assert sample.client(Role.ARTIST).post("/api/v1/notes", data=b"{}", content_type="text/plain").status_code == 415


def test_service_routes_take_the_service_token_and_no_access_token(sample: Sample) -> None:
    anonymous = sample.client()

    assert sample.client(Role.ADMIN).get("/internal/list").status_code == 401
    assert anonymous.get("/internal/list", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert anonymous.get("/internal/list", headers={"Authorization": f"Bearer {SERVICE_TOKEN}"}).status_code == 200


def test_two_authorization_headers_are_refused(sample: Sample) -> None:
    headers = [("Authorization", "Bearer a"), ("Authorization", "Bearer b")]

    assert sample.client().get("/api/v1/notes", headers=headers).status_code == 401


def test_a_sensitive_route_wants_a_recent_sign_in(sample: Sample) -> None:
    subject = a_subject(Role.ARTIST)

    assert sample.client(subject=subject).post("/api/v1/fresh").status_code == 204
    stale = sample.client(subject=subject, auth_time=int(clock.epoch()) - 302).post("/api/v1/fresh")
    assert stale.status_code == 401
    assert stale.json["type"].endswith("/step-up-required")
    assert stale.headers["WWW-Authenticate"] == (
        'Bearer realm="lumiere", error="insufficient_user_authentication", max_age="300"'
    )
    assert sample.client(subject=subject, auth_time=int(clock.epoch()) - 298).post("/api/v1/fresh").status_code == 204


@pytest.mark.parametrize(
    ("methods", "age", "status"),
    [(("pwd", "otp", "mfa"), 298, 204), (("pwd", "otp", "mfa"), 302, 401), (("pwd",), 0, 401), ((), 0, 401)],
)
def test_a_route_that_asks_for_a_second_factor_takes_nothing_less(
    methods: tuple[str, ...], age: int, status: int, sample: Sample
) -> None:
    client = sample.client(Role.ARTIST, auth_time=int(clock.epoch()) - age, amr=list(methods))

    answer = client.delete("/api/v1/fresh")

    assert answer.status_code == status
    if status == 401:
        assert answer.headers["WWW-Authenticate"].endswith('max_age="300", acr_values="mfa"')
        assert answer.get_json()["acr_values"] == "mfa"


def test_who_holds_no_role_enrols_and_does_nothing_else(sample: Sample) -> None:
    client = sample.client(subject=a_subject())

    assert client.post("/api/v1/enrolment").status_code == 204
    refused = client.post("/api/v1/fresh")
    assert (refused.status_code, refused.get_json()["type"].rsplit("/", 1)[1]) == (403, "role-withheld")


def test_an_unknown_path_is_404_and_an_unknown_method_405_with_allow(sample: Sample) -> None:
    client = sample.client(Role.ADMIN)

    assert client.get("/api/v1/nothing").content_type == PROBLEM
    refused = client.put("/api/v1/notes")
    assert refused.status_code == 405
    assert "GET" in refused.headers["Allow"]
    assert client.get("/api/v1/notes/NOT-A-UUID").status_code == 404
    assert client.get(f"/api/v1/notes/{str(new_id()).upper()}").status_code == 404


def test_an_administrative_act_leaves_an_audit_record_without_its_details_in_the_event(sample: Sample) -> None:
    admin = a_subject(Role.ADMIN)
    client = sample.client(subject=admin)
    made = client.post("/api/v1/notes", json={"body": "one"}).json
    client.patch(f"/api/v1/notes/{made['id']}", json={"body": "two", "weight": 7})

    with sample.database.reader() as db:
        record = db.one(kernel_tables(metadata).audit_record.select())
        event = db.one(kernel_tables(metadata).outbox.select())
    assert (record.actor_id, record.action, record.entity_id) == (admin.id, "note.change", made["id"])
    assert record.details == {"weight": 7}
    assert record.session_id == admin.session_id
    assert b"weight" not in bytes(event.body)
    assert b"sample.audit.recorded" in bytes(event.body)


def test_a_draining_process_is_live_but_not_ready(sample: Sample) -> None:
    client = sample.client()
    assert client.get("/health/ready").status_code == 200

    sample.health.draining.set()

    assert client.get("/health/ready").status_code == 503
    assert client.get("/health/live").status_code == 200
