"""Codes of an authenticator app and recovery codes, told as hostile and unlucky stories."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import text

from libs.common.auth.policy import Role
from libs.common.auth.tokens import Claims
from libs.common.testing import Harness
from services.auth.adapters.command_line import DONE, REFUSED, USAGE
from services.auth.adapters.factor_commands import factors_command
from services.auth.domain.factors import CHALLENGE_LIFE, RECOVERY_CODES, UNCONFIRMED_LIFE
from services.auth.domain.lockout import FAILURES_ALLOWED, LOCK_DURATION
from services.auth.domain.totp import STEP_SECONDS
from services.auth.tests.conftest import PASSWORD, Person, Time
from services.auth.tests.factors import Guarded, guarded
from services.auth.tests.test_sessions import revoked

STEP = timedelta(seconds=STEP_SECONDS)
STEP_UP = timedelta(minutes=15)
WRONG = "000000"


def claims(token: str) -> Claims:
    """What an access token says, unverified."""
    import base64

    payload = token.split(".")[1]
    return Claims.model_validate_json(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def problem(answer: Any) -> str:
    return str(answer.get_json()["type"].rsplit("/", 1)[1])


def acts(harness: Harness, *names: str) -> list[tuple[str, str]]:
    found = [each.data for each in harness.published("auth.audit.recorded")]
    return [(each["action"], each["outcome"]) for each in found if each["action"] in names]


@pytest.fixture
def ada(person: Person, time: Time) -> Guarded:
    """Somebody with an authenticator app, whose next code is fresh."""
    found = guarded(person)
    assert found.add_app().status_code == 200
    return found


class TestEnrolment:
    @pytest.mark.usefixtures("time")
    def test_an_app_reads_the_address_and_counts_once_confirmed(self, person: Person) -> None:
        found = guarded(person)
        begun = found.call("POST", "/auth/mfa/totp").get_json()
        address = urlsplit(begun["otpauth_uri"])
        assert (address.scheme, address.netloc) == ("otpauth", "totp")
        assert address.path == "/Lumi%C3%A8re:ada%40example.org"
        assert parse_qs(address.query) == {"secret": [begun["secret"]], "issuer": ["Lumière"]}
        assert guarded(person).tokens, "nothing counts before it is confirmed"
        found.secret = begun["secret"]
        refused = found.call("POST", "/auth/mfa/totp/confirm", {"otp": WRONG})
        assert (refused.status_code, problem(refused)) == (403, "wrong-code")
        confirmed = found.call("POST", "/auth/mfa/totp/confirm", {"otp": found.code()})
        assert len(set(confirmed.get_json()["recovery_codes"])) == RECOVERY_CODES
        assert found.call("GET", "/auth/mfa").get_json() == {
            "totp": True,
            "passkeys": 0,
            "recovery_codes": RECOVERY_CODES,
            "required": False,
            "methods": ["totp", "recovery_code"],
        }
        assert [each["notice"] for each in person.mails("SECURITY_NOTICE")] == ["SECOND_FACTOR_ADDED"]

    def test_the_session_that_confirmed_has_shown_the_factor(self, ada: Guarded) -> None:
        assert claims(ada.token).amr == ("pwd", "otp", "mfa")

    def test_a_second_app_waits_until_the_first_is_removed(self, ada: Guarded) -> None:
        assert problem(ada.call("POST", "/auth/mfa/totp")) == "already-enrolled"
        assert problem(ada.call("POST", "/auth/mfa/totp/confirm", {"otp": ada.code()})) == "already-enrolled"
        assert ada.call("DELETE", "/auth/mfa/totp").status_code == 204
        assert problem(ada.call("DELETE", "/auth/mfa/totp")) == "not-enrolled"
        assert problem(ada.call("POST", "/auth/mfa/totp/confirm", {"otp": ada.code()})) == "not-enrolled"
        assert problem(ada.call("POST", "/auth/mfa/recovery-codes")) == "not-enrolled"
        assert ada.sign_in().status_code == 200
        assert [each["notice"] for each in ada.person.mails("SECURITY_NOTICE")] == [
            "SECOND_FACTOR_ADDED",
            "SECOND_FACTOR_REMOVED",
        ]

    @pytest.mark.usefixtures("time")
    def test_beginning_again_replaces_what_was_not_confirmed(self, person: Person) -> None:
        found = guarded(person)
        first, second = (found.call("POST", "/auth/mfa/totp").get_json()["secret"] for _ in range(2))
        assert first != second
        found.secret = first
        assert found.call("POST", "/auth/mfa/totp/confirm", {"otp": found.code()}).status_code == 403
        found.secret = second
        assert found.call("POST", "/auth/mfa/totp/confirm", {"otp": found.code()}).status_code == 200

    def test_what_was_never_confirmed_is_forgotten_after_a_day(self, harness: Harness, person: Person, time: Time) -> None:
        guarded(person).call("POST", "/auth/mfa/totp")
        time.passes(UNCONFIRMED_LIFE)
        harness.run_job("purge_expired")
        assert kept(harness, "totp_credential") == 1
        time.passes(timedelta(microseconds=1))
        harness.run_job("purge_expired")
        assert kept(harness, "totp_credential") == 0

    def test_an_old_sign_in_sets_nothing_up(self, person: Person, time: Time) -> None:
        found = guarded(person)
        time.passes(STEP_UP + timedelta(seconds=1))
        found.renew()
        answer = found.call("POST", "/auth/mfa/totp")
        assert (answer.status_code, problem(answer)) == (401, "step-up-required")

    @pytest.mark.usefixtures("time")
    def test_a_session_from_before_the_factor_neither_adds_nor_removes_any(self, person: Person) -> None:
        thief, owner = guarded(person), guarded(person)
        owner.add_app()
        for method, path in (
            ("DELETE", "/auth/mfa/totp"),
            ("POST", "/auth/mfa/totp"),
            ("POST", "/auth/mfa/recovery-codes"),
            ("POST", "/auth/passkeys/registration-options"),
        ):
            answer = thief.call(method, path)
            assert (answer.status_code, problem(answer)) == (401, "step-up-required"), path
            assert answer.headers["WWW-Authenticate"].endswith('acr_values="mfa"')

    def test_the_secret_and_the_codes_stand_nowhere_in_clear(self, harness: Harness, ada: Guarded) -> None:
        with harness.transaction() as tx:
            rows = str(tx.all(text("SELECT secret_sealed FROM auth.totp_credential"))) + str(
                tx.all(text("SELECT code_hash FROM auth.recovery_code"))
            )
        assert ada.secret not in rows
        assert not any(code in rows or code.replace("-", "") in rows for code in ada.recovery_codes)

    @pytest.mark.usefixtures("time")
    def test_no_answer_with_a_secret_is_kept_for_a_repetition(self, harness: Harness, person: Person) -> None:
        found = guarded(person)
        key: Any = {"Idempotency-Key": "a-key-made-up"}
        answer = person.call("POST", "/auth/mfa/totp", None, found.token, **key)
        assert answer.status_code == 200
        assert kept(harness, "idempotency_key") == 0


class TestSignIn:
    def test_the_password_alone_gives_a_challenge_and_the_code_completes_it(self, ada: Guarded) -> None:
        answer = ada.sign_in()
        assert answer.status_code == 401
        document = answer.get_json()
        assert document["code"] == "mfa_required"
        assert problem(answer) == "second-factor-required"
        assert document["methods"] == ["totp", "recovery_code"]
        assert "error=" not in answer.headers["WWW-Authenticate"]
        assert ada.complete(document["challenge"], otp=ada.code()).status_code == 200
        assert claims(ada.token).amr == ("pwd", "otp", "mfa")
        assert ada.call("GET", "/profile").status_code == 200

    def test_password_and_code_may_come_together(self, ada: Guarded) -> None:
        assert ada.sign_in(otp=ada.code()).status_code == 200
        assert claims(ada.token).amr == ("pwd", "otp", "mfa")

    def test_who_has_no_factor_may_send_a_code_without_meaning(self, person: Person) -> None:
        assert Guarded(person).sign_in(otp=WRONG).status_code == 200

    def test_a_wrong_password_with_the_right_code_is_a_wrong_password(self, ada: Guarded) -> None:
        answer = ada.sign_in(password="a wrong password", otp=ada.code())
        assert (answer.status_code, problem(answer)) == (401, "wrong-credentials")
        assert ada.sign_in(otp=ada.code()).status_code == 200, "the code is not spent"

    def test_a_step_counts_once_however_it_is_shown(self, ada: Guarded) -> None:
        code = ada.code()
        assert ada.sign_in(otp=code).status_code == 200
        refused = [ada.sign_in(otp=code), ada.complete(ada.challenge(), otp=code), ada.step_up(password=PASSWORD, otp=code)]
        assert [each.status_code for each in refused] == [401, 401, 403]

    @pytest.mark.usefixtures("time")
    def test_a_step_before_the_newest_is_spent_too(self, ada: Guarded) -> None:
        assert ada.sign_in(otp=ada.code(1)).status_code == 200
        assert ada.sign_in(otp=ada.code(0)).status_code == 401

    @pytest.mark.parametrize(("steps", "status"), [(-2, 401), (-1, 200), (0, 200), (1, 200), (2, 401)])
    def test_a_clock_may_be_one_step_off_either_way(self, steps: int, status: int, person: Person, time: Time) -> None:
        found = guarded(person)
        found.add_app(steps=-1)
        time.passes(3 * STEP)
        assert found.sign_in(otp=found.code(steps)).status_code == status

    def test_of_many_who_show_one_code_at_once_one_gets_in(self, ada: Guarded) -> None:
        code, waiting = ada.code(), [ada.challenge() for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            statuses = sorted(pool.map(lambda challenge: ada.complete(challenge, otp=code).status_code, waiting))
        assert statuses.count(200) == 1
        assert set(statuses[1:]) <= {401, 429}

    def test_a_challenge_opens_one_session(self, ada: Guarded, time: Time) -> None:
        challenge = ada.challenge()
        assert ada.complete(challenge, otp=ada.code()).status_code == 200
        time.passes(STEP)
        again = ada.complete(challenge, otp=ada.code())
        assert (again.status_code, problem(again)) == (401, "sign-in-over")

    def test_a_mistyped_code_may_be_typed_again(self, ada: Guarded) -> None:
        challenge = ada.challenge()
        wrong = ada.complete(challenge, otp=WRONG)
        assert (wrong.status_code, problem(wrong)) == (401, "wrong-second-factor")
        assert ada.complete(challenge, otp=ada.code()).status_code == 200

    def test_a_challenge_holds_for_five_minutes(self, ada: Guarded, time: Time) -> None:
        early, late = ada.challenge(), ada.challenge()
        time.passes(CHALLENGE_LIFE - timedelta(microseconds=1))
        assert ada.complete(early, otp=ada.code()).status_code == 200
        time.passes(timedelta(microseconds=1))
        assert problem(ada.complete(late, otp=ada.code(1))) == "sign-in-over"

    def test_a_new_password_makes_challenges_worthless(self, ada: Guarded) -> None:
        challenge = ada.challenge()
        changed = {"current_password": PASSWORD, "new_password": "another good password"}  # pragma: allowlist secret
        assert ada.call("POST", "/auth/password/change", changed).status_code == 204
        assert problem(ada.complete(challenge, otp=ada.code())) == "sign-in-over"

    @pytest.mark.parametrize("challenge", ["made-up", "x" * 200])
    def test_a_made_up_challenge_opens_nothing(self, challenge: str, ada: Guarded) -> None:
        assert problem(ada.complete(challenge, otp=ada.code())) == "sign-in-over"

    @pytest.mark.parametrize(
        "proof",
        [{}, {"otp": "123456", "recovery_code": "mzxw-6ytb-oi2d-onrq"}, {"otp": "12345"}, {"otp": "١٢٣٤٥٦"}, {"x": "1"}],
    )
    def test_one_factor_well_formed_is_asked_for(self, proof: dict[str, str], ada: Guarded) -> None:
        assert ada.complete(ada.challenge(), **proof).status_code == 422

    def test_a_suspended_account_is_not_opened_by_its_challenge(self, harness: Harness, ada: Guarded) -> None:
        challenge = ada.challenge()
        with harness.transaction() as tx:
            tx.execute(text("UPDATE auth.user_account SET status = 'SUSPENDED'"))
        assert problem(ada.complete(challenge, otp=ada.code())) == "account-suspended"

    def test_challenges_are_forgotten(self, harness: Harness, ada: Guarded, time: Time) -> None:
        ada.challenge()
        time.passes(CHALLENGE_LIFE + timedelta(seconds=1))
        harness.run_job("purge_expired")
        assert kept(harness, "login_challenge") == 0


class TestLockout:
    def test_five_wrong_codes_lock_and_a_right_password_does_not_forget_them(self, ada: Guarded, time: Time) -> None:
        for _ in range(FAILURES_ALLOWED):
            assert ada.complete(ada.challenge(), otp=WRONG).status_code == 401
        locked = ada.complete(ada.challenge(), otp=ada.code())
        assert (locked.status_code, problem(locked)) == (429, "account-locked")
        assert locked.headers["Retry-After"] == str(int(LOCK_DURATION.total_seconds()))
        time.passes(LOCK_DURATION)
        assert ada.complete(ada.challenge(), otp=ada.code()).status_code == 200

    def test_codes_of_every_door_are_counted_together(self, ada: Guarded) -> None:
        ada.sign_in(otp=WRONG)
        ada.complete(ada.challenge(), otp=WRONG)
        ada.complete(ada.challenge(), recovery_code="aaaa-aaaa-aaaa-aaaa")
        ada.step_up(password=PASSWORD, otp=WRONG)
        ada.step_up(password=PASSWORD, recovery_code="aaaa-aaaa-aaaa-aaaa")
        assert ada.sign_in(otp=ada.code()).status_code == 429

    def test_four_wrong_codes_and_a_right_one_open_and_forget(self, ada: Guarded, time: Time) -> None:
        for _ in range(2):
            for _ in range(FAILURES_ALLOWED - 1):
                ada.complete(ada.challenge(), otp=WRONG)
            assert ada.complete(ada.challenge(), otp=ada.code()).status_code == 200
            time.passes(STEP)

    @pytest.mark.usefixtures("time")
    def test_wrong_used_and_malformed_tell_the_same(self, ada: Guarded) -> None:
        used = ada.code()
        ada.sign_in(otp=used)
        told = []
        for proof in ({"otp": WRONG}, {"otp": used}, {"recovery_code": "aaaa-aaaa-aaaa-aaaa"}):
            document = ada.complete(ada.challenge(), **proof).get_json()
            told.append({name: value for name, value in document.items() if name != "request_id"})
        assert told[0] == told[1] == told[2]


class TestRecoveryCodes:
    def test_each_opens_once_and_the_owner_hears_of_it(self, harness: Harness, ada: Guarded) -> None:
        code = ada.recovery_codes[0]
        assert ada.complete(ada.challenge(), recovery_code=code).status_code == 200
        assert ada.complete(ada.challenge(), recovery_code=code).status_code == 401
        notice = ada.person.mails("SECURITY_NOTICE")[-1]
        assert (notice["notice"], notice["codes_left"]) == ("RECOVERY_CODE_USED", str(RECOVERY_CODES - 1))
        assert acts(harness, "recovery_code.use") == [("recovery_code.use", "done")]

    def test_they_are_taken_as_people_type_them(self, ada: Guarded) -> None:
        typed = ada.recovery_codes[0].upper().replace("-", " ")
        assert ada.complete(ada.challenge(), recovery_code=typed).status_code == 200

    def test_when_all_are_used_nobody_is_told_to_use_one(self, ada: Guarded) -> None:
        for code in ada.recovery_codes:
            assert ada.complete(ada.challenge(), recovery_code=code).status_code == 200
        assert ada.sign_in().get_json()["methods"] == ["totp"]

    def test_new_ones_make_the_old_ones_worthless(self, ada: Guarded) -> None:
        old = ada.recovery_codes
        new = ada.call("POST", "/auth/mfa/recovery-codes").get_json()["recovery_codes"]
        assert len(new) == RECOVERY_CODES
        assert not set(new) & set(old)
        assert ada.complete(ada.challenge(), recovery_code=old[0]).status_code == 401
        assert ada.complete(ada.challenge(), recovery_code=new[0]).status_code == 200

    def test_nobody_uses_the_code_of_another(self, harness: Harness, ada: Guarded) -> None:
        other = Person(harness, "grace@example.org")
        other.register()
        other.verify()
        grace = guarded(other)
        grace.add_app()
        assert grace.complete(grace.challenge(), recovery_code=ada.recovery_codes[0]).status_code == 401


class TestReset:
    def test_an_administrator_takes_the_factors_of_another_away(
        self, harness: Harness, ada: Guarded, administrator: Person
    ) -> None:
        admin = guarded(administrator)
        path = f"/admin/users/{claims(ada.token).sub}/second-factor"
        assert admin.call("DELETE", path).status_code == 401, "an administrator shows a second factor for this"
        admin.add_app()
        assert admin.call("DELETE", path).status_code == 204
        assert "SECOND_FACTOR_RESET" in [each.reason for each in revoked(harness)]
        assert ada.sign_in().status_code == 200
        again = admin.call("DELETE", path)
        assert (again.status_code, problem(again)) == (404, "not-enrolled")
        assert acts(harness, "second_factor.reset") == [("second_factor.reset", "done"), ("second_factor.reset", "refused")]
        assert harness.client(Role.VIEWER).delete(f"/api/v1{path}").status_code == 403

    def test_nobody_takes_their_own_factors_away_as_an_administrator(self, harness: Harness, administrator: Person) -> None:
        admin = guarded(administrator)
        admin.add_app()
        answer = admin.call("DELETE", f"/admin/users/{claims(admin.token).sub}/second-factor")
        assert (answer.status_code, problem(answer)) == (403, "own-factors")
        assert admin.call("GET", "/auth/mfa").get_json()["totp"]
        assert acts(harness, "second_factor.reset") == [("second_factor.reset", "refused")]

    def test_the_operator_does_it_for_the_last_administrator(
        self, harness: Harness, ada: Guarded, capsys: pytest.CaptureFixture[str]
    ) -> None:
        codes = [
            factors_command(harness.assembled, ["reset", email])
            for email in ("Ada@example.org", "ada@example.org", "x", "no@one.org")
        ]
        assert codes == [DONE, REFUSED, USAGE, REFUSED]
        said = capsys.readouterr()
        assert "ada@example.org are gone" in said.out
        assert "no second factor" in said.err
        assert ada.sign_in().status_code == 200


def kept(harness: Harness, table: str) -> int:
    """Rows of a table."""
    with harness.transaction() as tx:
        return int(tx.scalar(text(f"SELECT count(*) FROM auth.{table}")))  # noqa: S608  a name of this file's own
