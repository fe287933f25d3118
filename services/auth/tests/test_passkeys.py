"""Passkeys, with an authenticator in software: honest ceremonies, and every way to cheat in one."""

from datetime import timedelta
from typing import Any

import pytest

from libs.common.testing import Harness
from services.auth.domain.factors import CHALLENGE_LIFE, RECOVERY_CODES
from services.auth.domain.lockout import FAILURES_ALLOWED
from services.auth.domain.passkeys import CREDENTIAL_ID_MAXIMUM, LABEL_MAXIMUM, PASSKEYS_MAXIMUM
from services.auth.schemas.factors import ENCODED_MAXIMUM
from services.auth.tests.authenticator import (
    BACKED_UP,
    ELIGIBLE,
    PRESENT,
    VERIFIED,
    Authenticator,
    Ed25519Key,
    P256Key,
    encoded,
)
from services.auth.tests.conftest import Person, Time
from services.auth.tests.factors import Guarded, guarded
from services.auth.tests.test_accounts import held_up
from services.auth.tests.test_second_factor import acts, claims, kept, problem

CHEATS: dict[str, dict[str, Any]] = {
    "another origin": {"origin": "https://lumiere.example"},
    "another relying party": {"rp_id": "lumiere.example"},
    "nobody present": {"flags": VERIFIED},
    "nobody verified": {"flags": PRESENT},
}


@pytest.fixture
def ada(person: Person, time: Time) -> Guarded:
    """Somebody with a passkey, and no app."""
    found = guarded(person)
    assert found.add_passkey().status_code == 201
    return found


class TestRegistration:
    def test_a_browser_is_asked_for_a_discoverable_passkey_that_verifies_its_user(self, person: Person) -> None:
        options = guarded(person).creation_options()
        assert options["authenticatorSelection"]["residentKey"] == "required"
        assert options["authenticatorSelection"]["userVerification"] == "required"
        assert options["rp"] == {"name": "Lumière", "id": "127.0.0.1"}
        assert options["user"]["name"] == "ada@example.org"
        assert options["attestation"] == "none"
        assert options["timeout"] == CHALLENGE_LIFE.total_seconds() * 1000

    @pytest.mark.parametrize("key", [P256Key, Ed25519Key])
    def test_what_it_made_is_kept_listed_and_told(self, key: Any, person: Person) -> None:
        found = guarded(person)
        answer = found.add_passkey(Authenticator(key=key()))
        assert answer.status_code == 201
        made = answer.get_json()
        assert len(set(made.pop("recovery_codes"))) == RECOVERY_CODES
        assert answer.headers["Location"].endswith(made["id"])
        assert found.call("GET", "/auth/passkeys").get_json()["items"] == [made]
        assert (made["label"], made["synchronised"], made["last_used_at"]) == ("My telephone", False, None)
        assert claims(found.token).amr == ("pwd", "hwk", "user", "mfa")
        notice = person.mails("SECURITY_NOTICE")[-1]
        assert (notice["notice"], notice["name"]) == ("PASSKEY_ADDED", "My telephone")

    def test_recovery_codes_come_with_the_first_factor_alone(self, ada: Guarded) -> None:
        assert ada.add_passkey(Authenticator()).get_json()["recovery_codes"] == []
        assert ada.add_app().get_json()["recovery_codes"] == []

    def test_known_passkeys_are_not_made_again(self, ada: Guarded) -> None:
        options = ada.creation_options()
        assert [each["id"] for each in options["excludeCredentials"]] == [encoded(ada.authenticator.credential_id)]
        twin = Authenticator(credential_id=ada.authenticator.credential_id)
        assert problem(ada.add_passkey(twin)) == "passkey-known"

    @pytest.mark.parametrize("cheat", CHEATS.values(), ids=CHEATS)
    def test_a_dishonest_answer_registers_nothing(self, cheat: dict[str, Any], person: Person) -> None:
        found = guarded(person)
        answer = found.add_passkey(Authenticator(**cheat))
        assert (answer.status_code, problem(answer)) == (400, "passkey-refused")
        assert found.call("GET", "/auth/passkeys").get_json()["items"] == []

    def test_a_challenge_registers_once_also_when_the_answer_was_wrong(self, person: Person) -> None:
        found = guarded(person)
        options = found.creation_options()
        wrong = Authenticator(rp_id="lumiere.example").make(options)
        right = Authenticator().make(options)
        statuses = [
            found.call("POST", "/auth/passkeys", {"label": "x", "passkey": each}).status_code for each in (wrong, right)
        ]
        assert statuses == [400, 400]

    def test_a_challenge_holds_for_five_minutes_and_in_its_session(self, person: Person, time: Time) -> None:
        found, other = guarded(person), guarded(person)
        mine = {"label": "x", "passkey": Authenticator().make(found.creation_options())}
        assert other.call("POST", "/auth/passkeys", mine).status_code == 400
        time.passes(CHALLENGE_LIFE - timedelta(microseconds=1))
        assert found.call("POST", "/auth/passkeys", mine).status_code == 201
        found.renew()
        late = {"label": "x", "passkey": Authenticator().make(found.creation_options())}
        time.passes(CHALLENGE_LIFE)
        assert found.call("POST", "/auth/passkeys", late).status_code == 400

    def test_a_session_from_before_the_first_factor_adds_none_beside_it(self, harness: Harness, person: Person) -> None:
        owner, thief = guarded(person), guarded(person)
        made = {"label": "x", "passkey": Authenticator().make(thief.creation_options())}
        owner.secret = owner.call("POST", "/auth/mfa/totp").get_json()["secret"]
        code = {"otp": owner.code()}
        statuses = held_up(
            harness,
            lambda: owner.call("POST", "/auth/mfa/totp/confirm", code).status_code,
            lambda: thief.call("POST", "/auth/passkeys", made).status_code,
        )
        assert statuses == [200, 401]

    def test_a_challenge_to_sign_in_registers_nothing(self, person: Person) -> None:
        found = guarded(person)
        options = person.post("/auth/passkeys/authentication-options").get_json()["public_key"]
        made = Authenticator().make({**found.creation_options(), "challenge": options["challenge"]})
        assert found.call("POST", "/auth/passkeys", {"label": "x", "passkey": made}).status_code == 400

    @pytest.mark.parametrize("damage", ["attestationObject", "clientDataJSON"])
    @pytest.mark.parametrize("value", ["AA", "oWFh", "eyJ9", "_" * 1000])
    def test_bytes_that_are_none_of_an_authenticator_are_refused(self, damage: str, value: str, person: Person) -> None:
        found = guarded(person)
        made = Authenticator().make(found.creation_options())
        made["response"][damage] = value
        assert found.call("POST", "/auth/passkeys", {"label": "x", "passkey": made}).status_code == 400

    @pytest.mark.parametrize(("length", "status"), [(CREDENTIAL_ID_MAXIMUM, 201), (CREDENTIAL_ID_MAXIMUM + 1, 400)])
    def test_the_id_of_a_passkey_has_1023_bytes_at_most(self, length: int, status: int, person: Person) -> None:
        assert guarded(person).add_passkey(Authenticator(credential_id=bytes(length))).status_code == status

    @pytest.mark.parametrize(("length", "status"), [(ENCODED_MAXIMUM, 400), (ENCODED_MAXIMUM + 1, 422)])
    def test_an_answer_that_is_too_long_is_not_looked_into(self, length: int, status: int, person: Person) -> None:
        found = guarded(person)
        made = Authenticator().make(found.creation_options())
        made["response"]["attestationObject"] = "A" * length
        assert found.call("POST", "/auth/passkeys", {"label": "x", "passkey": made}).status_code == status

    def test_an_account_has_so_many_passkeys_and_no_more(self, person: Person) -> None:
        found = guarded(person)
        for _ in range(PASSKEYS_MAXIMUM):
            assert found.add_passkey(Authenticator()).status_code == 201
        answer = found.call("POST", "/auth/passkeys/registration-options")
        assert (answer.status_code, problem(answer)) == (409, "too-many-passkeys")

    @pytest.mark.parametrize(
        ("label", "status"), [("", 422), ("x", 201), ("x" * LABEL_MAXIMUM, 201), ("x" * (LABEL_MAXIMUM + 1), 422), (" x", 422)]
    )
    def test_a_name_has_one_to_sixty_characters(self, label: str, status: int, person: Person) -> None:
        assert guarded(person).add_passkey(label=label).status_code == status


class TestSignIn:
    def test_a_passkey_alone_signs_in(self, ada: Guarded, time: Time) -> None:
        assert ada.sign_in_by_passkey().status_code == 200
        assert claims(ada.token).amr == ("hwk", "user", "mfa")
        assert ada.call("GET", "/profile").get_json()["email"] == "ada@example.org"
        used = ada.call("GET", "/auth/passkeys").get_json()["items"][0]["last_used_at"]
        assert used == time.instant.isoformat().replace("+00:00", "Z")

    def test_a_passkey_that_its_provider_copies_is_a_key_in_software(self, person: Person) -> None:
        found = guarded(person)
        found.authenticator.flags |= ELIGIBLE | BACKED_UP
        found.authenticator.step = 0
        assert found.add_passkey().get_json()["synchronised"] is True
        for _ in range(2):
            assert found.sign_in_by_passkey().status_code == 200, "synchronised passkeys count nothing"
        assert claims(found.token).amr == ("swk", "user", "mfa")

    def test_nothing_is_told_of_accounts_before_a_passkey_is_used(self, ada: Guarded) -> None:
        options = ada.person.post("/auth/passkeys/authentication-options").get_json()["public_key"]
        assert options["allowCredentials"] == []
        assert options["userVerification"] == "required"
        assert options["rpId"] == "127.0.0.1"

    @pytest.mark.parametrize("cheat", CHEATS.values(), ids=CHEATS)
    def test_a_dishonest_answer_signs_nobody_in(self, cheat: dict[str, Any], ada: Guarded) -> None:
        for name, value in cheat.items():
            setattr(ada.authenticator, name, value)
        answer = ada.sign_in_by_passkey()
        assert (answer.status_code, problem(answer)) == (401, "wrong-second-factor")

    def test_a_stranger_with_the_id_and_another_key_is_refused(self, ada: Guarded) -> None:
        real = ada.authenticator
        forged = Authenticator(credential_id=real.credential_id, user_handle=real.user_handle, counter=9)
        assert ada.sign_in_by_passkey(ada.assertion(forged)).status_code == 401
        assert ada.sign_in_by_passkey().status_code == 200

    def test_an_unknown_passkey_and_one_in_another_name_are_refused(self, ada: Guarded) -> None:
        assert ada.sign_in_by_passkey(ada.assertion(Authenticator())).status_code == 401
        ada.authenticator.user_handle = bytes(16)
        assert ada.sign_in_by_passkey().status_code == 401

    def test_an_answer_counts_once(self, ada: Guarded) -> None:
        credential = ada.assertion()
        assert [ada.sign_in_by_passkey(credential).status_code for _ in range(2)] == [200, 401]

    def test_a_wrong_answer_spends_its_challenge_too(self, ada: Guarded) -> None:
        options = ada.person.post("/auth/passkeys/authentication-options").get_json()["public_key"]
        damaged = ada.authenticator.use(options)
        damaged["response"]["signature"] = encoded(b"no signature")
        right = ada.authenticator.use(options)
        assert [ada.sign_in_by_passkey(each).status_code for each in (damaged, right)] == [401, 401]

    def test_a_challenge_holds_for_five_minutes(self, ada: Guarded, time: Time) -> None:
        early, late = ada.assertion(), ada.assertion()
        time.passes(CHALLENGE_LIFE - timedelta(microseconds=1))
        assert ada.sign_in_by_passkey(early).status_code == 200
        time.passes(timedelta(microseconds=1))
        assert ada.sign_in_by_passkey(late).status_code == 401

    @pytest.mark.parametrize("step", [0, -1])
    def test_a_counter_that_does_not_advance_is_a_copy_and_goes_on_record(
        self, step: int, harness: Harness, ada: Guarded
    ) -> None:
        ada.authenticator.counter = 4
        assert ada.sign_in_by_passkey().status_code == 200
        ada.authenticator.step = step
        assert ada.sign_in_by_passkey().status_code == 401
        assert acts(harness, "passkey.use") == [("passkey.use", "refused")]

    @pytest.mark.parametrize("damage", ["authenticatorData", "clientDataJSON", "signature", "userHandle"])
    @pytest.mark.parametrize("value", ["AA", "eyJ9", "_" * 1000])
    def test_bytes_that_are_none_of_an_authenticator_are_refused(self, damage: str, value: str, ada: Guarded) -> None:
        credential = ada.assertion()
        credential["response"][damage] = value
        assert ada.sign_in_by_passkey(credential).status_code == 401

    def test_who_is_locked_out_by_others_signs_in_by_passkey(self, ada: Guarded) -> None:
        for _ in range(FAILURES_ALLOWED):
            ada.sign_in(password="a wrong password")  # pragma: allowlist secret
        assert ada.sign_in().status_code == 429
        assert ada.sign_in_by_passkey().status_code == 200

    def test_challenges_are_forgotten(self, harness: Harness, ada: Guarded, time: Time) -> None:
        ada.assertion()
        time.passes(CHALLENGE_LIFE + timedelta(seconds=1))
        harness.run_job("purge_expired")
        assert kept(harness, "passkey_ceremony") == 0


class TestSecondFactor:
    def test_the_password_asks_for_the_passkey_and_the_passkey_completes_it(self, ada: Guarded) -> None:
        answer = ada.sign_in()
        assert answer.get_json()["methods"] == ["passkey", "recovery_code"]
        assert ada.complete(answer.get_json()["challenge"], passkey=ada.assertion()).status_code == 200
        assert claims(ada.token).amr == ("pwd", "hwk", "user", "mfa")

    def test_the_passkey_of_another_completes_nothing(self, harness: Harness, ada: Guarded) -> None:
        other = Person(harness, "grace@example.org")
        other.register()
        other.verify()
        grace = guarded(other)
        grace.add_passkey()
        answer = ada.complete(ada.challenge(), passkey=grace.assertion())
        assert (answer.status_code, problem(answer)) == (401, "wrong-second-factor")
        assert ada.step_up(passkey=grace.assertion()).status_code == 403


class TestOwnPasskeys:
    def test_they_are_renamed(self, ada: Guarded) -> None:
        made = ada.call("GET", "/auth/passkeys").get_json()["items"][0]
        answer = ada.call("PATCH", f"/auth/passkeys/{made['id']}", {"label": "Old telephone"})
        assert answer.get_json() == {**made, "label": "Old telephone"}

    def test_one_is_removed_and_opens_nothing_any_more(self, ada: Guarded) -> None:
        second = Authenticator()
        made = ada.add_passkey(second, "A key").get_json()["id"]
        assert ada.call("DELETE", f"/auth/passkeys/{made}").status_code == 204
        assert ada.sign_in_by_passkey(ada.assertion(second)).status_code == 401
        assert ada.sign_in_by_passkey().status_code == 200
        notice = ada.person.mails("SECURITY_NOTICE")[-1]
        assert (notice["notice"], notice["name"]) == ("PASSKEY_REMOVED", "A key")

    def test_with_the_last_factor_the_recovery_codes_go(self, ada: Guarded) -> None:
        made = ada.call("GET", "/auth/passkeys").get_json()["items"][0]["id"]
        assert ada.call("DELETE", f"/auth/passkeys/{made}").status_code == 204
        assert ada.call("GET", "/auth/mfa").get_json()["recovery_codes"] == 0
        assert ada.sign_in().status_code == 200

    def test_the_passkeys_of_another_are_not_there(self, harness: Harness, ada: Guarded) -> None:
        made = ada.call("GET", "/auth/passkeys").get_json()["items"][0]["id"]
        other = Person(harness, "grace@example.org")
        other.register()
        other.verify()
        grace = guarded(other)
        grace.add_passkey()
        assert grace.call("PATCH", f"/auth/passkeys/{made}", {"label": "x"}).status_code == 404
        assert grace.call("DELETE", f"/auth/passkeys/{made}").status_code == 404
        assert len(grace.call("GET", "/auth/passkeys").get_json()["items"]) == 1
