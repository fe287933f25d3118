"""People are told of a sign-in on a new device, and once of an account that they left."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from libs.common.config import ConfigurationError, load
from libs.common.testing import Harness
from services.auth.domain.accounts import DORMANT_DAYS_DEFAULT, DORMANT_DAYS_MAXIMUM, DORMANT_DAYS_MINIMUM
from services.auth.settings import Settings
from services.auth.tests.conftest import PASSWORD, Person, Time
from services.auth.tests.test_settings import COMPLETE

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAFARI = "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_0) AppleWebKit/605.1 Version/18.0 Safari/605.1"


def sign_in(person: Person, user_agent: str) -> None:
    body = {"email": person.email, "password": PASSWORD}
    assert person.call("POST", "/auth/login", body, **{"User-Agent": user_agent}).status_code == 200


def notices(person: Person) -> list[tuple[str, str | None]]:
    return [(each["notice"], each.get("device")) for each in person.mails("SECURITY_NOTICE")]


def test_the_first_device_is_no_news_and_every_other_kind_is(person: Person) -> None:
    for user_agent in (FIREFOX, FIREFOX, SAFARI, FIREFOX, SAFARI):
        sign_in(person, user_agent)
    assert notices(person) == [("NEW_SIGN_IN", "Safari on macOS")]


def test_a_device_whose_session_ended_is_known_still(person: Person) -> None:
    sign_in(person, FIREFOX)
    sign_in(person, SAFARI)
    person.post("/auth/logout-all", token=person.signed_in()["access_token"])
    before = len(notices(person))
    sign_in(person, SAFARI)
    assert len(notices(person)) == before


YEAR = timedelta(days=DORMANT_DAYS_DEFAULT)


def test_an_account_into_which_nobody_signed_in_for_a_year_is_told_so_once(
    harness: Harness, person: Person, time: Time
) -> None:
    sign_in(person, FIREFOX)
    time.passes(YEAR - timedelta(microseconds=1))
    assert harness.run_job("tell_dormant") == 0
    time.passes(timedelta(microseconds=1))
    assert [harness.run_job("tell_dormant") for _ in range(2)] == [1, 0]
    assert notices(person) == [("DORMANT_ACCOUNT", None)]
    assert person.mails("SECURITY_NOTICE")[0]["days"] == str(DORMANT_DAYS_DEFAULT)


def test_who_signed_in_since_is_told_again_after_another_year(harness: Harness, person: Person, time: Time) -> None:
    time.passes(YEAR + timedelta(seconds=1))
    assert harness.run_job("tell_dormant") == 1
    sign_in(person, FIREFOX)
    assert harness.run_job("tell_dormant") == 0
    time.passes(YEAR)
    assert harness.run_job("tell_dormant") == 1


def test_who_never_confirmed_their_address_or_is_suspended_is_told_nothing(
    harness: Harness, person: Person, time: Time
) -> None:
    Person(harness, "grace@example.org").register()
    with harness.transaction() as tx:
        tx.execute(text("UPDATE auth.user_account SET status = 'SUSPENDED' WHERE id = :id"), {"id": person.id})
    time.passes(2 * YEAR)
    assert harness.run_job("tell_dormant") == 0


@pytest.mark.parametrize("days", [DORMANT_DAYS_MINIMUM - 1, DORMANT_DAYS_MAXIMUM + 1])
def test_the_operator_says_after_how_many_days(days: int) -> None:
    for taken in (DORMANT_DAYS_MINIMUM, DORMANT_DAYS_MAXIMUM):
        assert load(Settings, {**COMPLETE, "DORMANT_DAYS": str(taken)}).dormant_days == taken
    with pytest.raises(ConfigurationError, match="DORMANT_DAYS"):
        load(Settings, {**COMPLETE, "DORMANT_DAYS": str(days)})
