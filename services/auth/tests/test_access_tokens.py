"""Personal access tokens: what a program gets instead of a password, and how it is taken away again."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as some
from sqlalchemy import text
from werkzeug.test import TestResponse

from libs.common import clock
from libs.common.auth.policy import Scope, Subject
from libs.common.auth.tokens import TokenVerifier
from libs.common.testing import Harness
from services.auth.domain.access_tokens import (
    LIFE_MAXIMUM,
    PREFIX,
    SCOPES,
    TOKEN_LENGTH,
    TOKENS_MAXIMUM,
    new_token,
    well_formed,
)
from services.auth.tests.conftest import PASSWORD, Person, Time

WEEK = timedelta(days=7)
PARALLEL = 6


def create(person: Person, token: str, **members: Any) -> TestResponse:
    body = {
        "name": "Render machine",
        "scopes": ["tasks:read", "media:write"],
        "expires_at": (clock.now() + WEEK).isoformat(),
        **members,
    }
    return person.post("/auth/access-tokens", body, token)


def created(person: Person, token: str | None = None) -> dict[str, Any]:
    answer = create(person, token or person.signed_in()["access_token"])
    assert answer.status_code == 201, answer.get_data(as_text=True)
    document: dict[str, Any] = answer.get_json()
    return document


def exchange(person: Person, token: str) -> TestResponse:
    return person.post("/auth/access-tokens/exchange", {"token": token})


def verified(harness: Harness, token: str) -> Subject:
    assembled = harness.assembled
    origin, audience = harness.settings.lumiere_origin, harness.settings.audience
    return TokenVerifier(origin, audience, assembled.keys, assembled.revocations).verify(token)


def listed(person: Person, token: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = person.call("GET", "/auth/access-tokens", token=token).get_json()["items"]
    return items


class TestSpelling:
    def test_secret_scanners_recognise_a_token(self) -> None:
        assert re.fullmatch(r"lumiere_pat_[a-z2-7]{58}", new_token())
        assert well_formed(new_token())

    @given(some.integers(len(PREFIX), TOKEN_LENGTH - 1), some.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
    @settings(max_examples=100)
    def test_one_wrong_letter_is_noticed_without_asking_a_table(self, place: int, letter: str) -> None:
        token = new_token()
        changed = token[:place] + letter + token[place + 1 :]
        assert well_formed(changed) == (changed == token)

    @pytest.mark.parametrize("change", [str.upper, lambda each: each[:-1], lambda each: each + "a", lambda each: each[12:]])
    def test_another_shape_is_no_token(self, change: Callable[[str], str]) -> None:
        assert not well_formed(change(new_token()))


class TestMaking:
    def test_a_token_is_shown_once_and_kept_as_a_hash(self, harness: Harness, person: Person) -> None:
        token = person.signed_in()["access_token"]
        made = created(person, token)
        assert made["scopes"] == ["media:write", "tasks:read"]
        assert "token" not in listed(person, token)[0]
        with harness.transaction() as tx:
            assert made["token"] not in str(tx.all(text("SELECT * FROM auth.personal_access_token")))
        assert [each["name"] for each in person.mails("SECURITY_NOTICE")] == ["Render machine"]

    @pytest.mark.parametrize(
        "members",
        [
            {"scopes": []},
            {"scopes": ["tasks:read", "tasks:read"]},
            {"scopes": ["openid"]},
            {"scopes": ["offline_access"]},
            {"scopes": ["everything"]},
            {"name": ""},
            {"name": " padded "},
            {"name": "x" * 101},
            {"name": "two\nlines"},
            {"expires_at": "2020-01-01T00:00:00Z"},
            {"expires_at": "2027-01-01T00:00:00"},
            {"expires_at": None},
        ],
    )
    def test_what_no_token_can_be_for_is_refused(self, person: Person, members: dict[str, Any]) -> None:
        assert create(person, person.signed_in()["access_token"], **members).status_code == 422

    def test_a_token_lasts_a_year_at_most(self, person: Person, time: Time) -> None:
        token = person.signed_in()["access_token"]
        longest = time.instant + LIFE_MAXIMUM
        assert create(person, token, expires_at=longest.isoformat()).status_code == 201
        assert create(person, token, expires_at=(longest + timedelta(seconds=1)).isoformat()).status_code == 422
        assert create(person, token, expires_at=time.instant.isoformat()).status_code == 422
        assert create(person, token, name="x" * 100, scopes=list(SCOPES)).status_code == 201

    def test_who_signed_in_long_ago_makes_none(self, person: Person, time: Time) -> None:
        tokens = person.signed_in()
        time.passes(timedelta(minutes=16))
        renewed = person.refresh(tokens["refresh_token"]).get_json()["access_token"]
        assert create(person, renewed).status_code == 401

    def test_nobody_has_more_than_twenty_however_fast_they_ask(self, person: Person) -> None:
        token = person.signed_in()["access_token"]
        for _ in range(TOKENS_MAXIMUM - 1):
            created(person, token)
        with ThreadPoolExecutor(PARALLEL) as pool:
            statuses = sorted(pool.map(lambda _: create(person, token).status_code, range(PARALLEL)))
        assert statuses == [201] + [409] * (PARALLEL - 1)
        assert len(listed(person, token)) == TOKENS_MAXIMUM


class TestExchanging:
    def test_what_comes_of_it_is_for_its_scopes_alone(self, harness: Harness, person: Person) -> None:
        made = created(person)
        answer = exchange(person, made["token"])
        assert answer.status_code == 200
        document = answer.get_json()
        assert (document["expires_in"], document["scope"]) == (900, "media:write tasks:read")
        assert "refresh_token" not in document
        subject = verified(harness, document["access_token"])
        assert subject.scopes == frozenset[str]({Scope.TASKS_READ, Scope.MEDIA_WRITE})
        assert (str(subject.id), str(subject.session_id)) == (person.id, made["id"])
        refused = person.call("GET", "/auth/access-tokens", token=document["access_token"])
        assert (refused.status_code, refused.get_json()["type"].rsplit("/")[-1]) == (403, "scope-required")

    def test_the_day_of_its_use_is_kept(self, person: Person, time: Time) -> None:
        token = person.signed_in()["access_token"]
        made = created(person, token)
        assert listed(person, token)[0]["last_used_on"] is None
        exchange(person, made["token"])
        assert listed(person, token)[0]["last_used_on"] == time.instant.date().isoformat()

    def test_what_it_is_exchanged_for_is_no_fresher_than_the_sign_in_that_made_it(
        self, harness: Harness, person: Person, time: Time
    ) -> None:
        made = created(person)
        time.passes(WEEK - timedelta(seconds=1))
        subject = verified(harness, exchange(person, made["token"]).get_json()["access_token"])
        assert clock.now() - subject.authenticated_at > timedelta(days=6)
        time.passes(timedelta(seconds=1))
        assert exchange(person, made["token"]).status_code == 401

    def test_a_made_up_token_is_refused_and_the_log_does_not_show_it(self, person: Person) -> None:
        for token in ("x", new_token()):
            with structlog.testing.capture_logs() as captured:
                assert exchange(person, token).status_code == 401
            assert token not in str([each for each in captured if each["event"] == "auth.access_token.refused"])
            assert any(each["event"] == "auth.access_token.refused" for each in captured)


class TestRevoking:
    def dies(self, person: Person, made: dict[str, Any], exchanged: str, synchronise: Callable[[], None]) -> None:
        synchronise()
        assert exchange(person, made["token"]).status_code == 401
        assert person.call("GET", "/auth/access-tokens", token=exchanged).status_code == 401

    def test_its_owner_revokes_it_and_what_it_was_exchanged_for_dies(
        self, person: Person, synchronise: Callable[[], None]
    ) -> None:
        token = person.signed_in()["access_token"]
        made = created(person, token)
        exchanged = exchange(person, made["token"]).get_json()["access_token"]
        assert person.call("DELETE", f"/auth/access-tokens/{made['id']}", token=token).status_code == 204
        assert person.call("DELETE", f"/auth/access-tokens/{made['id']}", token=token).status_code == 404
        self.dies(person, made, exchanged, synchronise)
        assert listed(person, token) == []

    def test_nobody_revokes_a_token_of_another(self, harness: Harness, person: Person) -> None:
        made = created(person)
        other = Person(harness, "grace@example.org")
        other.register()
        other.verify()
        theirs = other.signed_in()["access_token"]
        for token_id in (made["id"], str(uuid4())):
            assert other.call("DELETE", f"/auth/access-tokens/{token_id}", token=theirs).status_code == 404
        assert exchange(person, made["token"]).status_code == 200

    @pytest.mark.parametrize("change", [{"status": "SUSPENDED"}, {"role": "ARTIST"}])
    def test_a_suspension_or_another_role_revokes_it_for_good(
        self, person: Person, administrator: Person, change: dict[str, str], synchronise: Callable[[], None]
    ) -> None:
        user_id, made = person.id, created(person)
        exchanged = exchange(person, made["token"]).get_json()["access_token"]
        by = administrator.signed_in()["access_token"]
        assert administrator.call("PATCH", f"/admin/users/{user_id}", change, by).status_code == 200
        self.dies(person, made, exchanged, synchronise)
        administrator.call("PATCH", f"/admin/users/{user_id}", {"status": "ACTIVE"}, by)
        assert exchange(person, made["token"]).status_code == 401

    def test_a_new_password_revokes_it_and_logging_out_does_not(self, person: Person, synchronise: Callable[[], None]) -> None:
        made = created(person)
        assert person.post("/auth/logout-all", token=person.signed_in()["access_token"]).status_code == 204
        exchanged = exchange(person, made["token"]).get_json()["access_token"]
        body = {"current_password": PASSWORD, "new_password": "a better password than that"}
        assert person.post("/auth/password/change", body, person.signed_in()["access_token"]).status_code == 204
        self.dies(person, made, exchanged, synchronise)

    def test_none_is_exchanged_while_its_owner_is_being_suspended(
        self, person: Person, administrator: Person, synchronise: Callable[[], None]
    ) -> None:
        user_id, made = person.id, created(person)
        by = administrator.signed_in()["access_token"]
        with ThreadPoolExecutor(PARALLEL) as pool:
            exchanges = [pool.submit(exchange, person, made["token"]) for _ in range(PARALLEL - 1)]
            suspension = administrator.call("PATCH", f"/admin/users/{user_id}", {"status": "SUSPENDED"}, by)
            answers = [each.result() for each in exchanges]
        assert suspension.status_code == 200
        synchronise()
        for each in answers:
            if each.status_code == 200:
                alive = person.call("GET", "/auth/access-tokens", token=each.get_json()["access_token"])
                assert alive.status_code == 401

    def test_what_is_over_is_forgotten(self, harness: Harness, person: Person, time: Time) -> None:
        created(person)
        time.passes(WEEK + timedelta(minutes=17))
        harness.run_job("purge_expired")
        with harness.transaction() as tx:
            assert tx.scalar(text("SELECT count(*) FROM auth.personal_access_token")) == 0
