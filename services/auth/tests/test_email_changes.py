"""An address takes another's place when the owners of both confirm it, and not before."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from libs.common.testing import Harness
from services.auth.domain.email_changes import RECENT_SIGN_IN
from services.auth.domain.lockout import FAILURES_ALLOWED
from services.auth.domain.tokens import EMAIL_CHANGE_LIFE, MAIL_WINDOWS, MAILS_ALLOWED, Template
from services.auth.events import UserEmailChanged
from services.auth.tests.conftest import PASSWORD, Person, Time
from services.auth.tests.test_accounts import held_up
from services.auth.tests.test_enumeration import observed

NEW = "ada@new.example.org"
BETTER = f"{PASSWORD}, and better"
PARALLEL = 6


def change(person: Person, token: str, new: str = NEW, **members: Any) -> Any:
    return person.post("/auth/email/change", {"new_email": new, **members}, token)


def confirm(person: Person, token: str) -> Any:
    return person.post("/auth/email/confirm", {"token": token})


def cancel(person: Person, token: str) -> int:
    return person.post("/auth/email/cancel", {"token": token}).status_code


@pytest.fixture
def new(harness: Harness) -> Person:
    """The same person at the address to come."""
    return Person(harness, NEW)


@pytest.fixture
def tokens(person: Person, new: Person) -> tuple[str, str]:
    """What was mailed to the present and to the new address after the change was asked for."""
    assert change(person, person.signed_in()["access_token"]).status_code == 202
    return person.mails("CHANGE_EMAIL")[-1]["token"], new.mails("CONFIRM_NEW_EMAIL")[-1]["token"]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_nothing_changes_before_both_have_confirmed_and_then_everybody_learns_of_it(
    harness: Harness, person: Person, new: Person, tokens: tuple[str, str], order: tuple[int, int]
) -> None:
    first = confirm(person, tokens[order[0]])
    assert (first.status_code, first.get_json()) == (200, {"state": "WAITING"})
    assert new.login().status_code == 401
    assert person.login().status_code == 200
    assert harness.published("auth.user.email_changed") == []

    assert confirm(person, tokens[order[1]]).get_json() == {"state": "CHANGED"}

    assert person.login().status_code == 401
    assert new.login().status_code == 200
    (fact,) = harness.published("auth.user.email_changed")
    assert fact.event(UserEmailChanged).email.open(harness.keyring) == NEW
    assert [each["notice"] for each in person.mails("SECURITY_NOTICE")] == ["EMAIL_CHANGED"]
    with harness.transaction() as tx:
        acts = tx.all(text("SELECT action FROM auth.audit_record WHERE action LIKE 'email.%' ORDER BY id"))
    assert [row.action for row in acts] == ["email.propose_change", "email.change"]


def test_each_link_counts_once(person: Person, tokens: tuple[str, str]) -> None:
    for token in tokens[:1] * 2:
        last = confirm(person, token)
    assert last.status_code == 400
    assert confirm(person, tokens[1]).status_code == 200
    assert [confirm(person, token).status_code for token in tokens] == [400, 400]


def test_of_many_clicks_on_both_links_at_once_one_makes_the_change(
    harness: Harness, person: Person, tokens: tuple[str, str]
) -> None:
    with ThreadPoolExecutor(PARALLEL) as pool:
        statuses = sorted(pool.map(lambda token: confirm(person, token).status_code, tokens * (PARALLEL // 2)))
    assert statuses == [200, 200] + [400] * (PARALLEL - 2)
    assert len(harness.published("auth.user.email_changed")) == 1


def test_the_present_address_can_stop_it_even_after_it_confirmed(person: Person, tokens: tuple[str, str]) -> None:
    old_token, new_token = tokens
    assert confirm(person, old_token).status_code == 200
    assert cancel(person, new_token) == 400
    assert cancel(person, old_token) == 204
    assert cancel(person, old_token) == 400
    assert confirm(person, new_token).status_code == 400
    assert person.login().status_code == 200


def test_the_links_hold_for_a_day_and_no_longer(person: Person, new: Person, time: Time) -> None:
    for wait, status in ((EMAIL_CHANGE_LIFE - timedelta(microseconds=1), 200), (EMAIL_CHANGE_LIFE, 400)):
        change(person, person.signed_in()["access_token"])
        old_token, new_token = person.mails("CHANGE_EMAIL")[-1]["token"], new.mails("CONFIRM_NEW_EMAIL")[-1]["token"]
        time.passes(wait)
        assert confirm(person, new_token).status_code == status
        assert cancel(person, old_token) == (204 if status == 200 else 400)


def test_another_request_takes_the_place_of_the_one_before(person: Person, new: Person, tokens: tuple[str, str]) -> None:
    change(person, person.signed_in()["access_token"], "ada@other.example.org")
    assert [confirm(person, token).status_code for token in tokens] == [400, 400]


def test_a_new_password_stops_a_change_that_waits(person: Person, tokens: tuple[str, str]) -> None:
    body = {"current_password": PASSWORD, "new_password": BETTER}
    assert person.post("/auth/password/change", body, person.signed_in()["access_token"]).status_code == 204
    assert [confirm(person, token).status_code for token in tokens] == [400, 400]


def test_links_mailed_to_the_address_before_are_worthless_after_the_change(person: Person, tokens: tuple[str, str]) -> None:
    person.post("/auth/password/forgot", {"email": person.email})
    person.harness.run_job("mail_links")
    reset = person.mails("RESET_PASSWORD")[-1]["token"]
    for token in tokens:
        confirm(person, token)
    assert person.post("/auth/password/reset", {"token": reset, "password": PASSWORD[1:]}).status_code == 400


def test_no_link_is_mailed_to_the_address_before_while_the_change_is_made(
    harness: Harness, person: Person, tokens: tuple[str, str]
) -> None:
    assert confirm(person, tokens[0]).status_code == 200
    person.post("/auth/password/forgot", {"email": person.email})
    acts = lambda: confirm(person, tokens[1]).status_code, lambda: harness.run_job("mail_links")
    assert held_up(harness, *acts) == [200, 1]
    assert person.mails("RESET_PASSWORD") == []


def test_an_address_that_has_an_account_is_answered_alike_and_its_owner_is_told(harness: Harness, person: Person) -> None:
    grace = Person(harness, "grace@example.org")
    grace.register(display_name="Grace Hopper")
    grace.verify()
    token = person.signed_in()["access_token"]
    taken, free = change(person, token, grace.email), change(person, token)
    assert (taken.status_code, taken.get_data()) == (free.status_code, free.get_data()) == (202, free.get_data())
    assert grace.mails("CONFIRM_NEW_EMAIL") == []
    assert grace.mails("ADDRESS_IN_USE")[-1]["display_name"] == "Grace Hopper"


def test_an_address_taken_meanwhile_stays_with_who_took_it(harness: Harness, new: Person, tokens: tuple[str, str]) -> None:
    new.register()
    assert confirm(new, tokens[0]).status_code == 200
    answer = confirm(new, tokens[1])
    assert answer.status_code == 409
    assert answer.get_json()["type"].endswith("/address-taken")
    assert harness.published("auth.user.email_changed") == []


def test_the_same_address_is_no_change(person: Person) -> None:
    answer = change(person, person.signed_in()["access_token"], "ADA@example.org")
    assert answer.status_code == 409
    assert person.mails("CHANGE_EMAIL") == []


def test_it_takes_the_password_or_a_recent_sign_in(harness: Harness, person: Person, time: Time) -> None:
    tokens = person.signed_in()
    time.passes(RECENT_SIGN_IN - timedelta(seconds=1))
    tokens = person.refresh(tokens["refresh_token"]).get_json()
    assert change(person, tokens["access_token"]).status_code == 202
    time.passes(timedelta(seconds=1))
    old = change(person, tokens["access_token"])
    assert old.status_code == 401
    assert 'error="insufficient_user_authentication"' in old.headers["WWW-Authenticate"]
    assert f'max_age="{int(RECENT_SIGN_IN.total_seconds())}"' in old.headers["WWW-Authenticate"]
    assert change(person, tokens["access_token"], current_password=PASSWORD).status_code == 202
    assert change(person, tokens["access_token"], current_password=PASSWORD[1:]).status_code == 403


def test_wrong_passwords_lock_the_session_that_gave_them(person: Person) -> None:
    token = person.signed_in()["access_token"]
    for _ in range(FAILURES_ALLOWED):
        assert change(person, token, current_password=PASSWORD[1:]).status_code == 403
        person.take_time()
    assert change(person, token, current_password=PASSWORD).status_code == 429
    assert person.login().status_code == 200


def test_nobody_is_flooded(person: Person, new: Person, time: Time) -> None:
    statuses = [change(person, person.signed_in()["access_token"]).status_code for _ in range(MAILS_ALLOWED + 1)]
    assert statuses == [202] * MAILS_ALLOWED + [429]
    assert len(person.mails("CHANGE_EMAIL")) == len(new.mails("CONFIRM_NEW_EMAIL")) == MAILS_ALLOWED
    time.passes(MAIL_WINDOWS[Template.CHANGE_EMAIL])
    assert change(person, person.signed_in()["access_token"]).status_code == 202


def test_whose_address_is_in_use_is_not_flooded_by_several_accounts_and_the_work_tells_nothing(
    harness: Harness, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    grace, others = Person(harness, "grace@example.org"), [Person(harness, f"other{number}@example.org") for number in range(2)]
    for each in (grace, *others):
        each.register()
        each.verify()
    for each in (person, others[0]):
        token = each.signed_in()["access_token"]
        for _ in range(MAILS_ALLOWED - 1):
            assert change(each, token, grace.email).status_code == 202
    assert len(grace.mails("ADDRESS_IN_USE")) == MAILS_ALLOWED
    work = []
    token = others[1].signed_in()["access_token"]
    for new in ("nobody@example.org", person.email):
        with observed(monkeypatch) as seen:
            assert change(others[1], token, new).status_code == 202
        work.append(seen.statements)
    assert work[0] == work[1]


@pytest.mark.parametrize("purpose", ["verify", "reset"])
def test_a_token_for_this_is_good_for_nothing_else(person: Person, tokens: tuple[str, str], purpose: str) -> None:
    for token in tokens:
        if purpose == "verify":
            assert person.post("/auth/verify-email", {"token": token}).status_code == 400
        else:
            body = {"token": token, "password": BETTER}
            assert person.post("/auth/password/reset", body).status_code == 400


def test_somebody_suspended_meanwhile_changes_nothing(harness: Harness, person: Person, tokens: tuple[str, str]) -> None:
    with harness.transaction() as tx:
        tx.execute(text("UPDATE auth.user_account SET status = 'SUSPENDED'"))
    assert confirm(person, tokens[0]).status_code == 400


def test_neither_the_new_address_nor_a_token_stands_in_a_table_in_clear(harness: Harness, tokens: tuple[str, str]) -> None:
    with harness.transaction() as tx:
        row = tx.scalar(text("SELECT row_to_json(t)::text FROM auth.email_change t"))
    assert NEW not in bytes.fromhex(row.split('new_address_sealed":"\\\\x')[1].split('"')[0]).decode("latin-1")
    assert not [token for token in tokens if token in row]


def test_what_ran_out_is_deleted(harness: Harness, tokens: tuple[str, str], time: Time) -> None:
    assert tokens
    time.passes(EMAIL_CHANGE_LIFE + timedelta(seconds=1))
    harness.run_job("purge_expired")
    with harness.transaction() as tx:
        assert tx.scalar(text("SELECT count(*) FROM auth.email_change")) == 0
