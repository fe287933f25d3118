"""Nothing that pretends to be a token passes the gateway; a true one does."""

import httpx
import pytest

from gateway.revocations import SessionRevoked
from gateway.tests.running import ORIGIN, RunningGateway
from libs.common import clock
from libs.common.auth.policy import Role
from libs.common.ids import new_id
from tests.tokens import Attempt, Forge, corpus

# Made once for the names; each run of a test takes the attempt of its name from a corpus with the running gateway's key.
NAMES = [
    attempt.name
    for attempt in corpus(
        Forge(RunningGateway.key_of_tests(), "key-one", ORIGIN, "lumiere", ("a", "b", "/c", "/d")), Role.ADMIN
    )
]


@pytest.fixture(scope="module")
def attempts(shared: RunningGateway) -> dict[int, Attempt]:
    return dict(enumerate(corpus(shared.forge, Role.ADMIN)))


@pytest.mark.parametrize("index", range(len(NAMES)), ids=NAMES)
def test_a_hostile_token_is_refused(index: int, attempts: dict[int, Attempt], shared: RunningGateway) -> None:
    attempt = attempts[index]
    for _ in range(2):
        answer = httpx.get(f"{shared.url}/api/v1/admin/things", params=attempt.query, headers=list(attempt.headers))
        assert answer.status_code in {400, 401}, attempt.name
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_true_token_passes_at_once_and_again(client: httpx.Client, shared: RunningGateway) -> None:
    headers = shared.bearer(Role.ADMIN)

    answers = [client.get("/api/v1/admin/things", headers=headers) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert answers[0].json()["headers"]["authorization"] == headers["Authorization"]


def test_a_token_that_was_recognised_is_refused_once_it_has_expired(shared: RunningGateway, client: httpx.Client) -> None:
    from gateway.tests.running import eventually

    headers = shared.bearer(Role.ADMIN, exp=int(clock.epoch()) + 2)
    assert client.get("/api/v1/admin/things", headers=headers).status_code == 200

    assert eventually(lambda: client.get("/api/v1/admin/things", headers=headers).status_code == 401)


def test_a_revoked_session_is_refused_after_its_token_was_recognised(shared: RunningGateway, client: httpx.Client) -> None:
    session, other = new_id(), shared.bearer(Role.ADMIN)
    headers = shared.bearer(Role.ADMIN, sid=str(session))
    assert client.get("/api/v1/admin/things", headers=headers).status_code == 200

    shared.gateway.revoke(SessionRevoked(user_id=new_id(), session_id=session, expires_at=clock.now()))

    assert client.get("/api/v1/admin/things", headers=headers).status_code == 401
    assert client.get("/api/v1/admin/things", headers=other).status_code == 200


def test_tokens_of_a_subject_from_before_a_moment_are_refused_and_later_ones_pass(
    shared: RunningGateway, client: httpx.Client
) -> None:
    subject, now = new_id(), int(clock.epoch())
    old, new = (shared.bearer(Role.ADMIN, sub=str(subject), iat=at, nbf=at) for at in (now - 60, now - 10))
    assert client.get("/api/v1/admin/things", headers=old).status_code == 200

    shared.gateway.take_revocations({"sessions": {}, "subjects": {str(subject): now - 10}})

    assert client.get("/api/v1/admin/things", headers=old).status_code == 401
    assert client.get("/api/v1/admin/things", headers=new).status_code == 200


def test_a_public_route_leaves_credentials_to_the_service(client: httpx.Client) -> None:
    answer = client.get("/api/v1/echo", headers={"Authorization": "Basic Y2xpZW50OnNlY3JldA=="})

    assert answer.status_code == 200
    assert answer.json()["headers"]["authorization"] == "Basic Y2xpZW50OnNlY3JldA=="
