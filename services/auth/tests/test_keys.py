"""Signing keys: one for all replicas, sealed, public halves for everyone."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from libs.common import ids
from libs.common.testing import Harness
from services.auth.adapters.keys import SealedUnderAnotherSecret, SigningKeys
from services.auth.domain.secrets import MasterSecret
from services.auth.domain.tokens import Grant, seal_signing_key
from services.auth.tests.conftest import Person, Time

REPLICAS = 8


def replica(harness: Harness, secret: MasterSecret | None = None) -> SigningKeys:
    return SigningKeys(
        harness.database, secret or harness.resources[MasterSecret], issuer="http://127.0.0.1:8080", audience="lumiere"
    )


def forget_all_keys(harness: Harness) -> None:
    with harness.transaction() as tx:
        tx.execute(text("DELETE FROM auth.signing_key"))


def test_replicas_that_start_together_agree_on_one_key(harness: Harness) -> None:
    forget_all_keys(harness)
    replicas = [replica(harness) for _ in range(REPLICAS)]
    with ThreadPoolExecutor(REPLICAS) as pool:
        key_ids = {each["keys"][0]["kid"] for each in pool.map(lambda one: one.public(), replicas)}
    assert len(key_ids) == 1
    actions = [each.data["action"] for each in harness.published("auth.key.changed") if each.subject in key_ids]
    assert actions == ["PUBLISHED", "ACTIVATED"]


def test_the_key_set_is_public_and_holds_public_halves_only(harness: Harness) -> None:
    answer = harness.client().get("/.well-known/jwks.json")
    assert answer.status_code == 200
    assert answer.content_type == "application/jwk-set+json"
    assert answer.headers["Cache-Control"] == "public, max-age=60"
    (key,) = answer.get_json()["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}


def test_a_key_cannot_be_opened_with_another_secret(harness: Harness, time: Time) -> None:
    stranger = replica(harness, MasterSecret("another secret of sufficient length, too"))
    grant = Grant(ids.new_id(), ids.new_id(), "VIEWER", time.instant, ("pwd",), time.instant)
    with pytest.raises(SealedUnderAnotherSecret):
        stranger.issue(grant)


def test_the_database_refuses_a_second_active_key(harness: Harness) -> None:
    with pytest.raises(IntegrityError), harness.transaction() as tx:
        tx.execute(
            text(
                "INSERT INTO auth.signing_key (id, public_jwk, private_sealed, secret_id, state, published_at) "
                "SELECT 'copy', public_jwk, private_sealed, secret_id, state, published_at FROM auth.signing_key"
            )
        )


def test_a_retired_key_verifies_until_its_last_token_is_dead(harness: Harness, person: Person, time: Time) -> None:
    old = person.signed_in()["access_token"]
    with harness.transaction() as tx:
        tx.execute(text("UPDATE auth.signing_key SET state = 'RETIRED', retired_at = :now"), {"now": time.instant})
    fresh = replica(harness)
    assert len(fresh.public()["keys"]) == 2
    assert person.call("GET", "/profile", token=old).status_code == 200
    time.passes(timedelta(minutes=16))
    assert len(fresh.public()["keys"]) == 1


def test_sealing_twice_never_gives_the_same_bytes(harness: Harness) -> None:
    from services.auth.domain.tokens import new_signing_key

    key, secret = new_signing_key(), harness.resources[MasterSecret]
    assert seal_signing_key(key, secret) != seal_signing_key(key, secret)
