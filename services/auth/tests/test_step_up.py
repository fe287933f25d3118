"""Authenticate again within a session; and administrators, who have no choice in production."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from libs.common.testing import Harness
from services.auth.domain.factors import Required
from services.auth.domain.lockout import FAILURES_ALLOWED
from services.auth.domain.sessions import REPEAT_WINDOW
from services.auth.tests.conftest import PASSWORD, Person, Time
from services.auth.tests.factors import Guarded, guarded
from services.auth.tests.test_second_factor import WRONG, acts, claims, problem
from services.auth.tests.test_sessions import live_tokens, revoked

STEP_UP = timedelta(minutes=15, seconds=1)


@pytest.fixture
def ada(person: Person, time: Time) -> Guarded:
    """Somebody with an app and a passkey, whose sign-in has grown old."""
    found = guarded(person)
    assert found.add_app().status_code == 200
    assert found.add_passkey().status_code == 201
    time.passes(STEP_UP)
    found.renew()
    return found


def test_without_a_second_factor_the_password_is_enough(person: Person, time: Time) -> None:
    found = guarded(person)
    before = found.tokens
    time.passes(STEP_UP)
    found.renew()
    assert found.call("POST", "/auth/mfa/totp").status_code == 401
    assert found.step_up(password=PASSWORD).status_code == 200
    assert found.tokens["session_id"] == before["session_id"]
    assert claims(found.token).auth_time == int(time.instant.timestamp())
    assert claims(found.token).amr == ("pwd",)
    assert found.call("POST", "/auth/mfa/totp").status_code == 200


def test_the_session_keeps_its_beginning_and_its_tokens_say_when_it_was_renewed(ada: Guarded, time: Time) -> None:
    begun = ada.call("GET", "/auth/sessions").get_json()["items"][0]["created_at"]
    assert ada.step_up(passkey=ada.assertion()).status_code == 200
    ada.renew()
    assert claims(ada.token).auth_time == int(time.instant.timestamp())
    assert ada.call("GET", "/auth/sessions").get_json()["items"][0]["created_at"] == begun


def test_who_has_a_second_factor_shows_it(ada: Guarded) -> None:
    assert ada.call("DELETE", "/auth/mfa/totp").status_code == 401
    refused = ada.step_up(password=PASSWORD)
    assert (refused.status_code, problem(refused)) == (403, "step-up-refused")
    assert refused.get_json()["code"] == "mfa_required"
    assert refused.get_json()["methods"] == ["passkey", "totp", "recovery_code"]
    assert ada.step_up(password=PASSWORD, otp=ada.code()).status_code == 200
    assert claims(ada.token).amr == ("pwd", "otp", "mfa")
    assert ada.call("DELETE", "/auth/mfa/totp").status_code == 204


def test_a_passkey_is_enough_alone_and_a_recovery_code_with_the_password(ada: Guarded) -> None:
    assert ada.step_up(passkey=ada.assertion()).status_code == 200
    assert claims(ada.token).amr == ("hwk", "user", "mfa")
    assert ada.step_up(password=PASSWORD, recovery_code=ada.recovery_codes[0]).status_code == 200
    assert ada.step_up(recovery_code=ada.recovery_codes[1]).status_code == 422
    assert ada.step_up(otp=ada.code()).status_code == 422


def test_a_wrong_password_or_code_renews_nothing_and_counts(harness: Harness, ada: Guarded) -> None:
    age = claims(ada.token).auth_time
    assert ada.step_up(password="a wrong password", otp=ada.code()).status_code == 403
    assert ada.step_up(password=PASSWORD, otp=WRONG).status_code == 403
    ada.renew()
    assert claims(ada.token).auth_time == age
    for _ in range(FAILURES_ALLOWED):
        ada.step_up(password="a wrong password")
    assert ada.step_up(password=PASSWORD, otp=ada.code()).status_code == 429
    assert ada.step_up(passkey=ada.assertion()).status_code == 200
    assert acts(harness, "session.step_up")[-1] == ("session.step_up", "done")


def test_the_refresh_token_of_before_is_spent(harness: Harness, ada: Guarded, time: Time) -> None:
    before = ada.tokens["refresh_token"]
    assert ada.step_up(passkey=ada.assertion()).status_code == 200
    assert live_tokens(harness) == 1
    assert ada.person.refresh(before).status_code == 401
    assert revoked(harness) == [], "an answer that was lost is no theft"
    time.passes(REPEAT_WINDOW + timedelta(microseconds=1))
    assert ada.person.refresh(before).status_code == 401
    assert [each.reason for each in revoked(harness)] == ["REFRESH_TOKEN_REUSED"]
    assert ada.person.refresh(ada.tokens["refresh_token"]).status_code == 401


@pytest.mark.parametrize("column", ["client_id = 'another'", "key_thumbprint = 'of a key'"])
def test_sessions_of_other_clients_or_keys_step_up_elsewhere(column: str, harness: Harness, ada: Guarded) -> None:
    with harness.transaction() as tx:
        tx.execute(text(f"UPDATE auth.session SET {column}"))  # noqa: S608  one of two texts above
    answer = ada.step_up(passkey=ada.assertion())
    assert (answer.status_code, problem(answer)) == (403, "foreign-session")


def test_a_session_that_ended_steps_up_no_more(ada: Guarded) -> None:
    ada.call("POST", "/auth/logout-all")
    answer = ada.step_up(passkey=ada.assertion())
    assert (answer.status_code, problem(answer)) == (404, "unknown-session")


class TestAdministratorsInProduction:
    @pytest.fixture
    def admin(self, administrator: Person, harness: Harness, time: Time) -> Iterator[Guarded]:  # noqa: ARG002  it stands still
        """An administrator where the platform is in production."""
        required = harness.resources[Required]
        object.__setattr__(required, "of_administrators", True)
        yield guarded(administrator)
        object.__setattr__(required, "of_administrators", False)

    def test_without_a_second_factor_the_role_is_withheld(self, admin: Guarded) -> None:
        assert claims(admin.token).roles == ""
        assert admin.call("GET", "/auth/mfa").get_json()["required"] is True
        for method, path in (("GET", "/admin/users"), ("GET", "/profile"), ("GET", "/auth/sessions")):
            answer = admin.call(method, path)
            assert (answer.status_code, problem(answer)) == (403, "role-withheld"), path

    def test_what_remains_is_to_set_one_up_and_to_leave(self, admin: Guarded) -> None:
        assert admin.add_app().status_code == 200
        assert claims(admin.token).roles == "ADMIN"
        assert admin.call("GET", "/admin/users").status_code == 200
        other = Guarded(admin.person)
        assert other.sign_in(otp=admin.code()).status_code == 200
        assert claims(other.token).roles == "ADMIN"
        assert other.call("POST", "/auth/logout").status_code == 204

    def test_a_passkey_will_do(self, admin: Guarded) -> None:
        assert admin.add_passkey().status_code == 201
        assert admin.sign_in_by_passkey().status_code == 200
        assert claims(admin.token).roles == "ADMIN"

    @pytest.mark.usefixtures("time")
    def test_the_last_factor_stays(self, admin: Guarded) -> None:
        admin.add_app()
        refused = admin.call("DELETE", "/auth/mfa/totp")
        assert (refused.status_code, problem(refused)) == (409, "last-factor")
        passkey = admin.add_passkey().get_json()["id"]
        assert admin.call("DELETE", "/auth/mfa/totp").status_code == 204
        assert problem(admin.call("DELETE", f"/auth/passkeys/{passkey}")) == "last-factor"

    @pytest.mark.usefixtures("admin")
    def test_others_choose_for_themselves(self, person: Person) -> None:
        assert claims(guarded(person).token).roles == "CONTRIBUTOR"
