"""Profiles with skills, languages and a wallet; checks of people; and the history of an account."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from sqlalchemy import text
from werkzeug.test import TestResponse

from libs.common.testing import Harness
from services.auth.domain.kyc import DECIDED, KYC_LIFE_MAXIMUM, TRANSITIONS, Check, KycStatus, check_fault, refuse_check
from services.auth.domain.profiles import LANGUAGES_MAXIMUM, Skill, language, wallet_address
from services.auth.events import KycUpdated
from services.auth.routes.accounts import STEP_UP_SECONDS
from services.auth.tests.conftest import Person, Time

# https://eips.ethereum.org/EIPS/eip-55, "Test Cases"
EIP_55 = (
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
    "0xde709f2102306220921060314715629080e2fb77",
    "0x27b1fdb04752bbc536007a920d24acb045561c26",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
)
NINE = ["fr", "en", "de", "es", "it", "pt-BR", "zh-Hant", "ja", "he"]


class TestWalletAddresses:
    @pytest.mark.parametrize("address", EIP_55)
    def test_the_standards_own_examples_hold_in_any_one_case(self, address: str) -> None:
        digits = address[2:]
        for written in (address, "0x" + digits.lower(), "0x" + digits.upper()):
            assert wallet_address(written) == address

    @given(some.integers(2, 41))
    @settings(max_examples=40)
    def test_one_letter_in_the_other_case_is_noticed(self, place: int) -> None:
        address = EIP_55[4]
        changed = address[:place] + address[place].swapcase() + address[place + 1 :]
        if changed == address:
            assert wallet_address(changed) == address
        else:
            with pytest.raises(ValueError, match="checksum"):
                wallet_address(changed)

    @pytest.mark.parametrize(
        "address",
        ["", "0x", EIP_55[4][2:], EIP_55[4][:-1], EIP_55[4] + "0", "0X" + EIP_55[4][2:], "0x" + "g" * 40, "0x" + "０" * 40],
    )
    def test_what_is_no_address_is_refused(self, address: str) -> None:
        with pytest.raises(ValueError, match="40 hexadecimal digits"):
            wallet_address(address)

    def test_nobody_is_paid_to_the_zero_address(self) -> None:
        with pytest.raises(ValueError, match="zero address"):
            wallet_address("0x" + "0" * 40)


class TestLanguages:
    @pytest.mark.parametrize(("tag", "spelled"), [("FR", "fr"), ("pt_br", "pt-BR"), ("ZH-hant-tw", "zh-Hant-TW"), ("iw", "he")])
    def test_a_tag_has_one_spelling(self, tag: str, spelled: str) -> None:
        assert language(tag) == spelled

    @pytest.mark.parametrize(
        "tag", ["", "french", "xx", "und", "x-home", "en-x-home", "en-u-ca-gregory", "de-1996", "fr-", "é", "a" * 36, "en-ZZZ"]
    )
    def test_what_is_no_plain_language_is_refused(self, tag: str) -> None:
        with pytest.raises(ValueError, match="language tag"):
            language(tag)


class TestProfile:
    def test_skills_languages_and_wallet_are_kept_in_one_spelling(self, person: Person) -> None:
        token = person.signed_in()["access_token"]
        changes = {"skills": ["SOUND_DESIGN", "SUBTITLE"], "languages": ["FR", "pt_br"], "wallet_address": EIP_55[4].lower()}
        answer = person.call("PATCH", "/profile", changes, token)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        profile = person.call("GET", "/profile", token=token).get_json()
        assert profile["skills"] == ["SOUND_DESIGN", "SUBTITLE"]
        assert profile["languages"] == ["fr", "pt-BR"]
        assert profile["wallet_address"] == EIP_55[4]
        assert profile["kyc"] == {"status": "NONE", "accredited": False, "expires_at": None}

    def test_lists_are_bounded_and_may_be_emptied(self, person: Person) -> None:
        token = person.signed_in()["access_token"]
        for body, status in (
            ({"languages": NINE, "skills": [str(each) for each in Skill]}, 200),
            ({"languages": [*NINE, "nl"]}, 422),
            ({"languages": ["fr", "FR"]}, 422),
            ({"skills": ["SUBTITLE", "SUBTITLE"]}, 422),
            ({"skills": ["JUGGLING"]}, 422),
            ({"skills": None}, 422),
            ({"languages": [], "skills": []}, 200),
        ):
            assert person.call("PATCH", "/profile", body, token).status_code == status, body
        assert len(NINE) == LANGUAGES_MAXIMUM

    def test_another_wallet_is_told_by_mail_and_stands_in_no_event_or_record(self, harness: Harness, person: Person) -> None:
        token = person.signed_in()["access_token"]
        for wallet in (EIP_55[4], None):
            assert person.call("PATCH", "/profile", {"wallet_address": wallet}, token).status_code == 200
        assert person.call("PATCH", "/profile", {"bio": "Foley"}, token).status_code == 200
        assert [each["notice"] for each in person.mails("SECURITY_NOTICE")] == ["WALLET_CHANGED"] * 2
        with harness.transaction() as tx:
            kept = str(tx.all(text("SELECT * FROM auth.audit_record"))) + str([each.data for each in harness.published()])
        assert EIP_55[4] not in kept

    def test_another_wallet_takes_a_recent_sign_in_and_nothing_else_does(self, person: Person, time: Time) -> None:
        tokens = person.signed_in()
        time.passes(timedelta(seconds=STEP_UP_SECONDS - 1))
        tokens = person.refresh(tokens["refresh_token"]).get_json()
        wallet = {"wallet_address": EIP_55[4]}
        assert person.call("PATCH", "/profile", wallet, tokens["access_token"]).status_code == 200
        time.passes(timedelta(seconds=2))
        refused = person.call("PATCH", "/profile", {"wallet_address": None}, tokens["access_token"])
        assert (refused.status_code, f'max_age="{STEP_UP_SECONDS}"' in refused.headers["WWW-Authenticate"]) == (401, True)
        assert person.call("PATCH", "/profile", {"bio": "Foley"}, tokens["access_token"]).status_code == 200

    def test_a_wallet_with_a_wrong_checksum_is_refused_in_words(self, person: Person) -> None:
        token = person.signed_in()["access_token"]
        answer = person.call("PATCH", "/profile", {"wallet_address": EIP_55[4].swapcase().replace("0X", "0x")}, token)
        assert answer.status_code == 422
        assert "EIP-55" in answer.get_json()["errors"][0]["detail"]


class TestChecks:
    def record(self, by: Person, user_id: str, **members: Any) -> TestResponse:
        return by.post(f"/admin/users/{user_id}/kyc", members, by.signed_in()["access_token"])

    def test_a_check_is_recorded_told_and_expires(
        self, harness: Harness, administrator: Person, person: Person, time: Time
    ) -> None:
        user_id, until = person.id, time.instant + timedelta(days=30)
        assert self.record(administrator, user_id, status="PENDING").status_code == 200
        answer = self.record(administrator, user_id, status="VERIFIED", accredited=True, expires_at=until.isoformat())
        assert answer.get_json()["kyc"]["accredited"] is True
        assert (
            self.record(administrator, user_id, status="VERIFIED", accredited=True, expires_at=until.isoformat()).headers[
                "ETag"
            ]
            == answer.headers["ETag"]
        )  # nothing new, nothing told
        time.passes(timedelta(days=30) - timedelta(microseconds=1))
        assert harness.run_job("expire_kyc") == 0
        time.passes(timedelta(microseconds=1))
        assert harness.run_job("expire_kyc") == 1
        assert harness.run_job("expire_kyc") == 0
        facts = [each.event(KycUpdated) for each in harness.published("auth.kyc.updated")]
        assert [(each.status, each.accredited, each.expires_at) for each in facts] == [
            ("PENDING", False, None),
            ("VERIFIED", True, until),
            ("EXPIRED", False, until),
        ]
        profile = person.call("GET", "/profile", token=person.signed_in()["access_token"]).get_json()
        assert (profile["kyc"]["status"], profile["kyc"]["accredited"]) == ("EXPIRED", False)
        assert self.record(administrator, user_id, status="NONE").status_code == 409

    def test_contradictions_and_ends_out_of_bounds_are_refused(self, administrator: Person, person: Person, time: Time) -> None:
        user_id = person.id
        longest = time.instant + KYC_LIFE_MAXIMUM
        for members in (
            {"status": "EXPIRED"},
            {"status": "VERIFIED"},
            {"status": "PENDING", "accredited": True},
            {"status": "REJECTED", "expires_at": longest.isoformat()},
            {"status": "VERIFIED", "expires_at": time.instant.isoformat()},
            {"status": "VERIFIED", "expires_at": (longest + timedelta(seconds=1)).isoformat()},
        ):
            assert self.record(administrator, user_id, **members).status_code == 422, members
        assert self.record(administrator, user_id, status="VERIFIED", expires_at=longest.isoformat()).status_code == 200

    def test_nobody_checks_themselves_and_the_attempt_is_on_record(self, harness: Harness, administrator: Person) -> None:
        answer = self.record(administrator, administrator.id, status="PENDING")
        assert (answer.status_code, answer.get_json()["type"].rsplit("/")[-1]) == (403, "own-check")
        records = [each.data for each in harness.published("auth.audit.recorded") if each.data["action"] == "kyc.record"]
        assert [each["outcome"] for each in records] == ["refused"]

    def test_an_unknown_account_and_a_stale_tag_are_refused(self, administrator: Person, person: Person) -> None:
        assert self.record(administrator, str(uuid4()), status="PENDING").status_code == 404
        token = administrator.signed_in()["access_token"]
        path = f"/admin/users/{person.id}/kyc"
        assert administrator.call("POST", path, {"status": "PENDING"}, token, **{"If-Match": '"99"'}).status_code == 412

    def test_no_state_of_a_check_is_a_dead_end_and_only_time_lets_it_expire(self) -> None:
        assert all(TRANSITIONS[each] for each in KycStatus)
        assert {status for status in KycStatus if check_fault(Check(status)) is None} < set(DECIDED)
        assert [each for each in KycStatus if KycStatus.EXPIRED in TRANSITIONS[each]] == [KycStatus.VERIFIED]

    @given(some.sampled_from(KycStatus), some.sampled_from(DECIDED))
    def test_a_step_is_taken_exactly_where_the_table_has_it(self, now: KycStatus, then: KycStatus) -> None:
        refusal = refuse_check(Check(now), Check(then), own=False)
        assert (refusal is None) == (now == then or then in TRANSITIONS[now])


class TestHistory:
    def acts(self, person: Person, path: str = "/auth/history") -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = person.call("GET", path, token=person.signed_in()["access_token"]).get_json()["items"]
        return items

    def test_a_person_reads_what_was_done_by_whom_and_from_which_session(self, administrator: Person, person: Person) -> None:
        user_id, tokens = person.id, person.signed_in()
        person.call("PATCH", "/profile", {"bio": "Foley"}, tokens["access_token"])
        administrator.call("PATCH", f"/admin/users/{user_id}", {"role": "ARTIST"}, administrator.signed_in()["access_token"])
        history = {each["action"]: each for each in reversed(self.acts(person))}
        changed = history["profile.change"]
        assert (changed["by"], changed["session_id"], changed["outcome"]) == ("SELF", tokens["session_id"], "done")
        standing = history["user.change_standing"]
        assert (standing["by"], standing["session_id"]) == ("ADMINISTRATOR", None)
        assert standing["details"]["new_role"] == "ARTIST"
        assert "actor_id" not in standing

    def test_each_sign_in_is_there_with_its_device_and_no_attempt_that_failed(self, person: Person) -> None:
        person.login("a wrong password")
        session_id = person.signed_in()["session_id"]
        begun = [each for each in self.acts(person) if each["action"] == "session.begin"]
        assert session_id in {each["session_id"] for each in begun}
        assert {each["details"]["device"] for each in begun} == {"Werkzeug"}
        assert {each["by"] for each in begun} == {"SELF"}

    def test_administrators_see_who_acted_and_nobody_else_sees_another(self, administrator: Person, person: Person) -> None:
        path = f"/admin/users/{administrator.id}/history"
        created = next(each for each in self.acts(administrator, path) if each["action"] == "administrator.create")
        assert (created["action"], created["by"], created["actor_id"], created["roles"]) == (
            "administrator.create",
            "OPERATOR",
            None,
            "operator",
        )
        assert person.call("GET", path, token=person.signed_in()["access_token"]).status_code == 403
        token = administrator.signed_in()["access_token"]
        assert administrator.call("GET", f"/admin/users/{uuid4()}/history", token=token).status_code == 404

    def test_a_long_history_is_read_page_by_page(self, person: Person) -> None:
        for _ in range(6):
            tokens = person.signed_in()
        seen, cursor = [], ""
        for _ in range(3):
            page = person.call("GET", f"/auth/history?limit=2{cursor}", token=tokens["access_token"]).get_json()
            seen += [each["session_id"] for each in page["items"]]
            cursor = f"&cursor={page['next_cursor']}"
        assert len(set(seen)) == 6
        assert seen[0] == tokens["session_id"]
