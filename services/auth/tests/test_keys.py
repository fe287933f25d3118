"""Signing keys: one that signs and one that comes next for all replicas, sealed, public halves for everyone."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from joserfc import jws
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from libs.common import ids
from libs.common.auth.tokens import KeySource, PublishedKeys
from libs.common.errors import Problem
from libs.common.service.synchroniser import POLL_SECONDS
from libs.common.testing import Harness
from services.auth import queries
from services.auth.adapters.command_line import keys_command
from services.auth.adapters.keys import SigningKeys
from services.auth.domain.factors import Required
from services.auth.domain.keys import (
    KEY_SET_AGE,
    PUBLISHED_BEFORE_USE,
    SIGNS_DAYS_MAXIMUM,
    TRANSITIONS,
    VERIFIES_AFTER_USE,
    KeyTooYoung,
    UnknownKey,
)
from services.auth.domain.secrets import MasterSecret
from services.auth.domain.tokens import Grant, KeyState, new_signing_key, seal_signing_key
from services.auth.tests.conftest import Person, Time
from services.auth.use_cases import keys
from services.auth.use_cases.root import SealedUnderAnotherSecret

REPLICAS = 8


def replica(harness: Harness, secret: MasterSecret | None = None) -> SigningKeys:
    return SigningKeys(
        harness.database,
        secret or harness.resources[MasterSecret],
        Required(of_administrators=False),
        issuer="http://127.0.0.1:8080",
        audience="lumiere",
    )


def states(harness: Harness) -> dict[str, str]:
    """Key id → state, oldest first; the pair of a new platform is made first."""
    with harness.database.reader() as db:
        return {row.id: row.state for row in queries.keys(db)}


def trusted(harness: Harness) -> PublishedKeys:
    """The keys by which the service verifies tokens."""
    own = harness.resources[KeySource]
    assert isinstance(own, PublishedKeys)
    return own


def first_pair(harness: Harness) -> tuple[str, str]:
    """The key that signs and the one that comes next, made anew by the clock of the test, and known to the service.

    An unknown key would be fetched, but only once a second: a test before this one may have used that up.
    """
    with harness.transaction() as tx:
        tx.execute(text("DELETE FROM auth.signing_key"))
    replica(harness).public()
    trusted(harness).refresh(force=True)
    found = {state: key_id for key_id, state in states(harness).items()}
    assert set(found) == {"ACTIVE", "PUBLISHED"}
    return found["ACTIVE"], found["PUBLISHED"]


def published(harness: Harness) -> set[str]:
    """The key ids in the key set."""
    return {key["kid"] for key in replica(harness).public()["keys"]}


def kid(token: str) -> str:
    """The key that a token names."""
    return str(jws.extract_compact(token.encode()).headers()["kid"])


def rotated(harness: Harness) -> Problem | str:
    """What an operator's rotation comes to: the key that signs, or why not."""
    with harness.transaction() as tx:
        outcome = keys.rotate(tx, harness.resource(MasterSecret))
    return outcome if isinstance(outcome, Problem) else str(outcome.id)


def withdrawn(harness: Harness, key_id: str) -> Problem | str:
    """What an operator's withdrawal comes to: the key that signs, or why not."""
    with harness.transaction() as tx:
        outcome = keys.withdraw(tx, key_id, harness.resource(MasterSecret))
    return outcome if isinstance(outcome, Problem) else str(outcome.id)


def acts(harness: Harness) -> list[tuple[str, str]]:
    """What the trail says was done to the keys there are, and how it ended."""
    with harness.database.reader() as db:
        rows = db.all(text("SELECT * FROM auth.audit_record WHERE entity = 'signing_key' ORDER BY id"))
    return [(row.action, row.outcome) for row in rows if row.entity_id in {"none", *states(harness)}]


def told(harness: Harness) -> list[tuple[str, str]]:
    """What everybody was told of the keys there are."""
    events = [(each.subject, each.data["action"]) for each in harness.published("auth.key.changed")]
    return [(key_id, action) for key_id, action in events if key_id in states(harness)]


def grant(time: Time) -> Grant:
    return Grant(ids.new_id(), ids.new_id(), "VIEWER", time.instant, ("pwd",), time.instant)


def test_replicas_that_start_together_agree_on_one_key_and_on_the_next(harness: Harness) -> None:
    with harness.transaction() as tx:
        tx.execute(text("DELETE FROM auth.signing_key"))
    replicas = [replica(harness) for _ in range(REPLICAS)]
    with ThreadPoolExecutor(REPLICAS) as pool:
        seen = {frozenset(key["kid"] for key in each["keys"]) for each in pool.map(lambda one: one.public(), replicas)}
    assert seen == {frozenset(states(harness))}
    assert [action for _, action in told(harness)] == ["PUBLISHED", "ACTIVATED", "PUBLISHED"]


def test_the_key_set_is_public_and_holds_public_halves_only(harness: Harness) -> None:
    answer = harness.client().get("/.well-known/jwks.json")
    assert answer.status_code == 200
    assert answer.content_type == "application/jwk-set+json"
    assert answer.headers["Cache-Control"] == "public, max-age=60"
    signing, following = answer.get_json()["keys"]
    assert set(signing) == set(following) == {"kty", "crv", "x", "y", "kid", "use", "alg"}


def test_a_key_cannot_be_opened_with_another_secret(harness: Harness, time: Time) -> None:
    first_pair(harness)
    stranger = replica(harness, MasterSecret("another secret of sufficient length, too"))
    with pytest.raises(SealedUnderAnotherSecret):
        stranger.issue(grant(time))


@pytest.mark.parametrize("state", ["ACTIVE", "PUBLISHED"])
def test_the_database_refuses_a_second_key_that_signs_or_comes_next(harness: Harness, state: str) -> None:
    first_pair(harness)
    with pytest.raises(IntegrityError), harness.transaction() as tx:
        tx.execute(
            text(
                "INSERT INTO auth.signing_key (id, public_jwk, private_sealed, secret_id, state, published_at) "
                "SELECT 'copy', public_jwk, private_sealed, secret_id, state, published_at FROM auth.signing_key "
                "WHERE state = :state"
            ),
            {"state": state},
        )


def test_a_key_signs_for_its_days_and_verifies_until_its_last_token_is_dead(
    harness: Harness, person: Person, time: Time
) -> None:
    first, second = first_pair(harness)
    assert harness.run_job("rotate_keys") == 0

    time.passes(timedelta(days=SIGNS_DAYS_MAXIMUM, seconds=-1))
    assert harness.run_job("rotate_keys") == 0
    time.passes(timedelta(seconds=1))
    last = person.signed_in()["access_token"]
    assert harness.run_job("rotate_keys") == 1
    new = person.signed_in()["access_token"]

    assert (kid(last), kid(new)) == (first, second)
    assert list(states(harness).values())[2:] == ["PUBLISHED"]
    assert (states(harness)[first], states(harness)[second]) == ("RETIRED", "ACTIVE")
    for token in (last, new):
        assert person.call("GET", "/profile", token=token).status_code == 200
    time.passes(VERIFIES_AFTER_USE - timedelta(seconds=1))
    assert first in published(harness)
    time.passes(timedelta(seconds=1))
    assert first not in published(harness)
    assert person.call("GET", "/profile", token=last).status_code == 401


def test_a_key_that_was_published_a_moment_ago_does_not_sign_yet(harness: Harness, time: Time) -> None:
    first, second = first_pair(harness)

    time.passes(PUBLISHED_BEFORE_USE - timedelta(seconds=1))
    refused = rotated(harness)
    assert isinstance(refused, KeyTooYoung)
    assert "try again in 1 s" in refused.detail
    time.passes(timedelta(seconds=1))
    assert rotated(harness) == second
    assert isinstance(rotated(harness), KeyTooYoung)

    assert states(harness)[first] == "RETIRED"
    assert acts(harness)[3:] == [
        ("key.rotate", "refused"),
        ("key.retired", "done"),
        ("key.activated", "done"),
        ("key.published", "done"),
        ("key.rotate", "refused"),
    ]


def test_a_key_is_published_for_longer_than_anybody_keeps_the_key_set() -> None:
    assert max(timedelta(seconds=POLL_SECONDS), KEY_SET_AGE) < PUBLISHED_BEFORE_USE / 2


def test_a_withdrawn_key_verifies_nothing_and_the_next_one_signs_at_once_at_every_replica(
    harness: Harness, person: Person, time: Time
) -> None:
    first, second = first_pair(harness)
    old = person.signed_in()["access_token"]
    replicas = [replica(harness) for _ in range(3)]
    assert {kid(each.issue(grant(time))) for each in replicas} == {first}

    assert withdrawn(harness, first) == second

    assert {kid(each.issue(grant(time))) for each in replicas} == {second}
    assert first not in published(harness)
    trusted(harness).withdraw(first)
    assert person.call("GET", "/profile", token=old).status_code == 401
    assert person.call("GET", "/profile", token=person.signed_in()["access_token"]).status_code == 200
    assert told(harness)[3:5] == [(first, "WITHDRAWN"), (second, "ACTIVATED")]
    assert acts(harness)[3:] == [("key.withdrawn", "done"), ("key.activated", "done"), ("key.published", "done")]


@pytest.mark.parametrize("state", ["PUBLISHED", "RETIRED"])
def test_a_key_that_does_not_sign_is_withdrawn_and_the_one_that_signs_stays(harness: Harness, time: Time, state: str) -> None:
    _, second = first_pair(harness)
    time.passes(PUBLISHED_BEFORE_USE)
    assert rotated(harness) == second
    key_id = next(key_id for key_id, known in states(harness).items() if known == state)

    assert withdrawn(harness, key_id) == second

    found = states(harness)
    assert found[key_id] == "WITHDRAWN"
    assert list(found.values()).count("ACTIVE") == list(found.values()).count("PUBLISHED") == 1
    assert key_id not in published(harness)


def test_withdrawing_again_tells_everybody_again_and_an_unknown_key_is_refused(harness: Harness) -> None:
    first, second = first_pair(harness)

    assert withdrawn(harness, first) == withdrawn(harness, first) == second
    assert isinstance(withdrawn(harness, "nobody's"), UnknownKey)

    heard = [action for key_id, action in told(harness) if key_id == first]
    assert heard == ["PUBLISHED", "ACTIVATED", "WITHDRAWN", "WITHDRAWN"]
    assert acts(harness)[-1] == ("key.withdraw", "refused")


def test_no_private_half_is_kept_of_a_key_that_signs_no_more(harness: Harness, time: Time) -> None:
    first, second = first_pair(harness)
    time.passes(PUBLISHED_BEFORE_USE)
    assert rotated(harness) == second
    withdrawn(harness, second)

    with harness.database.reader() as db:
        sealed = {row.state: bytes(row.private_sealed) for row in queries.keys(db)}
    assert states(harness)[first] == "RETIRED"
    assert sealed["RETIRED"] == sealed["WITHDRAWN"] == b""
    assert sealed["ACTIVE"]
    assert sealed["PUBLISHED"]


def test_operators_who_rotate_and_withdraw_at_once_never_disagree(harness: Harness, time: Time) -> None:
    first, second = first_pair(harness)
    time.passes(PUBLISHED_BEFORE_USE)
    together = Barrier(REPLICAS)

    def act(number: int) -> object:
        together.wait()
        return rotated(harness) if number % 2 else withdrawn(harness, first)

    with ThreadPoolExecutor(REPLICAS) as pool:
        list(pool.map(act, range(REPLICAS)))

    found = states(harness)
    assert (found[first], found[second]) == ("WITHDRAWN", "ACTIVE"), "the next key took over once, whoever came first"
    assert len(found) == 3
    assert list(found.values()).count("PUBLISHED") == 1


def test_under_another_secret_a_rotation_waits_for_nobody(harness: Harness) -> None:
    first_pair(harness)
    other = MasterSecret("another secret of sufficient length, too")

    with harness.transaction() as tx:
        signing = keys.rotate(tx, other)

    assert not isinstance(signing, Problem)
    assert signing.secret_id == other.id
    assert sorted(states(harness).values()) == ["ACTIVE", "PUBLISHED", "RETIRED", "RETIRED"]


@pytest.mark.parametrize("state", KeyState)
def test_no_key_comes_back_to_where_it_was(state: KeyState) -> None:
    reachable: set[KeyState] = set()
    frontier = {state}
    while frontier:
        frontier = {after for each in frontier for after in TRANSITIONS[each]} - reachable
        reachable |= frontier
    assert state not in reachable


def test_the_operator_lists_rotates_and_withdraws(harness: Harness, time: Time, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> tuple[int, str, str]:
        code = keys_command(harness.assembled, arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    first, second = first_pair(harness)
    capsys.readouterr()
    listed = json.loads(run("list", "--json")[1])
    assert (listed["signing"], {key["id"] for key in listed["keys"]}) == (first, {first, second})
    code, _, words = run("rotate")
    assert (code, "try again in 300 s" in words) == (1, True)
    time.passes(PUBLISHED_BEFORE_USE)
    assert json.loads(run("rotate", "--json")[1])["signing"] == second
    code, lines, _ = run("withdraw", second)
    assert (code, f"WITHDRAWN  {second}" in lines) == (0, True)
    assert run("withdraw", "nobody's")[0] == 1
    with harness.database.reader() as db:
        actors = db.all(text("SELECT DISTINCT roles FROM auth.audit_record WHERE action IN ('key.withdrawn', 'key.rotate')"))
    assert [row.roles for row in actors] == ["operator"]


def test_sealing_twice_never_gives_the_same_bytes(harness: Harness) -> None:
    key, secret = new_signing_key(), harness.resources[MasterSecret]
    assert seal_signing_key(key, secret) != seal_signing_key(key, secret)
