"""Link an identity at another provider to an account, and take the link away."""

from uuid import uuid4

from sqlalchemy import text

from libs.common.testing import Harness
from services.auth.domain.federation import LINK_LIFE
from services.auth.tests.conftest import Person, Time
from services.auth.tests.factors import Guarded
from services.auth.tests.fake_provider import GRACE, FakeProvider
from services.auth.tests.federating import accounts, begin, complete, identities, sign_in


def offered(person: Person, fake: FakeProvider, token: str | None = None) -> str:
    """A link token, as a sign-in whose address is taken brings it, or one begun to link."""
    began = begin(person, token)
    answer = complete(person, began, fake.authorize(began["authorization_url"]))
    assert answer.status_code == 409, answer.get_data(as_text=True)
    assert answer.get_json()["type"].endswith("/link-required")
    return str(answer.get_json()["link_token"])


def verified(harness: Harness, email: str) -> Person:
    person = Person(harness, email)
    person.register()
    person.verify()
    return person


class TestLinking:
    def test_an_equal_address_opens_nothing_until_the_owner_confirms(
        self, harness: Harness, grace: Person, fake: FakeProvider
    ) -> None:
        verified(harness, grace.email)
        link_token = offered(grace, fake)
        tokens = grace.signed_in()
        assert identities(grace, tokens["access_token"]) == []
        confirmed = grace.post("/auth/identities", {"link_token": link_token}, tokens["access_token"])
        assert confirmed.status_code == 201, confirmed.get_data(as_text=True)
        assert grace.post("/auth/identities", {"link_token": link_token}, tokens["access_token"]).status_code == 400
        again = sign_in(grace, fake).get_json()
        assert grace.call("GET", "/profile", token=again["access_token"]).get_json()["id"] == grace.id
        assert accounts(harness) == 1

    def test_an_account_laid_in_wait_under_a_strangers_address_takes_nothing(
        self, harness: Harness, grace: Person, fake: FakeProvider
    ) -> None:
        grace.register()  # by somebody who cannot read the mail
        offered(grace, fake)
        with harness.transaction() as tx:
            assert tx.scalar(text("SELECT count(*) FROM auth.federated_identity")) == 0

    def test_somebody_signed_in_links_an_identity_of_another_address(
        self, grace: Person, person: Person, fake: FakeProvider
    ) -> None:
        token = person.signed_in()["access_token"]
        link_token = offered(person, fake, token)
        assert person.post("/auth/identities", {"link_token": link_token}, token).status_code == 201
        other = sign_in(grace, fake).get_json()["access_token"]
        assert grace.call("GET", "/profile", token=other).get_json()["id"] == person.id

    def test_an_offer_is_for_one_account_and_for_ten_minutes(
        self, harness: Harness, grace: Person, person: Person, fake: FakeProvider, time: Time
    ) -> None:
        verified(harness, grace.email)
        link_token = offered(grace, fake)
        token = person.signed_in()["access_token"]
        assert person.post("/auth/identities", {"link_token": link_token}, token).status_code == 400
        time.passes(LINK_LIFE)
        late = grace.post("/auth/identities", {"link_token": link_token}, grace.signed_in()["access_token"])
        assert late.status_code == 400
        assert harness.run_job("purge_expired") >= 1

    def test_an_identity_opens_one_account_and_an_account_has_one_of_a_provider(
        self, grace: Person, person: Person, fake: FakeProvider
    ) -> None:
        assert sign_in(grace, fake).status_code == 200
        token = person.signed_in()["access_token"]
        began = begin(person, token)
        taken = complete(person, began, fake.authorize(began["authorization_url"]))
        assert taken.get_json()["type"].endswith("/identity-taken")
        fake.person = {**GRACE, "sub": "second", "email": "ada@example.org"}
        assert person.post("/auth/identities", {"link_token": offered(person, fake, token)}, token).status_code == 201
        fake.person = {**GRACE, "sub": "third"}
        link_token = offered(person, fake, token)
        answer = person.post("/auth/identities", {"link_token": link_token}, token)
        assert (answer.status_code, answer.get_json()["type"].rsplit("/")[-1]) == (409, "already-linked")

    def test_an_unverified_identity_is_not_linked(self, person: Person, fake: FakeProvider) -> None:
        fake.person["email_verified"] = False
        began = begin(person, person.signed_in()["access_token"])
        assert complete(person, began, fake.authorize(began["authorization_url"])).status_code == 403


class TestUnlinking:
    def test_the_last_way_in_stays_and_another_goes(self, harness: Harness, grace: Person, fake: FakeProvider) -> None:
        token = sign_in(grace, fake).get_json()["access_token"]
        identity_id = identities(grace, token)[0]["id"]
        answer = grace.call("DELETE", f"/auth/identities/{identity_id}", token=token)
        assert (answer.status_code, answer.get_json()["type"].rsplit("/")[-1]) == (409, "last-way-in")
        grace.post("/auth/password/forgot", {"email": grace.email})
        harness.run_job("mail_links")
        reset = {"token": grace.mails("RESET_PASSWORD")[-1]["token"], "password": grace.password}
        assert grace.post("/auth/password/reset", reset).status_code == 204
        token = grace.signed_in()["access_token"]
        assert grace.call("DELETE", f"/auth/identities/{identity_id}", token=token).status_code == 204
        assert identities(grace, token) == []
        assert sign_in(grace, fake).status_code == 409

    def test_a_passkey_is_a_way_in_and_goes_last_of_all_not(self, grace: Person, fake: FakeProvider) -> None:
        holder = Guarded(grace, tokens=sign_in(grace, fake).get_json())
        made = holder.add_passkey().get_json()
        identity_id = identities(grace, holder.token)[0]["id"]
        assert holder.call("DELETE", f"/auth/identities/{identity_id}").status_code == 204
        answer = holder.call("DELETE", f"/auth/passkeys/{made['id']}")
        assert (answer.status_code, answer.get_json()["type"].rsplit("/")[-1]) == (409, "last-way-in")
        assert holder.sign_in_by_passkey().status_code == 200

    def test_nobody_unlinks_for_another(self, grace: Person, person: Person, fake: FakeProvider) -> None:
        token = sign_in(grace, fake).get_json()["access_token"]
        identity_id = identities(grace, token)[0]["id"]
        theirs = person.signed_in()["access_token"]
        for each in (identity_id, str(uuid4())):
            assert person.call("DELETE", f"/auth/identities/{each}", token=theirs).status_code == 404
        assert sign_in(grace, fake).status_code == 200
