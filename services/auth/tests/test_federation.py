"""Sign in with another provider: what it may say, and what an attacker at it or beside it may not bring about."""

import hashlib
import json
from base64 import urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import structlog
from joserfc import jws
from joserfc.jwk import ECKey, OctKey
from sqlalchemy import text

from libs.common import clock
from libs.common.testing import Harness
from services.auth.adapters import openid
from services.auth.adapters.openid import HttpOpenIdProviders
from services.auth.domain.federation import ATTEMPT_LIFE, OpenIdProviders
from services.auth.tests.conftest import Person, Time
from services.auth.tests.fake_provider import CLIENT_ID, GRACE, FakeProvider
from services.auth.tests.federating import accounts, begin, complete, identities, sign_in

PARALLEL = 6


def spelled(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def reasons(captured: list[Any]) -> list[str]:
    return [each["reason"] for each in captured if each["event"] == "auth.federation.refused"]


class TestSigningIn:
    def test_somebody_new_gets_an_account_and_the_same_one_every_time(
        self, harness: Harness, grace: Person, fake: FakeProvider
    ) -> None:
        first = sign_in(grace, fake)
        assert first.status_code == 200, first.get_data(as_text=True)
        profile = grace.call("GET", "/profile", token=first.get_json()["access_token"]).get_json()
        assert (profile["email"], profile["display_name"], profile["locale"]) == ("grace@example.org", "Grace Hopper", "en")
        assert (profile["role"], profile["verified"]) == ("CONTRIBUTOR", True)
        fake.person["email"] = "moved@example.org"  # whoever moves at the provider is the same person here
        again = sign_in(grace, fake).get_json()
        assert grace.call("GET", "/profile", token=again["access_token"]).get_json()["id"] == profile["id"]
        assert accounts(harness) == 1
        assert len(harness.published("auth.user.registered")) == len(harness.published("auth.user.verified")) == 1
        assert [each["provider"] for each in identities(grace, again["access_token"])] == ["fake"]

    def test_nothing_of_the_provider_is_kept_but_a_hash(self, harness: Harness, grace: Person, fake: FakeProvider) -> None:
        began = begin(grace)
        brought = fake.authorize(began["authorization_url"])
        with harness.transaction() as tx:
            attempts = str(tx.all(text("SELECT * FROM auth.federation_attempt")))
        assert began["binding"] not in attempts
        assert brought["state"] not in attempts
        complete(grace, began, brought)
        with harness.transaction() as tx:
            assert "person-at-the-fake" not in str(tx.all(text("SELECT * FROM auth.federated_identity")))
            assert tx.scalar(text("SELECT count(*) FROM auth.federation_attempt")) == 0

    def test_no_password_opens_an_account_that_has_none(self, grace: Person, fake: FakeProvider) -> None:
        assert sign_in(grace, fake).status_code == 200
        assert grace.login().status_code == 401

    @pytest.mark.parametrize("claims", [{"email_verified": False}, {"email_verified": "true"}, {"email_verified": None}])
    def test_an_address_that_is_not_verified_opens_nothing(
        self, harness: Harness, grace: Person, fake: FakeProvider, claims: dict[str, Any]
    ) -> None:
        fake.person |= claims
        assert sign_in(grace, fake).status_code in {401, 403}
        assert accounts(harness) == 0

    def test_an_address_is_asked_for_where_the_id_token_has_none(self, grace: Person, fake: FakeProvider) -> None:
        fake.person, fake.userinfo = {}, {"sub": "person-at-the-fake", **GRACE}
        assert sign_in(grace, fake).status_code == 200

    def test_an_address_of_somebody_else_is_not_taken(self, harness: Harness, grace: Person, fake: FakeProvider) -> None:
        fake.person, fake.userinfo = {}, {"sub": "another-person", **GRACE}
        assert sign_in(grace, fake).status_code == 401
        assert accounts(harness) == 0

    def test_a_suspended_person_stays_outside(self, grace: Person, fake: FakeProvider, administrator: Person) -> None:
        token = sign_in(grace, fake).get_json()["access_token"]
        user_id = grace.call("GET", "/profile", token=token).get_json()["id"]
        by = administrator.signed_in()["access_token"]
        assert administrator.call("PATCH", f"/admin/users/{user_id}", {"status": "SUSPENDED"}, by).status_code == 200
        answer = sign_in(grace, fake)
        assert (answer.status_code, answer.get_json()["type"].rsplit("/")[-1]) == (403, "account-suspended")

    def test_many_first_sign_ins_at_once_make_one_account(self, harness: Harness, grace: Person, fake: FakeProvider) -> None:
        begun = [begin(grace) for _ in range(PARALLEL)]
        brought = [fake.authorize(each["authorization_url"]) for each in begun]
        with ThreadPoolExecutor(PARALLEL) as pool:
            statuses = list(pool.map(lambda pair: complete(grace, *pair).status_code, zip(begun, brought, strict=True)))
        assert set(statuses) <= {200, 409}
        assert 200 in statuses
        assert accounts(harness) == 1


class TestHostileAnswers:
    def refuse(self, harness: Harness, person: Person, fake: FakeProvider, reason: str) -> None:
        with structlog.testing.capture_logs() as captured:
            answer = sign_in(person, fake)
        assert answer.status_code == 401
        assert answer.get_json()["type"].endswith("/provider-answer-refused")
        assert reasons(captured) == [reason]
        assert accounts(harness) == 0

    @pytest.mark.parametrize(
        ("claims", "reason"),
        [
            ({"nonce": "another"}, "id_token_nonce"),
            ({"nonce": None}, "id_token_claims"),
            ({"aud": "somebody else"}, "id_token_audience"),
            ({"aud": [CLIENT_ID, "somebody else"]}, "id_token_authorized_party"),
            ({"azp": "somebody else"}, "id_token_authorized_party"),
            ({"iss": "https://elsewhere.example.org"}, "id_token_issuer"),
            ({"sub": ""}, "id_token_claims"),
            ({"sub": "x" * 256}, "id_token_claims"),
            ({"exp": 1}, "id_token_expired"),
            ({"iat": 1}, "id_token_issued_at"),
            ({"nbf": 2**40}, "id_token_not_before"),
            ({"at_hash": "bm90IHRoZSBoYXNo"}, "id_token_access_token_hash"),
        ],
    )
    def test_an_id_token_that_says_something_else_is_refused(
        self, harness: Harness, grace: Person, fake: FakeProvider, claims: dict[str, Any], reason: str
    ) -> None:
        fake.claims = claims
        self.refuse(harness, grace, fake, reason)

    def test_times_a_minute_off_a_fitting_hash_and_a_named_party_are_taken(self, grace: Person, fake: FakeProvider) -> None:
        digest = hashlib.sha256(b"an access token").digest()[:16]
        now = int(clock.epoch())
        fake.claims = {"iat": now + 55, "exp": now - 55, "aud": [CLIENT_ID, "another"], "azp": CLIENT_ID}
        fake.claims["at_hash"] = spelled(digest)
        assert sign_in(grace, fake).status_code == 200

    def test_a_signature_by_nobody_is_refused(self, harness: Harness, grace: Person, fake: FakeProvider) -> None:
        fake.header = {"alg": "none"}
        fake.sign = lambda header, body: f"{spelled(json.dumps(header).encode())}.{spelled(body)}."
        self.refuse(harness, grace, fake, "id_token_algorithm")

    def test_a_signature_with_our_own_secret_is_refused(self, harness: Harness, grace: Person, fake: FakeProvider) -> None:
        key = OctKey.import_key("a secret / of the fake" * 2)
        fake.header = {"alg": "HS256"}
        fake.sign = lambda header, body: jws.serialize_compact(header, body, key, algorithms=["HS256"])
        self.refuse(harness, grace, fake, "id_token_algorithm")

    def test_a_signature_by_another_key_of_the_same_name_is_refused(
        self, harness: Harness, grace: Person, fake: FakeProvider
    ) -> None:
        forged = ECKey.generate_key("P-256")
        fake.sign = lambda header, body: jws.serialize_compact(header, body, forged, algorithms=["ES256"])
        self.refuse(harness, grace, fake, "id_token_signature")

    def test_an_access_token_is_no_id_token(self, harness: Harness, grace: Person, fake: FakeProvider) -> None:
        fake.header = {"typ": "at+jwt"}
        self.refuse(harness, grace, fake, "id_token_header")

    def test_an_unknown_key_is_fetched_once_and_then_refused(
        self, harness: Harness, grace: Person, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fake.header = {"kid": "unknown"}
        self.refuse(harness, grace, fake, "id_token_key")
        assert fake.asked.count("/keys") == 1  # as read a moment ago
        monkeypatch.setattr(openid, "KEYS_INTERVAL_SECONDS", 0)
        self.refuse(harness, grace, fake, "id_token_key")
        assert fake.asked.count("/keys") == 2

    def test_a_provider_may_change_its_key(self, grace: Person, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(openid, "KEYS_INTERVAL_SECONDS", 0)
        assert sign_in(grace, fake).status_code == 200
        fake.key = ECKey.generate_key("P-256", parameters={"kid": "second"})
        assert sign_in(grace, fake).status_code == 200

    def test_another_issuer_in_the_answer_is_refused(self, harness: Harness, grace: Person, fake: FakeProvider) -> None:
        began = begin(grace)
        brought = {**fake.authorize(began["authorization_url"]), "iss": "https://elsewhere.example.org"}
        assert complete(grace, began, brought).status_code == 401
        fake.metadata = {"authorization_response_iss_parameter_supported": True}
        providers = harness.resource(OpenIdProviders)  # type: ignore[type-abstract]
        assert isinstance(providers, HttpOpenIdProviders)
        providers._known = {name: openid._Known() for name in providers._known}
        began = begin(grace)
        brought = fake.authorize(began["authorization_url"])
        del brought["iss"]
        assert complete(grace, began, brought).status_code == 401
        assert accounts(harness) == 0

    def test_a_wrong_state_or_binding_a_replay_and_a_late_answer_are_refused(
        self, harness: Harness, grace: Person, fake: FakeProvider, time: Time
    ) -> None:
        began = begin(grace)
        brought = fake.authorize(began["authorization_url"])
        assert complete(grace, began, {**brought, "state": "another"}).status_code == 401
        assert complete(grace, begin(grace), brought).status_code == 401  # a victim's browser with an attacker's answer
        assert accounts(harness) == 0
        assert complete(grace, began, brought).status_code == 200
        assert complete(grace, began, brought).status_code == 401
        began = begin(grace)
        brought = fake.authorize(began["authorization_url"])
        time.passes(ATTEMPT_LIFE)
        assert complete(grace, began, brought).status_code == 401

    def test_a_replayed_code_is_refused(self, grace: Person, fake: FakeProvider) -> None:
        began = begin(grace)
        brought = fake.authorize(began["authorization_url"])
        assert complete(grace, began, brought).status_code == 200
        other = begin(grace)
        stolen = {**fake.authorize(other["authorization_url"]), "code": brought["code"]}
        assert complete(grace, other, stolen).status_code == 401

    def test_a_code_of_another_browser_is_refused(self, harness: Harness, grace: Person, fake: FakeProvider) -> None:
        theirs, mine = begin(grace), begin(grace)
        injected = fake.authorize(theirs["authorization_url"])["code"]
        brought = {**fake.authorize(mine["authorization_url"]), "code": injected}
        assert complete(grace, mine, brought).status_code == 401
        assert accounts(harness) == 0

    def test_who_does_not_agree_at_the_provider_is_told_to_begin_again(self, grace: Person, fake: FakeProvider) -> None:
        began = begin(grace)
        state = fake.authorize(began["authorization_url"])["state"]
        assert complete(grace, began, {"state": state, "error": "access_denied"}).status_code == 401


class TestTroubleAtTheProvider:
    def test_an_unknown_provider_is_not_found(self, grace: Person) -> None:
        assert grace.post("/auth/federation/nobody/begin").status_code == 404
        assert grace.call("GET", "/auth/providers").get_json() == {"items": []}

    @pytest.mark.usefixtures("fake")
    def test_the_configured_ones_are_listed(self, grace: Person) -> None:
        assert grace.call("GET", "/auth/providers").get_json() == {"items": [{"name": "fake", "label": "Fake"}]}

    @pytest.mark.parametrize(
        "metadata",
        [
            {"issuer": "https://elsewhere.example.org"},
            {"token_endpoint": "ftp://127.0.0.1/token"},
            {"jwks_uri": None},
            {"authorization_endpoint": "https:///"},
            {"padding": "x" * openid.ANSWER_BYTES_MAXIMUM},
        ],
    )
    def test_a_description_that_cannot_be_is_an_outage(
        self, grace: Person, fake: FakeProvider, metadata: dict[str, Any]
    ) -> None:
        fake.metadata = metadata
        answer = grace.post("/auth/federation/fake/begin")
        assert answer.status_code == 503
        assert "Retry-After" in answer.headers
